"""What all training programs share: steps, checkpoints, metrics, a progress bar, and two arms.

A **program** is a module with a function `train(run)` that holds little but the training loop, and
a `Program` that says what is to be reached. `run.stop` is `stop_gradient`, or with `--no-stop` the
identity: that is the only difference between the two arms of an ablation.

A run can be ended at any moment and resumed: what the program names in `run.keep` is saved now and
then with the number of the step, and a resumed run does exactly what an uninterrupted one does.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import headgate as hg
from headgate.checkpoint import Checkpoints
from headgate.examples.findings import Progress, no_progress
from headgate.fit.events import Events

SAVES = 10
"""So many times in a run a checkpoint is saved."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run reached: measures by name, and for some programs images.

    `images` are of shape (rows, columns, 8, 8) with values from 0 to 1, `labels` one text per row.
    """

    figures: dict[str, float]
    images: Any = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A program: its loop, how long it takes to learn, and what it is to reach.

    Args:
        name: as in `headgate train NAME`.
        title: one line that says what is trained on what.
        train: runs the loop.
        steps: of a full run.
        curves: names of logged metrics that the picture shows, a panel for each.
        least: for figures, the least value that counts as a success.
        most: for figures, the largest such value.
        without_stop: what the arm without stops shows, in one line; empty if there is no stop.
    """

    name: str
    title: str
    train: Callable[[Run], Result]
    steps: int
    curves: tuple[str, ...]
    least: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    without_stop: str = ""


def through(x: Any) -> Any:
    """Return x: what stands in for `stop_gradient` in the arm without stops."""
    return x


@dataclass(slots=True)
class Run:
    """One run of a program; making it seeds `headgate.random`.

    Args:
        total: number of steps.
        seed: makes the run repeatable.
        stops: whether the program's stops are there.
        out: folder for metrics and checkpoints; nothing is written without one.
        resume: go on from the newest checkpoint in `out`.
        progress: told how far the run is.
    """

    total: int
    seed: int = 0
    stops: bool = True
    out: Path | None = None
    resume: bool = False
    progress: Progress = no_progress
    step: int = 0  # the step under way, from 1 on
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0  # spent on steps
    _items: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hg.random.set_seed(self.seed)

    @property
    def stop(self) -> Callable[[Any], Any]:
        """`stop_gradient`, or the identity in the arm without stops."""
        return hg.stop_gradient if self.stops else through

    def keep(self, **items: Any) -> None:
        """Name what a checkpoint holds: models, optimizers, batches, whatever has a state.

        Call it once, when all of it has been made and before `steps`.
        """
        self._items = {**items, "random": hg.random}

    def steps(self) -> Iterator[int]:
        """Yield the numbers of the steps to do, up to `total`; save checkpoints on the way."""
        checkpoints = self._checkpoints()
        save_every = max(1, self.total // SAVES)
        with ExitStack() as stack:
            writers = [stack.enter_context(writer) for writer in self._writers()]
            began = time.perf_counter()
            while self.step < self.total:
                self.step += 1
                logged = len(self.history)
                yield self.step
                self.seconds += time.perf_counter() - began
                for metrics in self.history[logged:]:
                    for writer in writers:
                        writer.write(metrics)
                self.progress("training", self.step, self.total, self._note())
                if checkpoints and (self.step % save_every == 0 or self.step == self.total):
                    checkpoints.save(self.step)
                began = time.perf_counter()

    def every(self, count: int) -> bool:
        """Tell whether this is one of `count` evenly spaced steps of the run, the last included."""
        return self.step % max(1, self.total // count) == 0 or self.step == self.total

    def log(self, **metrics: Any) -> None:
        """Note measures of this step: numbers, or tensors of one element."""
        self.history.append({"step": self.step, **{k: float(v) for k, v in metrics.items()}})

    def _note(self) -> str:
        if not self.history:
            return ""
        return ", ".join(f"{k} {v:.3g}" for k, v in self.history[-1].items() if k != "step")

    def _checkpoints(self) -> Checkpoints | None:
        """Open the folder of checkpoints, and go back to the newest one if resuming."""
        if self.out is None or not self._items:
            return None
        found = Checkpoints(self.out / "checkpoints", keep=2, **self._items)
        if self.resume:
            self.step = found.restore() or 0
            self.history = read_metrics(self.out / METRICS, self.step)
        return found

    def _writers(self) -> list[Any]:
        """Return what metrics are written to, each a context manager with a method `write`."""
        if self.out is None:
            return []
        self.out.mkdir(parents=True, exist_ok=True)
        lines = Lines(self.out / METRICS, self.history)
        if importlib.util.find_spec("tensorboard") is None:
            return [lines]
        return [lines, Events(self.out, self.step)]


METRICS = "metrics.jsonl"


def read_metrics(path: Path, until: int) -> list[dict[str, float]]:
    """Return the metrics that a file has of the steps up to one; none if there is no file."""
    found = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                metrics = json.loads(line)
            except ValueError:  # the process ended while it wrote this line
                break
            if metrics["step"] <= until:
                found.append(metrics)
    return found


class Lines:
    """A file of JSON lines, one for each set of metrics; it begins with those known already."""

    def __init__(self, path: Path, known: list[dict[str, float]]) -> None:
        self.path = path
        self.known = known
        self.file: TextIO | None = None

    def __enter__(self) -> Lines:
        self.file = self.path.open("w", encoding="utf-8", buffering=1)
        for metrics in self.known:
            self.write(metrics)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.file is not None
        self.file.close()

    def write(self, metrics: dict[str, float]) -> None:
        """Add a line."""
        assert self.file is not None
        self.file.write(json.dumps(metrics) + "\n")
