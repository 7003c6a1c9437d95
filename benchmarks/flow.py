"""What explanations cost: masks and sites on every op, a trace, a million iterations, a large page.

The build without masks and sites is the same library, with the lines that keep them taken out of
the functions that `headgate.core.row` writes. It runs in a process of its own, in turn with the
whole one, several rounds of each, and medians are compared.
"""

import json
import statistics
import subprocess
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

ROUNDS = 9


def _strip() -> None:
    """Take masks and sites out of the functions that are about to be written."""
    from headgate.core.row import Row

    whole = Row.lines

    def lines(self: Any) -> Any:
        for line in whole(self):
            if "cuts" in line and "admit" not in line and "ghost" not in line:
                words = line.strip()
                if words == "live = cuts = 0":
                    yield line.replace("live = cuts", "live")
                elif words.startswith("node.cuts"):
                    yield line.replace("= cuts", "= 0")
                elif words.startswith("if ") or words.endswith("is_inexact"):
                    yield line.split("if ")[0] + "if False:"
                elif "return record_many" in line:
                    yield line.replace(", cuts)", ", 0)")
                elif "sever(" in line:
                    yield line.split("cuts |=")[0] + "pass"
                continue
            if "ghost" in line:
                yield line.split("result.node")[0] + "result.node = None"
            elif "user_line" in line:
                yield line.replace("user_line()", "None")
            elif "recording.onlooker" in line:
                yield line.split("if ")[0] + "if False:" if "if " in line else line
            else:
                yield line

    Row.lines = lines  # type: ignore[method-assign]


def _programs(hg: Any) -> dict[str, Any]:
    """Return programs to time; each returns how many ops it ran."""
    x = hg.Variable(0.5)
    a, b = hg.Variable(hg.random.normal((32, 64))), hg.Variable(hg.random.normal((64,)))
    data = hg.random.normal((128, 32))

    def chain() -> int:
        with hg.GradientTape() as tape:
            y = x * 1.0
            for _ in range(100):
                y = hg.sin(y)
        tape.gradient(y, x)
        return 101

    def layers() -> int:
        with hg.GradientTape() as tape:
            y = hg.sum(hg.tanh(data @ a + b) ** 2)
        tape.gradient(y, [a, b])
        return 5

    return {"chain of 100 sin": chain, "dense layer, 128 x 32 x 64": layers}


def _time_one(mode: str) -> None:
    """Print the seconds per op of each program, in this process."""
    if mode == "without":
        _strip()
    import headgate as hg

    found = {}
    for name, program in _programs(hg).items():
        best = []
        for _ in range(7):
            start, ops = time.perf_counter(), 0
            while time.perf_counter() - start < 0.05:
                if mode == "trace":
                    with hg.trace():
                        for _ in range(10):
                            ops += program()
                else:
                    for _ in range(10):
                        ops += program()
            best.append((time.perf_counter() - start) / ops)
        found[name] = min(best)
    print(json.dumps(found))


def _loop() -> list[tuple[str, float]]:
    """Return µs per iteration of a long loop with a stop, early and late, and its cuts."""
    import headgate as hg

    w = hg.Variable(0.5)
    marks = []
    with hg.GradientTape() as tape:
        y = w * 1.0
        start = time.perf_counter()
        for k in range(1_000_000):
            y = hg.stop_gradient(y) * 0.5 + w
            if k % 100_000 == 99_999:
                now = time.perf_counter()
                marks.append((now - start) * 10)
                start = now
    cuts = len(tape._recording.cuts)
    return [("first 100,000", marks[0]), ("last 100,000", marks[-1]), ("cuts kept", float(cuts))]


def flow(console: Console) -> None:
    """Measure, and print tables."""
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(ROUNDS):
        for mode in ("without", "with", "trace"):
            command = [sys.executable, "-m", "benchmarks.flow", mode]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            for name, seconds in json.loads(text).items():
                times.setdefault(name, {}).setdefault(mode, []).append(seconds * 1e6)
    table = Table("µs per op, forward and backward", "masks off", "on", "ratio", "trace", "ratio")
    for name, by_mode in times.items():
        off, on, traced = (statistics.median(by_mode[m]) for m in ("without", "with", "trace"))
        ratio, traced_ratio = f"{on / off:.3f}", f"{traced / on:.2f}"
        table.add_row(name, f"{off:.2f}", f"{on:.2f}", ratio, f"{traced:.2f}", traced_ratio)
    console.print(table)
    for what, figure in _loop():
        console.print(f"loop of 1,000,000 with a stop inside, {what}: {figure:.2f}")


if __name__ == "__main__":
    _time_one(sys.argv[1])
