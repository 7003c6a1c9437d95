"""What Headgate keeps alive, and what importing it costs; each count in a fresh process.

Every measurement is a function that returns rows of (what, figure, limit). A figure above its
limit is a failure. The garbage collector is off wherever reference counting alone must do.
"""

import gc
import inspect
import json
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

MEGABYTE = 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """One counted figure and the limit it must keep."""

    what: str
    figure: float
    limit: float
    unit: str = ""

    @property
    def kept(self) -> bool:
        """Tell whether the figure keeps the limit; NaN does not."""
        return self.figure <= self.limit


def arrays_behind_a_stop() -> list[Finding]:
    """Count arrays of 2 MB that are alive when 20 ops have run before, or after, a stop."""
    import headgate as hg

    def alive(ops_before: int, ops_after: int) -> float:
        gc.collect()
        tracemalloc.start()
        x = hg.Variable(np.full(2 * MEGABYTE // 8, 0.5))
        scale = hg.Variable(1.0)
        with hg.GradientTape() as tape:
            value = x
            for _ in range(ops_before):
                value = hg.sin(value)
            value = hg.stop_gradient(value)
            for _ in range(ops_after):
                value = hg.sin(value)
            loss = hg.sum(value * scale)
        arrays = tracemalloc.get_traced_memory()[0] / (2 * MEGABYTE)
        tracemalloc.stop()
        assert np.isfinite(tape.gradient(loss, scale).numpy())
        return round(arrays, 2)

    alive(1, 1)
    gc.disable()
    return [
        Finding("2 MB arrays alive before backward, 20 ops before a stop", alive(20, 0), 3),
        Finding("2 MB arrays alive before backward, 20 ops after a stop", alive(0, 20), 3),
    ]


def reference_cycles() -> list[Finding]:
    """Count what only the cycle collector could free after 50 second-order steps."""
    import headgate as hg

    x = hg.Variable(np.linspace(0.1, 1.0, 10))

    def step() -> None:
        with hg.GradientTape() as outer:
            with hg.GradientTape() as inner:
                y = hg.sum(hg.sin(x) * hg.exp(x))
            slope = inner.gradient(y, x)
            total = hg.sum(slope * slope)
        x.assign_sub(1e-3 * outer.gradient(total, x))

    step()
    gc.collect()
    gc.disable()
    for _ in range(50):
        step()
    return [Finding("objects in reference cycles after 50 second-order steps", gc.collect(), 0)]


def long_chain(length: int = 200_000) -> list[Finding]:
    """Differentiate a chain far deeper than Python's stack; compare with the product of cosines."""
    import headgate as hg

    start = 0.5
    x = hg.Variable(start)
    with hg.GradientTape() as tape:
        y = x
        for _ in range(length):
            y = hg.sin(y)
    slope = float(tape.gradient(y, x).numpy())
    value, expected = start, 1.0
    for _ in range(length):
        expected *= math.cos(value)
        value = math.sin(value)
    error = abs(slope / expected - 1)
    return [Finding(f"relative error of the gradient of {length:,} ops in a chain", error, 1e-9)]


def training_for_long(steps: int = 100_000) -> list[Finding]:
    """Compare resident memory after a tenth of the steps and after all."""
    import headgate as hg

    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(8, 4)), random.normal(size=(8, 1))
    weights = [hg.Variable(random.normal(size=(4, 4))), hg.Variable(random.normal(size=(4, 1)))]
    early = math.nan
    for step in range(1, steps + 1):
        with hg.GradientTape() as tape:
            hidden = hg.tanh(hg.matmul(inputs, weights[0]))
            error = hg.matmul(hidden, weights[1]) - targets
            loss = hg.mean(error * error)
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(1e-3 * gradient)
        if step == steps // 10:
            early = resident()
    late = resident()
    return [
        Finding(f"resident memory after {steps // 10:,} training steps", early, math.inf, "MB"),
        Finding(f"resident memory after {steps:,} training steps", late, early + 1, "MB"),
    ]


def resident() -> float:
    """Return this process's resident memory in megabytes; off Linux, its peak."""
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmRSS"))
        return round(int(line.split()[1]) / 1024, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (MEGABYTE if sys.platform == "darwin" else 1024), 1)


def kept_losses(steps: int = 10_000) -> list[Finding]:
    """Count the nodes alive when every loss of a training was appended to a list."""
    import headgate as hg
    from headgate.record.graph import Node

    def nodes() -> int:
        return sum(isinstance(thing, Node) for thing in gc.get_objects())

    x = hg.Variable(np.linspace(0.1, 1.0, 10))
    losses = []
    before = nodes()
    for _ in range(steps):
        with hg.GradientTape() as tape:
            y = x
            for _ in range(10):
                y = hg.sin(y)
            loss = hg.sum(y)
        x.assign_sub(1e-3 * tape.gradient(loss, x))
        losses.append(loss)
    per_loss = (nodes() - before) / len(losses)
    # A loss may keep its own node, which is what lets `why` still answer; its graph must be gone.
    return [Finding(f"nodes alive per loss in a list of {steps:,} (12 recorded)", per_loss, 1.01)]


def compiled_step() -> list[Finding]:
    """How far the process rises while a compiled step of Adam writes 50 MB of variables."""
    import headgate as hg
    from benchmarks.peak import Peak
    from headgate import optim

    def rise(donate: bool | None) -> float:
        w, optimizer = hg.Variable(np.ones((4096, 1024), "f")), optim.Adam(1e-3)

        @hg.function(donate=donate)
        def step(x: Any) -> Any:
            with hg.GradientTape() as tape:
                loss = hg.sum((x @ w) ** 2)
            optimizer.apply([tape.gradient(loss, w)], [w])
            return loss

        x = np.ones((8, 4096), "f")
        for _ in range(3):
            step(x)
        peak = Peak()
        peak.begin()
        for _ in range(3):
            step(x)
        return (peak.read() or math.nan) / MEGABYTE

    return [
        Finding("rise in a compiled step of Adam that writes over 50 MB", rise(None), 40, "MB"),
        Finding("rise in one that does not (donate=False)", rise(False), math.inf, "MB"),
    ]


IMPORT = """
MEGABYTE = 2**20
began = time.process_time()
import numpy
before = resident()
import headgate
print(json.dumps([resident() - before, time.process_time() - began]))
"""


def at_import(rounds: int = 9) -> list[Finding]:
    """Measure what `import headgate` costs, from compiled files: medians over processes."""
    program = f"import json, sys, time\n\n{inspect.getsource(resident)}\n{IMPORT}"

    def printed() -> Any:
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        return json.loads(done.stdout)

    with tempfile.TemporaryDirectory() as folder:
        printed()  # writes the compiled files
        megabytes, seconds = np.median([printed() for _ in range(rounds)], axis=0)
    return [
        Finding("resident memory that import headgate adds to NumPy's", megabytes, 25, "MB"),
        Finding("CPU time of import headgate, NumPy's included", seconds, 0.4, "s"),
    ]


MEASUREMENTS: tuple[Callable[[], list[Finding]], ...] = (
    arrays_behind_a_stop,
    reference_cycles,
    long_chain,
    training_for_long,
    kept_losses,
    compiled_step,
    at_import,
)


def memory(console: Console) -> list[Finding]:
    """Take every measurement and print the table."""
    findings: list[Finding] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for measurement in MEASUREMENTS:
            with console.status(measurement.__name__.replace("_", " ")):
                try:
                    findings += pool.submit(measurement).result()
                except Exception as error:
                    console.print(f"[red]{measurement.__name__}[/]: {error!r}", highlight=False)
                    findings.append(Finding(measurement.__name__, math.nan, 0))
    result = Table(title="What Headgate keeps alive")
    result.add_column("measured")
    result.add_column("figure", justify="right")
    result.add_column("limit", justify="right")
    for finding in findings:
        limit = "" if finding.limit == math.inf else f"{finding.limit:g}"
        colour = "green" if finding.kept else "red"
        figure = f"{finding.figure:.4g} {finding.unit}".strip()
        result.add_row(finding.what, f"[{colour}]{figure}[/]", limit)
    console.print(result)
    return findings
