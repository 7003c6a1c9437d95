"""The article's example 1: which derivative does a stop change?

The article says that the program prints 4.0, because the stop blocks y's influence on dz/dx. It
prints 7.0, with the stop and without it: a stop leaves the value alone, so y still is the 3.0 that
multiplies x, and dz/dx = 2x + y. What the stop does change is dz/dy.
"""

from __future__ import annotations

from typing import Any

import headgate.tf as tf
from headgate.examples.findings import Findings, Progress, no_progress, told

ARTICLE_SAYS = 4.0


def as_written() -> tuple[Any, ...]:
    """Run the article's example 1, word for word but for the import."""
    x = tf.Variable(2.0, name="x")
    y = tf.Variable(3.0, name="y")

    with tf.GradientTape() as tape:
        z = x * x + tf.stop_gradient(y) * x

    dz_dx = tape.gradient(z, x)
    print(f"dz/dx: {dz_dx.numpy()}")

    return x, y, z, tape, dz_dx


def both_gradients(stop: Any) -> tuple[float | None, ...]:
    """Return dz/dx and dz/dy, with whatever is given in the place of the stop."""
    x = tf.Variable(2.0, name="x")
    y = tf.Variable(3.0, name="y")
    with tf.GradientTape() as tape:
        z = x * x + stop(y) * x
    return tuple(g if g is None else float(g) for g in tape.gradient(z, [x, y]))


def run(seed: int = 0, quick: bool = False, progress: Progress = no_progress) -> Findings:
    """Run the program and compare it with itself without the stop."""
    x, y, z, tape, dz_dx = as_written()
    verdicts = tape.why(z, [x, y])
    with_stop, without = both_gradients(tf.stop_gradient), both_gradients(tf.identity)
    progress("example 1, as written", 1, 1, "printed the line above")
    rows = [
        ("article says", f"dz/dx is {ARTICLE_SAYS}, since the stop blocks y's influence on it"),
        (
            "measured",
            f"dz/dx is {with_stop[0]} with the stop and {without[0]} without it\n"
            f"dz/dy is {with_stop[1]} with the stop and {without[1]} without it",
        ),
        ("verdicts", told(verdicts)),
        (
            "the stop",
            "left the value of y alone, so dz/dx = 2x + y = 7.0 either way; it cut dz/dy",
        ),
    ]
    figures = {
        "article_says": ARTICLE_SAYS,
        "dz_dx": float(dz_dx),
        "dz_dx_without_stop": without[0],
        "dz_dy": with_stop[1],
        "dz_dy_without_stop": without[1],
        "verdicts": list(map(str, verdicts)),
    }
    return Findings("Example 1: a tape, two variables and a stop", rows, figures)


if __name__ == "__main__":
    print(run())
