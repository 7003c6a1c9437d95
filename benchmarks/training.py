"""Whole training programs beside the same programs in PyTorch and TensorFlow: steps per second.

What is timed of Headgate are the programs of `headgate train` themselves. The counterparts in
`torch_training` and `tensorflow_training` train networks of the same sizes with the same
initialisers, optimizer settings, batches, environments and number of gradients per step. They loop
over the same `Run`, whose clock runs during steps only, and which decides when they log.

A program logs and evaluates a few times in a run, however long it is. That would weigh more in a
short run than in a real one, so a timed run does it in its last step alone, and that step is not
counted; nor are the first ones, in which `tf.function` compiles. `--check` trains the programs as
they are, and prints what each library reaches.

Each peer trains a program in a process of its own, on one thread, as `headgate train` does. They
take turns, round after round, each round beginning with another peer.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata

from rich.console import Console
from rich.table import Table

from benchmarks.compare import PAUSE, Comparison, Row, machine, turns
from benchmarks.peers import PEERS, limit_cores, limit_environment
from benchmarks.report import OURS, QUIET
from headgate.examples.train import load, shown
from headgate.examples.training import Result, Run

NAMES = ("gan", "vae", "dqn", "actor-critic")
TAKING_PART = (OURS, "torch", "tensorflow", "tensorflow-function")
THREADS = 1
STEPS = 500
WARM_UP = 50
"""Steps at the beginning of a run that are not timed."""


@dataclass
class TimedRun(Run):
    """A run that logs in its last step only, and notes when the steps that count begin and end."""

    marks: list[float] = field(default_factory=list)

    def every(self, count: int) -> bool:
        """Tell whether this is the last step."""
        return self.step == self.total

    def steps(self) -> Iterator[int]:
        """Yield the numbers of the steps."""
        for step in super().steps():
            if step in (WARM_UP + 1, self.total):
                self.marks.append(self.seconds)
            yield step

    @classmethod
    def of(cls, steps: int) -> TimedRun:
        """Make a run in which this many steps are timed."""
        return cls(WARM_UP + steps + 1)

    @property
    def seconds_per_step(self) -> float:
        """The mean over the steps that count."""
        began, ended = self.marks
        return (ended - began) / (self.total - WARM_UP - 1)


# -- in the process of a peer ----------------------------------------------------------------------


def trainer(peer: str, name: str) -> Callable[[Run], Result]:
    """Return a peer's program."""
    if peer == OURS:
        return load(name).train
    if peer == "torch":
        from benchmarks import torch_training

        return torch_training.PROGRAMS[name]
    import tensorflow as tf

    from benchmarks import tensorflow_training

    compiled = tf.function if peer == "tensorflow-function" else lambda step: step
    return partial(tensorflow_training.PROGRAMS[name], compiled=compiled)


def limit(peer: str) -> None:
    """Give this process one core and one thread."""
    limit_cores(THREADS)
    PEERS[peer].limit_threads(THREADS)


def version(peer: str) -> str:
    """Return the version of the peer's library."""
    return PEERS[peer].version()


def measure(peer: str, name: str, steps: int) -> float:
    """Train for some steps and return the seconds that one takes, in the mean."""
    run = TimedRun.of(steps)
    gc.collect()
    trainer(peer, name)(run)
    return run.seconds_per_step


def reach(peer: str, name: str, steps: int, seed: int) -> dict[str, float]:
    """Train for some steps, logging and evaluating as always; return the figures."""
    return trainer(peer, name)(Run(steps, seed)).figures


# -- in the driver ---------------------------------------------------------------------------------


def processes(peers: Sequence[str], stack: ExitStack) -> dict[str, ProcessPoolExecutor]:
    """Start a process for each peer, which ends with the stack."""
    context = multiprocessing.get_context("spawn")
    return {
        peer: stack.enter_context(ProcessPoolExecutor(1, context, limit, (peer,))) for peer in peers
    }


