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
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

import headgate
from headgate.examples.options import Name
from headgate.examples.train import goal, load, shown
from headgate.examples.training import METRICS, Program, read_metrics

SEEDS = (0, 1, 2)
ARMS = ("with stop", "without")
Found = dict[tuple[str, int], dict[str, Any]]
"""What the runs of one program wrote, by arm and seed."""

LIBRARIES = ("numpy", "scikit-learn", "gymnasium")


@dataclass(frozen=True, eq=False, slots=True)
class Job:
    """One run of a program."""

    program: Program
    arm: str
    seed: int
    out: Path

    def __call__(self) -> dict[str, Any]:
        """Run it to its end, unless that was done before, and return what it wrote."""
        written = self.out / "figures.json"
        if not written.exists():
            self._run()
        return json.loads(written.read_text(encoding="utf-8"))

    def _run(self) -> None:
        line = [sys.executable, "-m", "headgate.cli", "train", self.program.name]
        if (self.out / "run.json").exists():
            line += ["--resume"]
        line += ["--seed", str(self.seed), "--out", str(self.out)]
        line += ["--no-stop"] * (self.arm == "without")
        limits = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, **limits})
        if done.returncode not in (0, 1):  # 1: a goal was missed, which the table shows
            raise RuntimeError(f"{' '.join(line)} failed:\n{done.stdout}{done.stderr}")


def jobs(programs: Sequence[Program], folder: Path) -> Iterator[Job]:
    """Yield all runs, program by program."""
    for program in programs:
        for seed in SEEDS:
            for arm in ARMS if program.without_stop else ARMS[:1]:
                yield Job(program, arm, seed, folder / program.name / arm / str(seed))


def table(program: Program, found: Found) -> list[str]:
    """Return a program's figures as a table in Markdown: mean over seeds, and each seed."""
    arms = [arm for arm in ARMS if (arm, SEEDS[0]) in found]
    heads = arms if program.without_stop else ["reached"]
    lines = [
        f"| figure | {' | '.join(heads)} | goal |",
        f"|---|{'---:|' * len(arms)}---|",
    ]
    for name in found[arms[0], SEEDS[0]]["figures"]:
        cells = []
        for arm in arms:
            each = ", ".join(shown(found[arm, seed]["figures"][name]) for seed in SEEDS)
            cells.append(f"**{shown(mean_of(found, arm, name))}** ({each})")
        lines.append(f"| {plain(name)} | {' | '.join(cells)} | {goal(program, name)} |")
    cells = [shown(statistics.fmean(found[arm, seed]["seconds"] for seed in SEEDS)) for arm in arms]
    return [*lines, f"| seconds for {found[arms[0], 0]['steps']} steps | {' | '.join(cells)} | |"]


def mean_of(found: Found, arm: str, name: str) -> float:
    """Return the mean of a figure over the seeds."""
    return statistics.fmean(found[arm, seed]["figures"][name] for seed in SEEDS)


def missed(program: Program, found: Found) -> list[str]:
    """Return the goals that the mean over the seeds misses."""
    least = [n for n, value in program.least.items() if not mean_of(found, ARMS[0], n) >= value]
    most = [n for n, value in program.most.items() if not mean_of(found, ARMS[0], n) <= value]
    return least + most


def overview(programs: Sequence[Program], found: dict[str, Found]) -> list[str]:
    """Return one row for each program: the figures that have a goal, in both arms."""
    lines = [
        "| program | goal | with stop | without | what is seen without |",
        "|---|---|---|---|---|",
    ]
    for program in programs:
        names = [*program.least, *program.most]
        cells = ["<br>".join(f"{plain(name)} {goal(program, name)}" for name in names)]
        for arm in ARMS:
            if arm == ARMS[0] or program.without_stop:
                means = [(name, mean_of(found[program.name], arm, name)) for name in names]
                cells.append("<br>".join(f"{plain(name)} {shown(mean)}" for name, mean in means))
            else:
                cells.append("")
        cells.append(program.without_stop or "it has no stop")
        lines.append(f"| {' | '.join([program.name, *cells])} |")
    return lines


def plain(name: str) -> str:
    """Return the name of a figure as words."""
    return name.replace("_", " ")


def section(program: Program, found: Found, picture: str) -> list[str]:
    """Return what is told of one program."""
    return [
        f"## {program.name}",
        "",
        f"{program.title}.",
        *([f"Without the stop: {program.without_stop}."] * bool(program.without_stop)),
        "",
        *table(program, found),
        "",
        *(beside_jax(program.steps) if program.name == Name.VAE else []),
        f"![curves of {program.name}]({picture})",
        "",
    ]


def beside_jax(steps: int) -> list[str]:
    """Return what the VAE reaches when it is written in JAX."""
    from benchmarks.jax_vae import elbo

    reached = [elbo(seed, steps) for seed in SEEDS]
    each = ", ".join(map(shown, reached))
    version = metadata.version("jax")
    return [
        f"The same program in JAX {version} (`benchmarks/jax_vae.py`): elbo "
        f"**{shown(statistics.fmean(reached))}** ({each}).",
        "",
    ]


def conditions(seconds: float) -> str:
    """Say what the figures were measured on."""
    versions = {"Python": platform.python_version(), "headgate": headgate.__version__}
    versions |= {name: metadata.version(name) for name in LIBRARIES}
    return (
        f"Measured on {time.strftime('%Y-%m-%d')} by `make results`, {seconds / 60:.0f} minutes of "
        f"training in all: {platform.platform()}, {os.cpu_count()} cores, "
        f"{', '.join(map(' '.join, versions.items()))}. "
        f"Seeds {', '.join(map(str, SEEDS))}; one thread per run, so that a seed gives the same "
        "figures again on the same machine, times excepted."
    )


def results(programs: Sequence[str], folder: Path, document: Path, console: Console) -> bool:
    """Run programs in full and write the document; return whether all goals were reached.

    Runs that `folder` holds already are not repeated, and those that were ended are resumed.
    """
    from headgate.examples import pictures

    chosen = [load(name) for name in programs or list(Name)]
    shelf = document.parent / document.stem
    shelf.mkdir(parents=True, exist_ok=True)
    found: dict[str, Found] = {}
    sections, shortfalls = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = {job: pool.submit(job) for job in jobs(chosen, folder)}
        for program in chosen:
            mine = [job for job in waiting if job.program is program]
            found[program.name] = {(job.arm, job.seed): waiting[job].result() for job in mine}
            histories = {
                job.arm: read_metrics(job.out / METRICS, program.steps)
                for job in mine
                if job.seed == SEEDS[0]
            }
            picture = shelf / f"{program.name}.png"
            pictures.curves(picture, program.title, histories, program.curves)
            failed = missed(program, found[program.name])
            shortfalls += [f"{program.name}: {name}" for name in failed]
            console.print(f"{program.name}: {f'missed {failed}' if failed else 'goals reached'}")
            sections += section(program, found[program.name], f"{shelf.name}/{picture.name}")
    seconds = sum(run["seconds"] for runs in found.values() for run in runs.values())
    lines = [
        "# Nine programs, with and without their stops",
        "",
        conditions(seconds),
        "Each figure is the mean over the seeds, in brackets that of each seed.",
        "The curves are those of the first seed.",
        f"Missed: {', '.join(shortfalls)}." if shortfalls else "All goals were reached.",
        "",
        *overview(chosen, found),
        "",
        *sections,
    ]
    document.write_text("\n".join(lines), encoding="utf-8")
    return not shortfalls
