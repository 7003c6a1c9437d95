"""The `headgate` command.

Each command imports what it needs when it is called, so that `headgate --version` is quick and a
missing optional library matters only to the command that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import headgate
from headgate.examples.options import Ablate, Name, NoStop, Out, Resume, Seed, Steps

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"headgate {headgate.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Automatic differentiation that controls gradient flow and shows it."""


@contextmanager
def _examples_installed() -> Iterator[None]:
    """Say what to install if an import of what the examples use fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "headgate"):
            raise
        Console(stderr=True).print(
            f"The examples need {missing}, which is not installed. "
            "Install what they use: pip install 'headgate[examples]'",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(2) from None


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for pictures and figures.", file_okay=False)
    ] = Path("headgate-demo"),
    seed: Annotated[int, typer.Option(help="Makes a run repeatable.", min=0)] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Run for seconds only: nothing learns much.")
    ] = False,
) -> None:
    """Train the three programs of the article on stop_gradient, as written and corrected.

    Ends with exit code 1 if the corrected programs did not learn what they should.
    """
    errors = Console(stderr=True)
    with _examples_installed():
        from headgate.examples import demo as program
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        errors.print(f"Cannot write into {out}: {error.strerror}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    shortfalls = program.run(out, seed, quick, Console())
    for sentence in shortfalls:
        errors.print(sentence, style="bold red", markup=False, soft_wrap=True)
    if shortfalls:
        raise typer.Exit(1)


@app.command()
def train(
    name: Annotated[Name, typer.Argument(help="The program.", show_default=False)],
    steps: Steps = None,
    seed: Seed = None,
    no_stop: NoStop = False,
    out: Out = None,
    resume: Resume = False,
    ablate: Ablate = False,
) -> None:
    """Train one of nine programs that stop gradients, with or without its stop.

    Metrics go to metrics.jsonl (and to TensorBoard if it is installed), figures
    to figures.json, pictures to PNG files, checkpoints to checkpoints/, all in
    one folder.

    Exit status: 0; 1 if a full run with its stop misses a goal; 2 if it cannot
    be run.

    \b
    Examples:
      headgate train gan
      headgate train simsiam --ablate --seed 1
      headgate train dqn --out runs/dqn --resume
    """
    with _examples_installed():
        from headgate.examples.train import Settings, execute, load

        program = load(name)
    settings = Settings(steps, seed, no_stop, out, resume, ablate)
    raise typer.Exit(execute(program, settings, Console()))


@app.command(context_settings={"allow_interspersed_args": False})
def why(
    script: Annotated[str, typer.Argument(metavar="SCRIPT", help="The script, unchanged.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGS", help="The script's own arguments and options."),
    ] = None,
    module: Annotated[
        bool, typer.Option("-m", "--module", help="SCRIPT is a module, as with python -m.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as JSON, too.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the flow of gradient, as one page for a browser."),
    ] = None,
    sarif: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the findings as SARIF, for code reviews."),
    ] = None,
    matrix: Annotated[
        bool,
        typer.Option(
            "--matrix",
            help="Tell which term of each loss reaches which parameters, as a table for each line "
            "that asks for gradients.",
        ),
    ] = False,
    no_flow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Gradient must not reach parameters of such names (* and ? match anything). "
            "PATTERN@FUNCTION or PATTERN@FILE:LINE speaks only of gradient calls there. "
            "May be repeated.",
        ),
    ] = None,
    flow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Gradient must reach parameters of such names. May be repeated.",
        ),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Only the Nth time that each gradient call is reached, from 0. "
            "Without this, all of them are judged together.",
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Look closely at every Nth time that each gradient call is reached. Without this, "
            "at the first ones and ever fewer later; and always when something changes.",
        ),
    ] = None,
) -> None:
    """Run a script and explain every gradient that is missing, zero or unwanted.

    The script runs as python SCRIPT ARGS would run it. Options of headgate stand
    before SCRIPT; all that stands behind it is the script's own. Once the script
    has ended, the findings follow on standard output, the most important first,
    each in three lines: what, where, what to do.

    Exit status: 0 without findings; 1 with findings; 2 if the script failed or
    could not be run, or if an option names a parameter or a gradient call that
    the script does not have.

    \b
    Examples:
      headgate why train.py --epochs 3
      headgate why --json report.json --html map.html train.py
      headgate why --no-flow "target/*" train.py
      headgate why --step 0 -m package.train
      headgate why --matrix --sarif why.sarif train.py
    """
    from headgate.flow.run import CannotRun, Question
    from headgate.flow.run import why as explain
    from headgate.flow.watcher import watchers

    question = Question(
        script=script,
        arguments=arguments or (),
        module=module,
        json=json,
        html=html,
        sarif=sarif,
        no_flow=no_flow or (),
        flow=flow or (),
        step=step,
        every=every,
        matrix=matrix,
    )
    try:
        status = explain(question, lambda: watchers(step, every))
    except CannotRun as refusal:
        Console(stderr=True).print(str(refusal), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    raise typer.Exit(status)


def main() -> None:
    """Run the command line."""
    app(prog_name="headgate")


if __name__ == "__main__":
    main()
