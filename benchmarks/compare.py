"""The driver: starts a worker per peer, checks that they do equal work, and times them in turn."""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import workloads
from benchmarks.peers import PEERS, limit_environment
from benchmarks.worker import Worker, WorkerError, disagreement

PAUSE = 0.05  # seconds before a turn, for the thread pool of the worker before to stop spinning

NOT_LOADED = "does not load"


@dataclass(slots=True)
class Row:
    """One workload's figures, by peer.

    Args:
        name: The workload's.
        title: The workload's.
        rounds: Median seconds of a step, a figure per round.
        first_step: Seconds of the very first step, in which a compiler compiles.
        memory: Bytes that the program needs; see `peak`.
        refused: Why the peer has no figures.
    """

    name: str
    title: str
    rounds: dict[str, list[float]] = field(default_factory=dict)
    first_step: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def median(self, peer: str) -> float | None:
        """Return the peer's median over rounds, in seconds."""
        return statistics.median(self.rounds[peer]) if self.rounds.get(peer) else None


@dataclass(slots=True)
class Comparison:
    """Everything one run found out."""

    machine: dict[str, str | float]
    versions: dict[str, str]
    settings: dict[str, float]
    rows: list[Row]

    @property
    def complete(self) -> bool:
        """Tell whether every peer loaded and agreed on every workload."""
        loaded = NOT_LOADED not in self.versions.values()
        return loaded and not any(row.refused for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: all of the above, and the medians."""
        record = asdict(self)
        for row, plain in zip(self.rows, record["rows"], strict=True):
            plain["median"] = {peer: row.median(peer) for peer in row.rounds}
        return record


def compare(
    peers: Sequence[str],
    names: Sequence[str],
    rounds: int,
    seconds: float,
    threads: int,
    console: Console,
) -> Comparison:
    """Run the named workloads on the named peers."""
    described = machine()
    limit_environment(threads)
    # TorchInductor keeps what it compiled, so it is given a folder without any.
    scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = scratch.name
    workers = {peer: Worker(peer, threads) for peer in peers}
    try:
        versions: dict[str, str] = {}
        with console.status("loading the libraries"):
            for peer in peers:
                versions |= load(peer, workers, console)
        columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
        # Drawn between workloads only: a refresh thread would take time from the turns.
        with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
            task = progress.add_task("", total=len(names))
            rows = []
            for name in names:
                progress.update(task, description=name, refresh=True)
                rows.append(measure(name, workers, rounds, seconds, console))
                progress.advance(task)
    finally:
        for worker in workers.values():
            worker.close()
        scratch.cleanup()
    settings = {"rounds": rounds, "seconds": seconds, "threads": threads}
    return Comparison(described, versions, settings, rows)


def load(peer: str, workers: dict[str, Worker], console: Console) -> dict[str, str]:
    """Return the versions of the peer's libraries; a peer that does not load loses its worker."""
    try:
        return dict(workers[peer].ask("load"))
    except WorkerError as error:
        console.print(f"[red]{peer} does not load[/]: {error}", highlight=False)
        workers.pop(peer).close()
        return {PEERS[peer].module: NOT_LOADED}


def measure(
    name: str, workers: dict[str, Worker], rounds: int, seconds: float, console: Console
) -> Row:
    """Check one workload on every peer that has it, then time those that agree."""
    workload = workloads.make(name)
    row = Row(name, workload.title)
    taking_part = [peer for peer in workers if PEERS[peer].takes_part_in(name)]
    # Headgate is what is on trial, so it is never the one that the others are held against.
    reference = None
    for peer in sorted(taking_part, key=lambda peer: PEERS[peer].module == "headgate"):
        try:
            found = workers[peer].ask("prepare", workload)
            row.first_step[peer] = found.seconds
            if reference is None:
                reference = found
            elif difference := disagreement(workload, reference, found):
                row.refused[peer] = difference
        except WorkerError as error:
            row.refused[peer] = str(error)
    timed = [peer for peer in taking_part if peer not in row.refused]
    for peer in turns(timed, rounds):
        time.sleep(PAUSE)
        if peer in row.refused:
            continue
        try:
            duration = workers[peer].ask("measure", seconds) / workload.divide_by
            row.rounds.setdefault(peer, []).append(duration)
        except WorkerError as error:
            row.refused[peer] = str(error)
    for peer in row.refused:
        row.rounds.pop(peer, None)
        row.first_step.pop(peer, None)
    for peer in row.rounds:
        if (needed := workers[peer].ask("memory")) is not None:
            row.memory[peer] = needed
    for peer, reason in row.refused.items():
        first_line = reason.partition("\n")[0]
        console.print(f"[red]{name}: {peer} is not timed[/]: {first_line}", highlight=False)
    return row


def turns(peers: Sequence[str], rounds: int) -> Iterator[str]:
    """Yield every peer once per round, each round beginning with the next one."""
    for index in range(rounds):
        for offset in range(len(peers)):
            yield peers[(index + offset) % len(peers)]


def machine() -> dict[str, str | float]:
    """Describe the machine, and how busy others keep it before anything starts here."""
    processor = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return {
        "processor": processor,
        "cores": os.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }
