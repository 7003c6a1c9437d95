"""The training programs in full: each with several seeds, with and without its stop.

Each run is a process of its own, `headgate train`, on one thread; as many as there are cores run at
once. What the processes wrote is gathered into `docs/results.md`, with a picture for each program.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from headgate.examples.options import Name
from headgate.examples.train import goal, load, shown
from headgate.examples.training import METRICS, Program, read_metrics

SEEDS = (0, 1, 2)
ARMS = ("with stop", "without")
LIBRARIES = ("headgate", "numpy", "scikit-learn", "gymnasium")


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a program."""

    program: Program
    arm: str
    seed: int
    out: Path

    def __call__(self) -> dict[str, Any]:
        """Run it to its end and return what it wrote."""
        line = [sys.executable, "-m", "headgate.cli", "train", self.program.name]
        line += ["--seed", str(self.seed), "--out", str(self.out)]
        line += ["--no-stop"] * (self.arm == "without")
        limits = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, **limits})
        if done.returncode not in (0, 1):  # 1: a goal was missed, which the table shows
            raise RuntimeError(f"{' '.join(line)} failed:\n{done.stdout}{done.stderr}")
        return json.loads((self.out / "figures.json").read_text(encoding="utf-8"))


def jobs(programs: Sequence[Program], folder: Path) -> Iterator[Job]:
    """Yield all runs, the longest programs' first."""
    for program in programs:
        for seed in SEEDS:
            for arm in ARMS if program.without_stop else ARMS[:1]:
                yield Job(program, arm, seed, folder / program.name / arm / str(seed))


def table(program: Program, found: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Return a program's figures as a table in Markdown: mean over seeds, and each seed."""
    arms = [arm for arm in ARMS if (arm, SEEDS[0]) in found]
    lines = [
        f"| figure | {' | '.join(arms)} | goal |",
        f"|---|{'---:|' * len(arms)}---|",
    ]
    for name in found[arms[0], SEEDS[0]]["figures"]:
        cells = []
        for arm in arms:
            values = [found[arm, seed]["figures"][name] for seed in SEEDS]
            each = ", ".join(map(shown, values))
            cells.append(f"**{shown(statistics.fmean(values))}** ({each})")
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} | {goal(program, name)} |")
    cells = [shown(statistics.fmean(found[arm, seed]["seconds"] for seed in SEEDS)) for arm in arms]
    return [*lines, f"| seconds for {found[arms[0], 0]['steps']} steps | {' | '.join(cells)} | |"]


def missed(program: Program, found: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Return the goals that the mean over the seeds misses."""

    def mean(name: str) -> float:
        return statistics.fmean(found[ARMS[0], seed]["figures"][name] for seed in SEEDS)

    least = [name for name, value in program.least.items() if not mean(name) >= value]
    return least + [name for name, value in program.most.items() if not mean(name) <= value]


def conditions(seconds: float) -> str:
    """Say what the figures were measured on."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    return (
        f"Measured on {time.strftime('%Y-%m-%d')} by `make results` in {seconds / 60:.0f} minutes: "
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{versions}. Seeds {', '.join(map(str, SEEDS))}; one thread per run, so a seed gives the "
        "same figures again on the same machine, times excepted."
    )


def results(programs: Sequence[str], document: Path, console: Console) -> bool:
    """Run programs in full and write the document; return whether all goals were reached."""
    from headgate.examples import pictures

    chosen = [load(name) for name in programs or list(Name)]
    pictures_folder = document.parent / document.stem
    pictures_folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    sections, shortfalls = [], []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = {job: pool.submit(job) for job in jobs(chosen, Path(folder))}
        for program in chosen:
            mine = [job for job in waiting if job.program is program]
            found = {(job.arm, job.seed): waiting[job].result() for job in mine}
            histories = {
                job.arm: read_metrics(job.out / METRICS, program.steps)
                for job in mine
                if job.seed == SEEDS[0]
            }
            picture = pictures_folder / f"{program.name}.png"
            pictures.curves(picture, program.title, histories, program.curves)
            failed = missed(program, found)
            shortfalls += [f"{program.name}: {name}" for name in failed]
            console.print(
                f"{program.name}: " + ("all goals reached" if not failed else f"missed {failed}")
            )
            sections.append(
                "\n".join(
                    [
                        f"## {program.name}",
                        "",
                        f"{program.title}.",
                        *(
                            [f"Without the stop: {program.without_stop}."]
                            if program.without_stop
                            else []
                        ),
                        "",
                        *table(program, found),
                        "",
                        f"![curves of {program.name}]({document.stem}/{picture.name})",
                        "",
                    ]
                )
            )
    head = [
        "# Nine programs, with and without their stops",
        "",
        conditions(time.perf_counter() - began),
        "Each figure is the mean over the seeds, in brackets the figure of each seed.",
        "The curves are those of the first seed.",
        "",
        *(["All goals were reached.", ""] if not shortfalls else [f"Missed: {shortfalls}.", ""]),
    ]
    document.write_text("\n".join([*head, *sections]), encoding="utf-8")
    return not shortfalls
