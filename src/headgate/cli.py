"""The `headgate` command.

Each command imports what it needs when it is called, so that `headgate --version` is quick and a
missing optional library matters only to the command that uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import headgate

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
    try:
        from headgate.examples import demo as program
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "headgate"):
            raise
        errors.print(
            f"The demo needs {missing}, which is not installed. "
            "Install what the examples use: pip install 'headgate[examples]'",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(2) from None
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


def main() -> None:
    """Run the command line."""
    app(prog_name="headgate")


if __name__ == "__main__":
    main()
