"""How much longer value and gradient take than the value alone, under `hg.function`.

In a program that consists of matrix products, each product has two more in the backward pass: one
for its kernel and one for its input, where gradient goes on. So with all of it at full speed, value
and gradient take at most three times the value's time. What comes on top is overhead.

The networks, weights and batches are those of the workloads, and nothing is updated. All gradients
are results, or XLA would leave out what computes them. The two functions take turns in one process;
the figures are medians over rounds.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import workloads
from benchmarks.dispatch import THREADS, in_turns
from benchmarks.peers import limit_environment
from benchmarks.programs import mlp

LIMIT = 3.0
CALLS = 20

Objective = Callable[..., Any]


def gan(tf: Any, variables: dict[str, list[Any]], real: Any, noise: Any) -> Any:
    """Judge fakes, with gradient through the discriminator into the generator, and real images."""
    fake = tf.tanh(mlp(tf, noise, variables["generator"]))
    fake_logits = mlp(tf, fake, variables["discriminator"])
    real_logits = mlp(tf, real, variables["discriminator"])
    return tf.reduce_mean(tf.nn.softplus(fake_logits)) + tf.reduce_mean(
        tf.nn.softplus(-real_logits)
    )


def vae(tf: Any, variables: dict[str, list[Any]], images: Any, noise: Any) -> Any:
    """Return cross entropy and divergence from the prior."""
    mean, log_variance = tf.split(mlp(tf, images, variables["encoder"]), 2, axis=1)
    code = mean + tf.exp(0.5 * log_variance) * noise
    logits = mlp(tf, code, variables["decoder"])
    cross_entropy = tf.reduce_sum(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits)
    )
    divergence = -0.5 * tf.reduce_sum(1.0 + log_variance - tf.square(mean) - tf.exp(log_variance))
    return (cross_entropy + divergence) / images.shape[0]


def mlp_adam(tf: Any, variables: dict[str, list[Any]], x: Any, labels: Any) -> Any:
    """Return the mean cross entropy of a classifier."""
    logits = mlp(tf, x, variables["network"])
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )


OBJECTIVES: dict[Objective, tuple[str, ...]] = {
    gan: ("generator", "discriminator"),
    vae: ("encoder", "decoder"),
    mlp_adam: ("network",),
}
"""Objective, named like its workload -> the groups of weights that it is differentiated by."""


def compiled(
    objective: Objective, groups: Sequence[str]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return two calls: of the value, and of value and gradient."""
    import jax

    import headgate as hg
    import headgate.tf as tf

    workload = workloads.make(objective.__name__)
    variables = {
        name: [tf.Variable(jax.numpy.array(array)) for array in workload.weights[name]]
        for name in groups
    }
    sources = [variable for group in variables.values() for variable in group]
    batch = [tf.constant(jax.numpy.array(array)) for array in workload.batch]

    @hg.function
    def value(*batch: Any) -> list[Any]:
        return [objective(tf, variables, *batch)]

    @hg.function
    def value_and_gradient(*batch: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            loss = objective(tf, variables, *batch)
        return [loss, *tape.gradient(loss, sources)]

    def call(function: Callable[..., list[Any]]) -> Callable[[], Any]:
        return lambda: jax.block_until_ready([result.value for result in function(*batch)])

    return call(value), call(value_and_gradient)


def gradient_cost(rounds: int, console: Console) -> bool:
    """Measure, print a table, and tell whether all ratios keep the limit."""
    limit_environment(THREADS)
    table = Table(title="ms per call under hg.function")
    for heading in ("workload", "value", "and gradient", f"ratio (limit {LIMIT:g})"):
        table.add_column(heading, justify="left" if heading == "workload" else "right")
    ratios = []
    for objective, groups in OBJECTIVES.items():
        with console.status(objective.__name__):
            functions = compiled(objective, groups)
            in_turns(functions, 2, CALLS)
            value, both = (statistics.median(x) for x in in_turns(functions, rounds, CALLS))
        ratios.append(both / value)
        colour = "green" if ratios[-1] <= LIMIT else "red"
        table.add_row(
            workloads.make(objective.__name__).title,
            f"{value * 1e3:.2f}",
            f"{both * 1e3:.2f}",
            f"[{colour}]{ratios[-1]:.2f}[/]",
        )
    console.print(table)
    return max(ratios) <= LIMIT
