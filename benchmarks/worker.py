"""One process per peer: it prepares a workload, answers for its results, and takes timed turns.

The driver holds a `Worker` for each peer and asks one at a time; the process waits on its pipe
between turns. What goes wrong inside comes back as `WorkerError`, and the process lives on.
"""

import gc
import multiprocessing
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import workloads
from benchmarks.peak import Peak
from benchmarks.peers import PEERS, Peer, Program
from benchmarks.workloads import Weights, Workload

CHECKED_STEPS = 3
LEAST_STEPS = 3
WARM_UP_SHARE = 0.15
WARM_UP_WORKLOAD = "scalar"


class WorkerError(Exception):
    """A peer could not do what it was asked."""


class Worker:
    """The driver's end of one peer's process."""

    def __init__(self, peer: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, far_end = context.Pipe()
        self._process = context.Process(target=serve, args=(peer, threads, far_end), daemon=True)
        self._process.start()
        far_end.close()

    def ask(self, command: str, *arguments: Any) -> Any:
        """Send a command and return the answer, or raise WorkerError with the worker's message."""
        try:
            self._connection.send((command, *arguments))
            succeeded, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerError("the worker process has died") from error
        if not succeeded:
            raise WorkerError(answer)
        return answer

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the first steps gave: results and weights, to be compared; seconds of the very first."""

    results: list[float]
    weights: Weights
    seconds: float


class Desk:
    """The worker's side of the conversation: each method answers one command of the driver."""

    def __init__(self, peer: Peer, threads: int) -> None:
        self._peer = peer
        self._threads = threads
        self._warm = False
        self._program: Program | None = None
        self._peak: Peak | None = None

    def load(self) -> dict[str, str]:
        """Import the library and return versions."""
        self._peer.limit_threads(self._threads)
        return self._peer.versions()

    def prepare(self, workload: Workload) -> Beginning:
        """Make the program and take the first steps."""
        if not self._warm and self._peer.takes_part_in(WARM_UP_WORKLOAD):
            # What a library sets up once in a process is not the first workload's compile time.
            self._peer.prepare(workloads.make(WARM_UP_WORKLOAD)).step()
        self._warm = True
        self._program = None
        self._peer.forget()
        self._peak = Peak()
        self._program = self._peer.prepare(workload)
        beginning = first_steps(self._program)
        self._peak.begin()
        return beginning

    def measure(self, seconds: float) -> float:
        """Return the median duration of a step."""
        assert self._program is not None
        return median_step(self._program, seconds)

    def memory(self) -> int | None:
        """Return the bytes that the program needs; None where the system does not tell."""
        assert self._peak is not None
        return self._peak.read()


def serve(name: str, threads: int, connection: Connection) -> None:
    """Answer the driver's commands until it closes the pipe."""
    desk = Desk(PEERS[name], threads)
    commands: dict[str, Callable[..., Any]] = {
        "load": desk.load,
        "prepare": desk.prepare,
        "measure": desk.measure,
        "memory": desk.memory,
    }
    while True:
        try:
            command, *arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = commands[command](*arguments)
        except Exception as error:
            connection.send((False, f"{type(error).__name__}: {error}"))
        else:
            connection.send((True, answer))


def first_steps(program: Program) -> Beginning:
    """Take the steps that are compared between peers."""
    start = perf_counter()
    taken = [program.step()]
    seconds = perf_counter() - start
    taken += [program.step() for _ in range(CHECKED_STEPS - 1)]
    results = [value for step in taken for result in step for value in to_numpy(result).flat]
    return Beginning([float(value) for value in results], program.weights(), seconds)


def median_step(program: Program, seconds: float) -> float:
    """Step for about the given time and return the median duration of a step in seconds."""
    gc.collect()
    step = program.step
    warm = perf_counter() + WARM_UP_SHARE * seconds
    step()
    while perf_counter() < warm:
        step()
    durations: list[float] = []
    end = perf_counter() + seconds
    while (start := perf_counter()) < end or len(durations) < LEAST_STEPS:
        results = step()
        durations.append(perf_counter() - start)
    if not all(np.isfinite(to_numpy(result)).all() for result in results):
        raise FloatingPointError("the training has diverged; its time would mean nothing")
    return statistics.median(durations)


def to_numpy(result: Any) -> np.ndarray:
    """Return a library's array as NumPy's."""
    if hasattr(result, "detach"):
        result = result.detach()
    return np.asarray(result.numpy() if hasattr(result, "numpy") else result)


def disagreement(
    workload: Workload,
    expected: Beginning,
    found: Beginning,
    tolerance: float = 1e-4,
) -> str | None:
    """Say where two peers' first steps differ, or return None.

    Results must agree to the tolerance. So must the way each weight has moved, beyond what
    float32 rounds off when a small update is subtracted from a large weight.
    """
    results, reference = np.array(found.results), np.array(expected.results)
    if results.shape != reference.shape:
        return f"{results.size} results instead of {reference.size}"
    error = np.abs(results - reference) / np.maximum(np.abs(reference), 1e-2)
    if not error.max() <= tolerance:
        return f"results differ by {error.max():.1e} (relative)"
    for name, group in workload.weights.items():
        for index, initial in enumerate(group):
            moved = expected.weights[name][index] - initial
            difference = np.linalg.norm(found.weights[name][index] - initial - moved)
            rounding = CHECKED_STEPS * np.finfo(initial.dtype).eps * np.linalg.norm(initial)
            if not difference <= 10 * tolerance * np.linalg.norm(moved) + rounding:
                return f"the update of {name}[{index}] differs by {difference:.1e}"
    return None
