"""Figures as tables, for a terminal and in markdown.

A `Grid` is a table as plain strings. There is one of steps and one of memory for the compiled
peers and for the eager ones, with workloads as rows, and one of first steps for the compiled ones.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from rich import box
from rich.table import Table

from benchmarks.compare import Comparison, Row
from benchmarks.peak import RESOLUTION
from benchmarks.peers import GROUPS, PEERS

OURS = "headgate"
OURS_COMPILED = "headgate-function"
SAME_COMPILER = "jax-jit"
MEGABYTE = 1e6
QUIET = 0.5  # half-range over rounds, relative to the median, of an undisturbed run

Columns = dict[str, Callable[[Row], str]]
"""Heading -> what a workload has in that column."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its title, the headings, and a row of cells for each workload."""

    title: str
    headings: list[str]
    names: list[str]
    rows: list[list[str]]

    def terminal(self) -> Table:
        """Return the table for rich, with the workloads' names."""
        # All lines are broken here, or a terminal of 80 columns would break numbers.
        result = Table(title=self.title, box=box.SIMPLE_HEAD, show_edge=False, padding=0)
        result.add_column("workload", no_wrap=True)
        for heading in self.headings:
            result.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
        for name, row in zip(self.names, self.rows, strict=True):
            result.add_row(name, *(cell.replace(" (", "\n(") for cell in row))
        return result


# -- figures ---------------------------------------------------------------------------------------


def digits(figure: float) -> str:
    """Format a figure with three digits, of which at most two are behind the point."""
    return f"{figure:.{2 if figure < 10 else 1 if figure < 100 else 0}f}"


def duration(seconds: float) -> str:
    """Format a duration with three digits: microseconds below a tenth of a millisecond."""
    for least, scale, unit in ((1.0, 1.0, "s"), (1e-4, 1e3, "ms"), (0.0, 1e6, "µs")):
        if seconds >= least:
            return f"{digits(seconds * scale)} {unit}"
    raise ValueError(f"{seconds} s is no duration")


def peers_of(comparison: Comparison) -> list[str]:
    """Return the peers that have a figure or a reason for having none."""
    return [
        peer
        for peer in PEERS
        if any(peer in row.rounds or peer in row.refused for row in comparison.rows)
    ]


def ours_of(comparison: Comparison) -> str:
    """Return which of our peers the others are compared with: the compiled one if it is here."""
    return OURS_COMPILED if OURS_COMPILED in peers_of(comparison) else OURS


def best_time(row: Row) -> float | None:
    """Return the median of the fastest compiled peer that is not ours."""
    others = (p for p in row.rounds if p in GROUPS["compiled"] and p != OURS_COMPILED)
    return min((statistics.median(row.rounds[peer]) for peer in others), default=None)


def quotient(above: float | None, below: float | None) -> str:
    """Format a ratio of two figures, where there are both."""
    return "" if above is None or below is None else digits(above / below)


# -- cells -----------------------------------------------------------------------------------------


def step_cell(row: Row, peer: str, ours: str) -> str:
    """Return the peer's median and how many times ours it takes."""
    median = row.median(peer)
    if median is None:
        return "not timed" if peer in row.refused else ""
    ratio = quotient(median, row.median(ours)) if peer != ours else ""
    return f"{duration(median)} ({ratio}×)" if ratio else duration(median)


def first_step_cell(row: Row, peer: str) -> str:
    """Return how long the peer's first step took."""
    return duration(row.first_step[peer]) if peer in row.first_step else ""


def memory_cell(row: Row, peer: str) -> str:
    """Return the megabytes that the peer needs."""
    if peer not in row.memory:
        return ""
    needed = row.memory[peer]
    return (
        f"{needed / MEGABYTE:.0f} MB" if needed >= RESOLUTION else f"< {RESOLUTION / MEGABYTE:g} MB"
    )


# -- tables ----------------------------------------------------------------------------------------


def grids(comparison: Comparison) -> Iterator[Grid]:
    """Yield the tables that have a column."""
    ours = ours_of(comparison)
    present = peers_of(comparison)
    compiled, eager = ([p for p in present if p in GROUPS[g]] for g in ("compiled", "eager"))

    def columns(peers: list[str], cell: Callable[[Row, str], str]) -> Columns:
        return {PEERS[peer].title: partial(cell, peer=peer) for peer in peers}

    def step(row: Row, peer: str) -> str:
        return step_cell(row, peer, ours)

    def versus_best(row: Row) -> str:
        return quotient(row.median(ours), best_time(row))

    def versus_jit(row: Row) -> str:
        return quotient(row.first_step.get(OURS_COMPILED), row.first_step.get(SAME_COMPILER))

    steps, first_steps = columns(compiled, step), columns(compiled, first_step_cell)
    if any(versus_best(row) for row in comparison.rows):
        steps["ours/best peer"] = versus_best
    if any(versus_jit(row) for row in comparison.rows):
        first_steps["ours/JAX jit"] = versus_jit
    name = PEERS[ours].title
    tables = {
        f"One step, compiled (× {name})": steps,
        f"One step, eager (× {name})": columns(eager, step),
        "First step, compile time included": first_steps,
        "Peak memory, compiled": columns(compiled, memory_cell),
        "Peak memory, eager": columns(eager, memory_cell),
    }
    names = [row.name for row in comparison.rows]
    for title, table in tables.items():
        if table:
            rows = [[cell(row) for cell in table.values()] for row in comparison.rows]
            yield Grid(title, list(table), names, rows)


def markdown(comparison: Comparison) -> str:
    """Return all tables in markdown with the conditions below them."""
    titles = [row.title for row in comparison.rows]
    parts = []
    for grid in grids(comparison):
        lines = [f"| {' | '.join([grid.title, *grid.headings])} |"]
        lines.append("|---|" + "---:|" * len(grid.headings))
        lines += [f"| {' | '.join([title, *row])} |" for title, row in zip(titles, grid.rows)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, conditions(comparison)]) + "\n"


def conditions(comparison: Comparison) -> str:
    """Say in one paragraph what the figures were measured on and how."""
    machine, settings = comparison.machine, comparison.settings
    versions = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    spreads = [
        ((max(times) - min(times)) / 2 / (row.median(peer) or 1), peer, row.name)
        for row in comparison.rows
        for peer, times in row.rounds.items()
    ]
    text = (
        f"{machine['processor']}, {machine['cores']} cores (load before: {machine['load']}), "
        f"{settings['threads']} threads; {machine['system']}; Python {machine['python']}; "
        f"{versions}. "
        f"Median over {settings['rounds']} interleaved rounds of {settings['seconds']} s; float32."
    )
    if spreads:
        widest, peer, name = max(spreads)
        text += f" Widest half-range over rounds: {widest:.0%} ({peer}, {name})."
        if widest > QUIET:
            text += " Something else kept the machine busy: do not quote these figures."
    return text
