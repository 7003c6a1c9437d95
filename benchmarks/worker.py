"""One process per peer: it prepares a workload, answers for its results, and takes timed turns.

The driver holds a `Worker` for each peer and asks one at a time; the process waits on its pipe
between turns. What goes wrong inside comes back as `WorkerError`, and the process lives on.
"""

import gc
import multiprocessing
import statistics
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.peers import PEERS, Program, limit_cores
from benchmarks.workloads import Weights, Workload

CHECKED_STEPS = 3
LEAST_STEPS = 3
WARM_UP_SHARE = 0.15


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


def serve(name: str, threads: int, connection: Connection) -> None:
    """Answer the driver's commands until it closes the pipe."""
    limit_cores(threads)
    peer = PEERS[name]
    program: Program | None = None
    while True:
        try:
            command, *arguments = connection.recv()
        except EOFError:
            return
        try:
            answer: Any
            if command == "load":
                peer.limit_threads(threads)
                answer = peer.version()
            elif command == "prepare":
                program = None
                program = peer.prepare(*arguments)
                answer = first_steps(program)
            elif command == "measure" and program is not None:
                answer = median_step(program, *arguments)
            else:
                raise ValueError(f"no program is prepared, or the command {command!r} is unknown")
        except Exception as error:
            connection.send((False, f"{type(error).__name__}: {error}"))
        else:
            connection.send((True, answer))


def first_steps(program: Program) -> tuple[list[float], Weights]:
    """Take the steps that are compared between peers; return their results and the weights."""
    results: list[float] = []
    for _ in range(CHECKED_STEPS):
        for result in program.step():
            results += to_numpy(result).ravel().tolist()
    return results, program.weights()


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
    expected: tuple[list[float], Weights],
    found: tuple[list[float], Weights],
    tolerance: float = 1e-4,
) -> str | None:
    """Say where two peers' first steps differ, or return None.

    Results must agree to the tolerance. So must the way each weight has moved, beyond what
    float32 rounds off when a small update is subtracted from a large weight.
    """
    results, reference = np.array(found[0]), np.array(expected[0])
    if results.shape != reference.shape:
        return f"{results.size} results instead of {reference.size}"
    error = np.abs(results - reference) / np.maximum(np.abs(reference), 1e-2)
    if not error.max() <= tolerance:
        return f"results differ by {error.max():.1e} (relative)"
    for name, group in workload.weights.items():
        for index, initial in enumerate(group):
            moved = expected[1][name][index] - initial
            difference = np.linalg.norm(found[1][name][index] - initial - moved)
            rounding = CHECKED_STEPS * np.finfo(initial.dtype).eps * np.linalg.norm(initial)
            if not difference <= 10 * tolerance * np.linalg.norm(moved) + rounding:
                return f"the update of {name}[{index}] differs by {difference:.1e}"
    return None