def compare(
    names: Sequence[str], peers: Sequence[str], rounds: int, steps: int, console: Console
) -> Comparison:
    """Time programs in all peers."""
    described = machine()
    limit_environment(THREADS)
    versions: dict[str, str] = {}
    rows = []
    for name in names:
        row = Row(name, load(name).title)
        with ExitStack() as stack:
            workers = processes(peers, stack)
            for peer in peers:
                versions[PEERS[peer].module] = workers[peer].submit(version, peer).result()
            for peer in turns(peers, rounds):
                time.sleep(PAUSE)
                with console.status(f"{name}: {peer}"):
                    duration = workers[peer].submit(measure, peer, name, steps).result()
                row.rounds.setdefault(peer, []).append(duration)
        rows.append(row)
    versions |= {library: metadata.version(library) for library in ("gymnasium", "numpy")}
    return Comparison(described, versions, {"rounds": rounds, "steps": steps}, rows)


def check(
    names: Sequence[str], peers: Sequence[str], steps: int | None, seed: int, console: Console
) -> None:
    """Train programs in all peers and print what they reach."""
    limit_environment(THREADS)
    for name in names:
        program = load(name)
        total = steps or program.steps
        found = {}
        with ExitStack() as stack:
            for peer, process in processes(peers, stack).items():
                with console.status(f"{name}: {peer}"):
                    found[peer] = process.submit(reach, peer, name, total, seed).result()
        table = Table(title=f"{program.title}: {total} steps, seed {seed}")
        table.add_column("figure")
        for peer in peers:
            table.add_column(PEERS[peer].title, justify="right")
        for figure in found[peers[-1]]:
            table.add_row(figure, *(shown(found[peer][figure]) for peer in peers))
        console.print(table)


# -- figures as text -------------------------------------------------------------------------------


def cell(row: Row, peer: str) -> str:
    """Return the peer's steps per second and how many times ours that is."""
    median, ours = row.median(peer), row.median(OURS)
    if median is None:
        return ""
    speed = f"{1 / median:,.0f}"
    return speed if ours is None or peer == OURS else f"{speed} ({ours / median:.2f}×)"


def conditions(comparison: Comparison) -> str:
    """Say in one paragraph what the figures were measured on and how."""
    machine, settings = comparison.machine, comparison.settings
    versions = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    widest, peer, name = max(
        ((max(times) - min(times)) / 2 / (row.median(peer) or 1), peer, row.name)
        for row in comparison.rows
        for peer, times in row.rounds.items()
    )
    text = (
        f"{machine['processor']}, {machine['cores']} cores (load before: {machine['load']}), "
        f"one thread; {machine['system']}; Python {machine['python']}; {versions}. "
        f"Median over {settings['rounds']} interleaved rounds of {settings['steps']} steps, "
        f"after {WARM_UP} to warm up; logging and evaluation are not timed. "
        f"Widest half-range over rounds: {widest:.0%} ({peer}, {name})."
    )
    if widest > QUIET or machine["load"] > machine["cores"] / 2:
        text += " Something else kept the machine busy: do not quote these figures."
    return text


def table(comparison: Comparison) -> Table:
    """Return the figures as a terminal table."""
    result = Table(title="Training steps per second (in brackets: times Headgate's)")
    result.add_column("program")
    peers = list(comparison.rows[0].rounds)
    for peer in peers:
        result.add_column(PEERS[peer].title, justify="right")
    for row in comparison.rows:
        result.add_row(row.name, *(cell(row, peer) for peer in peers))
    return result


def markdown(comparison: Comparison) -> str:
    """Return the figures as a markdown table with the conditions below it."""
    peers = list(comparison.rows[0].rounds)
    lines = [
        "| training steps per second | " + " | ".join(PEERS[peer].title for peer in peers) + " |",
        "|---|" + "---:|" * len(peers),
    ]
    for row in comparison.rows:
        cells = " | ".join(cell(row, peer) for peer in peers)
        lines.append(f"| {row.title} | {cells} |")
    return "\n".join(lines) + f"\n\n{conditions(comparison)}\n"
