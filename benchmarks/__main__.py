"""The command line: `python -m benchmarks`; with the name of a command, other figures."""

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import plot as plots
from benchmarks import report, workloads
from benchmarks.compare import compare
from benchmarks.flow import flow as measure_flow
from benchmarks.memory import memory as measure_memory
from benchmarks.peers import GROUPS, PEERS

app = typer.Typer(add_completion=False, help="Time Headgate and its peers at equal work.")


def chosen(option: str, given: str, known: Iterable[str]) -> list[str]:
    """Split a comma-separated option and refuse names that do not exist."""
    names = [name.strip() for name in given.split(",")] if given else list(known)
    for name in names:
        if name not in known:
            raise typer.BadParameter(
                f"{name!r} is not one of {', '.join(known)}", param_hint=option
            )
    return names


def chosen_peers(given: str) -> list[str]:
    """Split the option, with the names of groups replaced by those of their peers."""
    names = chosen("--peers", given, [*PEERS, *GROUPS]) if given else list(PEERS)
    return list(dict.fromkeys(peer for name in names for peer in GROUPS.get(name, [name])))


def installed(peers: list[str], console: Console) -> list[str]:
    """Leave out the peers that are not here, and say so."""
    for peer in peers:
        if missing := PEERS[peer].missing():
            console.print(
                f"[yellow]{peer} is left out[/]: not installed here: {', '.join(missing)}"
            )
    return [peer for peer in peers if not PEERS[peer].missing()]


@app.callback(invoke_without_command=True)
def steps(
    context: typer.Context,
    peers: Annotated[
        str, typer.Option(help=f"Of {', '.join(PEERS)}; or {' or '.join(GROUPS)}.")
    ] = "",
    workload_names: Annotated[
        str, typer.Option("--workloads", help=f"Of {', '.join(workloads.MAKERS)}.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Turns per peer and workload.")] = 7,
    seconds: Annotated[float, typer.Option(help="Length of a turn.")] = 0.3,
    threads: Annotated[int, typer.Option(min=1, help="Threads and cores per peer.")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write figures here.")] = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help=f"Draw figures here: {', '.join(plots.FORMATS)}.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the README's tables.")
    ] = False,
) -> None:
    """Time one training step in every installed peer; exits with 1 if one could not take part."""
    if context.invoked_subcommand is not None:
        return
    console = Console(stderr=markdown)
    wanted = installed(chosen_peers(peers), console)
    names = chosen("--workloads", workload_names, workloads.MAKERS)
    if plot_file is not None:
        try:
            plots.check(plot_file, wanted)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--plot") from None
    comparison = compare(wanted, names, rounds, seconds, threads, console)
    if json_file is not None:
        json_file.write_text(json.dumps(comparison.to_json(), indent=1) + "\n")
    if markdown:
        print(report.markdown(comparison))
    else:
        for grid in report.grids(comparison):
            console.print(grid.terminal(), "")
        console.print(report.conditions(comparison), highlight=False)
    if plot_file is not None:
        plots.plot(comparison, plot_file)
    sys.exit(not comparison.complete)


@app.command()
def memory() -> None:
    """Count what Headgate keeps alive; exits with 1 if a limit is broken."""
    findings = measure_memory(Console())
    sys.exit(not all(finding.kept for finding in findings))


@app.command()
def flow() -> None:
    """Measure what explanations cost: masks and sites, traces, a long loop."""
    measure_flow(Console())


@app.command()
def dispatch(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each function.")] = 51,
) -> None:
    """Measure what a call of hg.function costs above one of bare jax.jit."""
    from benchmarks.dispatch import dispatch as measure_dispatch

    measure_dispatch(rounds, Console())


@app.command()
def gradient_cost(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each function.")] = 15,
) -> None:
    """Compare value and gradient with the value alone; exits with 1 if it costs too much."""
    from benchmarks.gradient_cost import gradient_cost as measure_gradient_cost

    sys.exit(not measure_gradient_cost(rounds, Console()))


@app.command()
def results(
    programs: Annotated[
        str, typer.Option(help="Names as of `headgate train`; all by default.")
    ] = "",
    folder: Annotated[
        Path | None,
        typer.Option(help="Keep the runs there; those that it holds already are not repeated."),
    ] = None,
    document: Annotated[Path, typer.Option(help="Where to write.")] = Path("docs/results.md"),
) -> None:
    """Train all programs in full, with and without their stops; exits with 1 if one falls short."""
    from benchmarks.results import results as run_results
    from headgate.examples.options import Name

    names = chosen("--programs", programs, list(Name))
    with tempfile.TemporaryDirectory() as scratch:  # else runs of older programs would count
        reached = run_results(names, folder or Path(scratch), document, Console())
    sys.exit(not reached)


@app.command()
def training(
    programs: Annotated[
        str, typer.Option(help="Of gan, vae, dqn, actor-critic; all by default.")
    ] = "",
    peers: Annotated[
        str, typer.Option(help="Of headgate, torch, tensorflow, tensorflow-function.")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Turns per peer and program.")] = 5,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of a turn; 500.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write figures here.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a table in Markdown.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Show instead what each peer reaches in a full run.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the runs of --check.")] = 0,
) -> None:
    """Time whole training programs in Headgate, PyTorch and TensorFlow."""
    from benchmarks import training

    console = Console(stderr=markdown)
    names = chosen("--programs", programs, training.NAMES)
    wanted = installed(chosen("--peers", peers, training.TAKING_PART), console)
    if check:
        training.check(names, wanted, steps, seed, console)
        return
    comparison = training.compare(names, wanted, rounds, steps or training.STEPS, console)
    if markdown:
        print(training.markdown(comparison))
    else:
        console.print(training.table(comparison))
        console.print(training.conditions(comparison), highlight=False)
    if json_file is not None:
        json_file.write_text(json.dumps(comparison.to_json(), indent=1) + "\n")


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
