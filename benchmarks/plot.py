"""The figures of a comparison as one picture: a panel per workload, a line per peer.

A line runs from 1, which is ours, to the peer's time as a multiple of ours, on a logarithmic scale:
to the right is slower than we are, to the left is faster. All panels have the same scale and the
same order of peers, so that they can be compared at a glance.
"""

import importlib.util
import math
from pathlib import Path
from typing import Any

from benchmarks.compare import Comparison, Row
from benchmarks.peers import PEERS
from benchmarks.report import digits, duration, ours_of, peers_of

FORMATS = (".png", ".svg", ".pdf")
COLUMNS = 3
PANEL_WIDTH = 3.4  # inches, as the others
PEER_HEIGHT = 0.21
TITLE_HEIGHT = 0.35
OUTER_SIZE = (1.7, 1.4)  # names of the peers beside the panels; title and legend above and below
TEXT_SHARE = 0.42  # of a panel's width, kept free for the figures to the right of the lines

# Of Okabe and Ito's palette, which people who see fewer colours can tell apart.
OURS, COMPILED, EAGER = "Headgate", "other compiled peers", "other eager peers"
COLOURS = {OURS: "#0072B2", COMPILED: "#D55E00", EAGER: "#999999"}


def check(path: Path, peers: list[str]) -> None:
    """Refuse, before anything is timed, what could not be drawn afterwards.

    Raises:
        ValueError: If the format is unknown, matplotlib is missing, or no peer is Headgate.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"{path.name!r} should end with one of {', '.join(FORMATS)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError("a plot needs matplotlib: pip install matplotlib")
    if not any(PEERS[peer].module == "headgate" for peer in peers):
        raise ValueError("a plot shows times as multiples of Headgate's, which is not timed")


def plot(comparison: Comparison, path: Path) -> None:
    """Draw the comparison into a file; its ending says in which format."""
    figure_of(comparison).savefig(path, dpi=150)


def figure_of(comparison: Comparison) -> Any:
    """Return the picture. Workloads on which Headgate has no figures are left out."""
    # The class rather than pyplot, which would look for a screen.
    from matplotlib.figure import Figure

    peers, ours = peers_of(comparison), ours_of(comparison)
    rows = [row for row in comparison.rows if row.median(ours)]
    columns = max(1, min(COLUMNS, len(rows)))
    lines = max(1, math.ceil(len(rows) / columns))
    size = (
        columns * PANEL_WIDTH + OUTER_SIZE[0],
        lines * (len(peers) * PEER_HEIGHT + TITLE_HEIGHT) + OUTER_SIZE[1],
    )
    figure = Figure(size, layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat
    for panel, row in zip(panels, rows, strict=False):
        draw(panel, row, peers, ours)
    for panel in panels[len(rows) :]:
        panel.set_visible(False)
    scale(panels[0], peers, [ratio(row, peer, ours) for row in rows for peer in row.rounds])
    for panel in panels[max(0, len(rows) - columns) : len(rows)]:
        panel.tick_params(labelbottom=True)
    figure.suptitle(
        f"Time of one training step, as a multiple of {PEERS[ours].title}'s "
        "(to the left of 1×: faster than it)"
    )
    figure.legend(handles=legend(peers), loc="outside lower center", ncols=3, frameon=False)
    return figure


def draw(panel: Any, row: Row, peers: list[str], ours: str) -> None:
    """Draw one workload."""
    panel.set_title(row.title, fontsize=9, loc="left")
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0, labelsize=9)
    panel.tick_params(axis="x", labelsize=8)
    panel.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.axvline(1, color="black", linewidth=0.8, zorder=1)
    for place, peer in enumerate(peers):
        if peer in row.rounds:
            multiple = ratio(row, peer, ours)
            look = {"color": COLOURS[kind(peer)], "linewidth": 2.5, "markersize": 5}
            panel.plot([1, multiple], [place, place], **look)
            panel.plot(multiple, place, "o", **look)
            step = duration(row.median(peer) or 0.0)
            words = step if peer == ours else f"{digits(multiple)}×, {step}"
        else:
            multiple, words = 1.0, "not timed" if peer in row.refused else "–"
        panel.annotate(
            words,
            (max(multiple, 1.0), place),
            xytext=(6, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=7.5,
        )


def scale(panel: Any, peers: list[str], ratios: list[float]) -> None:
    """Set the axes, which all panels share: peers from the top, multiples with room for words."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    panel.set_yticks(range(len(peers)), [PEERS[peer].title for peer in peers])
    panel.set_ylim(len(peers) - 0.5, -0.5)
    panel.set_xscale("log")
    low, high = math.log(min(ratios, default=1.0) * 0.8), math.log(max(ratios, default=1.0))
    panel.set_xlim(math.exp(low), math.exp(low + (high - low) / (1 - TEXT_SHARE)))
    panel.xaxis.set_major_locator(LogLocator())
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda multiple, _: f"{multiple:g}×"))


def ratio(row: Row, peer: str, ours: str) -> float:
    """Return the peer's time as a multiple of ours; both have one."""
    return (row.median(peer) or math.nan) / (row.median(ours) or math.nan)


def kind(peer: str) -> str:
    """Return the entry of the legend that the peer falls under."""
    if PEERS[peer].module == "headgate":
        return OURS
    return COMPILED if PEERS[peer].compiled else EAGER


def legend(peers: list[str]) -> list[Any]:
    """Return an entry for each kind of peer that is there."""
    from matplotlib.lines import Line2D

    present = {kind(peer) for peer in peers}
    return [
        Line2D([], [], color=shade, linewidth=2.5, marker="o", markersize=5, label=name)
        for name, shade in COLOURS.items()
        if name in present
    ]
