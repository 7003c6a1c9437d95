"""Figures as a terminal table and as a markdown table."""

from rich.table import Table

from benchmarks.compare import Comparison, Row
from benchmarks.peers import PEERS

OURS = "headgate"
QUIET = 0.5  # half-range over rounds, relative to the median, of an undisturbed run


def duration(seconds: float) -> str:
    """Format a duration with three digits: microseconds below a tenth of a millisecond."""
    value, unit = (seconds * 1e6, "µs") if seconds < 1e-4 else (seconds * 1e3, "ms")
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {unit}"


def cell(row: Row, peer: str) -> str:
    """Return the peer's median and how many times ours it takes."""
    median, ours = row.median(peer), row.median(OURS)
    if median is None:
        return "not timed" if peer in row.refused else ""
    if ours is None or peer == OURS:
        return duration(median)
    return f"{duration(median)} ({median / ours:.2f}×)"


def peers_of(comparison: Comparison) -> list[str]:
    """Return the peers that have a figure or a reason for having none."""
    return [
        peer
        for peer in PEERS
        if any(peer in row.rounds or peer in row.refused for row in comparison.rows)
    ]


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


def table(comparison: Comparison) -> Table:
    """Return the figures as a terminal table."""
    peers = peers_of(comparison)
    result = Table(title="One training step (in brackets: times Headgate's)")
    result.add_column("workload")
    for peer in peers:
        result.add_column(PEERS[peer].title, justify="right")
    for row in comparison.rows:
        result.add_row(row.name, *(cell(row, peer) for peer in peers))
    return result


def markdown(comparison: Comparison) -> str:
    """Return the figures as a markdown table with the conditions below it."""
    peers = peers_of(comparison)
    lines = [
        "| one training step | " + " | ".join(PEERS[peer].title for peer in peers) + " |",
        "|---|" + "---:|" * len(peers),
    ]
    for row in comparison.rows:
        cells = " | ".join(cell(row, peer) for peer in peers)
        lines.append(f"| {row.title} | {cells} |")
    return "\n".join(lines) + f"\n\n{conditions(comparison)}\n"
