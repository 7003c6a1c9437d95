"""The demo: all three programs, with progress bars, a report, pictures and a file of figures."""

from __future__ import annotations

import json
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import headgate
from headgate.examples import article_actor_critic, article_gan, article_scalar, pictures
from headgate.examples.findings import Findings
from headgate.examples.progress import Stages

LIBRARIES = ("numpy", "scikit-learn", "gymnasium", "matplotlib")
PROGRAMS = {
    "scalar": article_scalar,
    "gan": article_gan,
    "actor_critic": article_actor_critic,
}


def run(out: Path, seed: int, quick: bool, console: Console) -> list[str]:
    """Run the programs, print the report, and write pictures and figures into a folder.

    Returns:
        What should have been reached and was not, one sentence each.
    """
    # It comes with scikit-learn. Matrices as small as these gain nothing from several threads, and
    # lose much where other programs want the cores too; with one, a seed also gives the same bits.
    from threadpoolctl import threadpool_limits

    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    stages = Stages(console)
    with threadpool_limits(1), stages.bars:
        found = {name: program.run(seed, quick, stages) for name, program in PROGRAMS.items()}
    drawn = draw(out, found)
    seconds = time.perf_counter() - began
    figures = {
        "headgate": headgate.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        **{library: _version(library) for library in LIBRARIES},
        "seed": seed,
        "quick": quick,
        "seconds": {**stages.seconds, "all": seconds},
        **{name: findings.figures for name, findings in found.items()},
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    for name, findings in found.items():
        console.print()
        show(console, findings, drawn.get(name, []))
    console.print()
    console.print(
        f"{seconds:.1f} s with seed {seed}. All figures: {out / 'figures.json'}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if quick:
        console.print("This was a quick run: too short for the networks to learn.")
    return [sentence for findings in found.values() for sentence in findings.shortfalls]


def draw(out: Path, found: dict[str, Findings]) -> dict[str, list[Path]]:
    """Draw the pictures; return the files by program."""
    gan, cartpole = found["gan"].arrays, found["actor_critic"].arrays
    digits, training = out / "gan-digits.png", out / "gan-training.png"
    pictures.digits(digits, gan["stages"], gan["real"])
    pictures.gan_training(training, gan["history"])
    returns = out / "cartpole-returns.png"
    goal, window = article_actor_critic.GOAL, article_actor_critic.WINDOW
    pictures.returns(returns, cartpole["returns"], cartpole["as_written"], goal, window)
    return {"gan": [digits, training], "actor_critic": [returns]}


def show(console: Console, findings: Findings, drawn: list[Path]) -> None:
    """Print what a program found: labels on the left, texts on the right."""
    console.rule(f"[bold]{escape(findings.title)}", align="left")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows = [*findings.rows, *[("pictures", "\n".join(map(str, drawn)))] * bool(drawn)]
    for label, text in rows:
        table.add_row(label, escape(text))
    console.print(table)


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # installed by other means than a package manager
        return "unknown"
