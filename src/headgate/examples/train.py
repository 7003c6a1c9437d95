"""The command `headgate train`: one program, or both of its arms, with a report and a picture.

A run has a folder: `run.json` with its settings, `metrics.jsonl`, `checkpoints/`, TensorBoard's
events if tensorboard is installed, and at the end `figures.json` and pictures. An ablation has such
a folder for each arm, and one picture of both.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import headgate
from headgate.examples.options import Ablate, NoStop, Out, Resume, Seed, Steps
from headgate.examples.progress import Stages
from headgate.examples.training import Program, Result, Run

ABLATION = "ablation.png"
ARMS = {"with-stop": True, "without-stop": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user asked for; None where nothing was said."""

    steps: int | None = None
    seed: int | None = None
    no_stop: bool = False
    out: Path | None = None
    resume: bool = False
    ablate: bool = False


class Refused(Exception):
    """The settings do not fit together, or do not fit what is in the folder."""


def load(name: str) -> Program:
    """Return a program by its name.

    Raises:
        ModuleNotFoundError: a library that it uses is not installed.
    """
    module = import_module(f"headgate.examples.{name.replace('-', '_')}")
    return module.PROGRAM  # type: ignore[no-any-return]


def main(program: Program) -> None:
    """Run a program as a command, with the options of `headgate train`."""

    def run(
        steps: Steps = None,
        seed: Seed = None,
        no_stop: NoStop = False,
        out: Out = None,
        resume: Resume = False,
        ablate: Ablate = False,
    ) -> None:
        settings = Settings(steps, seed, no_stop, out, resume, ablate)
        raise typer.Exit(execute(program, settings, Console()))

    run.__doc__ = f"{program.title}."
    typer.run(run)


def execute(program: Program, settings: Settings, console: Console) -> int:
    """Run a program as asked, report, and return the exit status.

    Returns:
        0; 1 if a full run with stops did not reach its goals; 2 if the settings do not fit.
    """
    errors = Console(stderr=True)
    try:
        arms = run(program, settings, console)
    except Refused as refusal:
        errors.print(str(refusal), markup=False, highlight=False, soft_wrap=True)
        return 2
    missed = report(program, arms, console)
    for sentence in missed:
        errors.print(sentence, style="bold red", markup=False, soft_wrap=True)
    return 1 if missed else 0


@dataclass(frozen=True, slots=True)
class Arm:
    """One run that has ended."""

    run: Run
    result: Result
    out: Path


def run(program: Program, settings: Settings, console: Console) -> list[Arm]:
    """Run a program, or both of its arms; write figures and pictures."""
    # It comes with scikit-learn. Matrices as small as these gain nothing from several threads;
    # with one, a seed also gives the same bits.
    from threadpoolctl import threadpool_limits

    if (settings.ablate or settings.no_stop) and not program.without_stop:
        raise Refused(f"{program.name} has no stop that could be left out")
    if settings.ablate and settings.no_stop:
        raise Refused("--ablate runs both arms: leave out --no-stop")
    out = settings.out or Path("headgate-train") / program.name
    folders = {out / arm: stops for arm, stops in ARMS.items()}
    if not settings.ablate:
        folders = {out: not settings.no_stop}
    prepared = {out: prepare(program, settings, stops, out) for out, stops in folders.items()}
    arms = []
    with threadpool_limits(1):
        for folder, known in prepared.items():
            stages = Stages(console)
            each = Run(
                known["steps"], known["seed"], known["stops"], folder, settings.resume, stages
            )
            console.print(
                f"{program.title}{'' if each.stops else ', without its stop'}: "
                f"{each.total} steps, seed {each.seed}, into {folder}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            with stages.bars:
                result = program.train(each)
            arms.append(Arm(each, result, folder))
            conclude(program, arms[-1])
    if settings.ablate:
        from headgate.examples import pictures

        pictures.curves(
            out / ABLATION,
            f"{program.title}: with and without its stop",
            {name: arm.run.history for name, arm in zip(("with stop", "without"), arms)},
            program.curves,
        )
    return arms


def prepare(program: Program, settings: Settings, stops: bool, out: Path) -> dict[str, Any]:
    """Look into the folder of a run; note the settings there, and return them."""
    file = out / "run.json"
    asked = {"program": program.name, "seed": settings.seed, "stops": stops}
    if file.exists():
        known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if not settings.resume:
            raise Refused(
                f"{out} holds a run of {known['program']} already: add --resume to go on with it, "
                "or name another folder with --out"
            )
        for what, value in asked.items():
            if value is not None and value != known[what]:
                raise Refused(
                    f"the run in {out} has {what} {known[what]}, not {value}: resume it as it is, "
                    "or name another folder with --out"
                )
    elif settings.resume:
        raise Refused(f"{out} holds no run to go on with: leave out --resume")
    else:
        known = {**asked, "seed": settings.seed or 0, "steps": program.steps}
    known["steps"] = settings.steps or known["steps"]
    try:
        out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known) + "\n", encoding="utf-8")
    except OSError as error:
        raise Refused(f"cannot write into {out}: {error.strerror}") from None
    return known


def conclude(program: Program, arm: Arm) -> None:
    """Write the figures and pictures of a run."""
    from headgate.examples import pictures

    figures = {
        "program": program.name,
        "steps": arm.run.total,
        "seed": arm.run.seed,
        "stops": arm.run.stops,
        "seconds": arm.run.seconds,
        "figures": arm.result.figures,
        "headgate": headgate.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "date": time.strftime("%Y-%m-%d"),
    }
    text = json.dumps(figures, indent=1) + "\n"
    (arm.out / "figures.json").write_text(text, encoding="utf-8")
    pictures.curves(arm.out / "curves.png", program.title, {"": arm.run.history}, program.curves)
    if arm.result.images is not None:
        pictures.images(arm.out / "images.png", arm.result.images, arm.result.labels)


def report(program: Program, arms: list[Arm], console: Console) -> list[str]:
    """Print the figures; return what a full run with stops should have reached and did not."""
    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    for arm in arms:
        table.add_column("with stop" if arm.run.stops else "without", justify="right")
    table.add_column("goal", justify="right")
    for name in arms[0].result.figures:
        values = [shown(arm.result.figures.get(name, math.nan)) for arm in arms]
        table.add_row(name, *values, goal(program, name))
    console.print(table)
    if not all(arm.run.stops for arm in arms):
        console.print(f"Without the stop: {escape(program.without_stop)}", soft_wrap=True)
    written = [arm.out for arm in arms]
    if len(arms) > 1:
        written.append(arms[0].out.parent / ABLATION)
    for path in written:
        console.print(f"Written: {path}", markup=False, highlight=False, soft_wrap=True)
    full = [arm for arm in arms if arm.run.stops and arm.run.total >= program.steps]
    return [sentence for arm in full for sentence in missed(program, arm.result.figures)]


def goal(program: Program, name: str) -> str:
    """Return the goal that a figure has, as text."""
    if name in program.least:
        return f"≥ {shown(program.least[name])}"
    return f"≤ {shown(program.most[name])}" if name in program.most else ""


def missed(program: Program, figures: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each goal that some figures miss."""
    reached = {name: figures[name] >= least for name, least in program.least.items()}
    reached |= {name: figures[name] <= most for name, most in program.most.items()}
    return [
        f"{program.name}: {name} is {shown(figures[name])}, not {goal(program, name)}"
        for name, good in reached.items()
        if not good
    ]


def shown(value: float) -> str:
    """Return a figure as text, with four digits."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
