"""Text: the map for a terminal, and as Mermaid and DOT for READMEs and other programs.

All three show the nodes and groups of `headgate.flow.fold`. They open groups, the outer ones first,
as long as not more than `most` things show; what stays folded is counted and said.

Texts of the user's program are cleaned of control characters and escaped as the format asks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from headgate.flow.fold import (
    CUT,
    OP,
    PARAMETER,
    ROOT,
    TARGET,
    Edge,
    Folded,
    Node,
    edges,
    fold,
    opened,
    where,
)
from headgate.flow.trace import Gradient, Trace

GREY, UNMEASURED, ZERO = "#8c959f", "#0a5bd3", "#8a5a00"
RAMP = ("#7b3fa0", "#4053b5", "#2178a8", "#16907a", "#2f9e44")  # from small norms to large ones

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")


@dataclass(frozen=True, slots=True)
class _Sketch:
    """What a text shows: which groups are open, and the edges between what shows."""

    trace: Trace
    folded: Folded
    openings: set[int]
    call: Gradient | None

    def edges(self) -> dict[tuple[str, str], Edge]:
        return edges(self.trace, self.folded, self.openings, self.call)


def as_text(trace: Trace, gradient: int = -1, width: int = 100, most: int = 400) -> str:
    """Return the map as lines, indented by scope; a cut is marked with scissors.

    A line has the op and how often it ran, its shape, the norm of the gradient that came back, the
    place and its source text.

    Args:
        trace: what to show.
        gradient: number of the gradient call whose norms are shown; the last one by default.
        width: of a line, in characters.
        most: how many ops and groups to show at most.

    >>> from headgate.flow.trace import Event, Place, Trace
    >>> trace = Trace(places=[Place("a.py", 3)])
    >>> trace.events.append(Event("round", (0,), (1,), (False,), 0, kind="nondiff_op", shape=(2,)))
    >>> print(as_text(trace))
    ✂ round: nondiff_op  (2,)  a.py:3
    """
    sketch = _sketch(trace, gradient, most)
    rows = _rows(sketch, ROOT, "")
    widths = [
        max((len(row[column]) for row in rows if len(row) > 1), default=0) for column in range(4)
    ]
    lines = []
    for row in rows:
        cells = [cell.ljust(size) for cell, size in zip(row, widths) if size] + list(row[4:])
        line = "  ".join(cells if len(row) > 1 else row).rstrip()
        lines.append(line if len(line) <= width else line[: width - 1] + "…")
    return "\n".join([*lines, *_left_out(sketch)])


def as_dot(trace: Trace, gradient: int = -1, most: int = 400) -> str:
    """Return the map in Graphviz's language; groups are clusters, cuts are octagons.

    Args:
        trace: what to show.
        gradient: number of the gradient call whose norms colour the edges; the last one by default.
        most: how many ops and groups to show at most.

    >>> from headgate.flow.trace import Trace
    >>> print(as_dot(Trace()).splitlines()[0])
    digraph flow {
    """
    sketch = _sketch(trace, gradient, most)
    shapes = {OP: "box", CUT: "octagon", PARAMETER: "box", TARGET: "ellipse"}
    extras = {
        OP: "style=rounded",
        CUT: 'color="#c1121f" penwidth=2',
        PARAMETER: 'style=filled fillcolor="#ddf0ff"',
        TARGET: 'style=filled fillcolor="#fff3c4"',
    }

    def node(name: str, number: int) -> str:
        what = sketch.folded.nodes[number].what
        label = _dot_label(_lines(sketch, number))
        return f"{name} [label={label} shape={shapes[what]} {extras[what]}]"

    def closed(name: str, number: int) -> str:
        return f"{name} [label={_dot_label(_closed_lines(sketch, number))} shape=folder]"

    def head(name: str, number: int) -> str:
        label = _dot_label([sketch.folded.groups[number].label])
        return f'subgraph cluster_{name} {{ label={label} style=rounded color="{GREY}"'

    flow = sketch.edges()
    looks = _looks(flow.values())
    arrows = [
        f'  {origin} -> {goal} [color="{colour}" penwidth={thick:.1f} style={style}]'
        for (origin, goal), (colour, thick, style) in zip(flow, looks)
    ]
    body = _nested(sketch, ROOT, "  ", node, closed, head, "}")
    notes = [f"  // {note}" for note in _left_out(sketch)]
    general = '  node [fontname="Helvetica"] edge [arrowsize=0.7] graph [fontname="Helvetica"]'
    return "\n".join(["digraph flow {", general, *notes, *body, *arrows, "}"])


def as_mermaid(trace: Trace, gradient: int = -1, most: int = 120) -> str:
    """Return the map in Mermaid's language, as Markdown on code hosts shows it.

    Args:
        trace: what to show.
        gradient: number of the gradient call whose norms colour the edges; the last one by default.
        most: how many ops and groups to show at most; viewers refuse very long charts.

    >>> from headgate.flow.trace import Trace
    >>> print(as_mermaid(Trace()).splitlines()[0])
    flowchart TD
    """
    sketch = _sketch(trace, gradient, most)
    frames = {OP: ("(", ")"), CUT: ("{{", "}}"), PARAMETER: ("[", "]"), TARGET: ("([", "])")}

    def node(name: str, number: int) -> str:
        what = sketch.folded.nodes[number].what
        left, right = frames[what]
        return f"{name}{left}{_mermaid_label(_lines(sketch, number))}{right}:::{what}"

    def closed(name: str, number: int) -> str:
        return f"{name}[[{_mermaid_label(_closed_lines(sketch, number))}]]"

    def head(name: str, number: int) -> str:
        return f"subgraph {name}[{_mermaid_label([sketch.folded.groups[number].label])}]"

    flow = sketch.edges()
    looks = list(enumerate(_looks(flow.values())))
    styles = []
    for (colour, thick, style), links in groupby(
        sorted(looks, key=itemgetter(1)), key=itemgetter(1)
    ):
        dashes = ",stroke-dasharray:2 4" if style == "dotted" else ""
        numbers = ",".join(str(number) for number, _ in links)
        styles.append(f"  linkStyle {numbers} stroke:{colour},stroke-width:{thick:.1f}px{dashes}")
    return "\n".join(
        [
            "flowchart TD",
            *(f"  %% {note}" for note in _left_out(sketch)),
            *_nested(sketch, ROOT, "  ", node, closed, head, "end"),
            *(f"  {origin} --> {goal}" for origin, goal in flow),
            *styles,
            "  classDef cut fill:#ffe3e3,stroke:#c1121f,stroke-width:3px,color:#1b1f24",
            "  classDef parameter fill:#ddf0ff,stroke:#0a5bd3,color:#1b1f24",
            "  classDef target fill:#fff3c4,stroke:#8a5a00,color:#1b1f24",
        ]
    )


def _sketch(trace: Trace, gradient: int, most: int) -> _Sketch:
    calls = trace.gradients
    if calls and not -len(calls) <= gradient < len(calls):
        raise IndexError(
            f"gradient={gradient}, but the trace has {len(calls)} gradient calls: "
            f"give a number from 0 to {len(calls) - 1}, or -1 for the last"
        )
    folded = fold(trace)
    return _Sketch(trace, folded, opened(folded, most), calls[gradient] if calls else None)


def _rows(sketch: _Sketch, group: int, indent: str) -> list[tuple[str, ...]]:
    """Return the lines of a group: a title alone, or the cells of a node."""
    rows: list[tuple[str, ...]] = []
    for is_group, number in sketch.folded.groups[group].children:
        if not is_group:
            rows.append(_cells(sketch, number, indent))
        elif number in sketch.openings:
            rows.append((indent + _clean(sketch.folded.groups[number].label),))
            rows += _rows(sketch, number, indent + "  ")
        else:
            rows.append((indent + "▸ " + "  ".join(_closed_lines(sketch, number)),))
    return rows


def _cells(sketch: _Sketch, number: int, indent: str) -> tuple[str, ...]:
    """Return what the line of a node says: title, shape, norm, place, source text."""
    trace, node = sketch.trace, sketch.folded.nodes[number]
    shape = _shape(sketch, number)
    text = trace.places[node.place].text if node.place >= 0 else ""
    norm = _norm(sketch, number)
    size = "" if norm is None else f"|g| {norm:.2g}"
    marks = {CUT: "✂ ", PARAMETER: "◆ ", TARGET: "∇ ", OP: ""}
    title = indent + marks[node.what] + _title(node)
    return title, shape, size, _clean(where(trace.places, node.place)), _clean(text)


def _title(node: Node) -> str:
    """Return what a node is called, with the kind of cut and how often it ran."""
    kind = f": {node.kind}" if node.kind and node.kind != node.name else ""
    times = f" × {len(node.members):,}" if node.what in (OP, CUT) and len(node.members) > 1 else ""
    return _clean(node.name + kind + times)


def _shape(sketch: _Sketch, number: int) -> str:
    """Return the shape of what a node made last; nothing for a scalar."""
    node, trace = sketch.folded.nodes[number], sketch.trace
    if node.what == PARAMETER:
        shape = trace.sources[sketch.folded.of_source.index(number)].shape
    else:
        shape = trace.events[node.members[-1]].shape if node.what != TARGET else ()
    return str(shape) if shape else ""


def _norm(sketch: _Sketch, number: int) -> float | None:
    """Return the norm of the gradient of a parameter, or the largest that came back to an op."""
    node, trace, call = sketch.folded.nodes[number], sketch.trace, sketch.call
    if call is None or node.what == TARGET:
        return None
    if node.what == PARAMETER:
        source = sketch.folded.of_source.index(number)
        return dict(zip(call.sources, call.norms)).get(source)
    values = [value for event in node.members for value in trace.events[event].outputs]
    return max((call.cotangents[v] for v in values if v in call.cotangents), default=None)


def _lines(sketch: _Sketch, number: int) -> list[str]:
    """Return the label of a node, line by line; a cut has its source text."""
    node = sketch.folded.nodes[number]
    facts = f"{where(sketch.trace.places, node.place)} {_shape(sketch, number)}".strip()
    head = f"gradient of {_title(node)}" if node.what == TARGET else _title(node)
    cut = node.what == CUT and node.place >= 0
    return [head, facts, sketch.trace.places[node.place].text if cut else ""]


def _closed_lines(sketch: _Sketch, group: int) -> list[str]:
    """Return the label of a folded group: its name and what is in it."""
    ops, cuts = _inside(sketch.folded, group)
    stops = f", {cuts:,} ✂" if cuts else ""
    return [_clean(sketch.folded.groups[group].label), f"({ops:,} ops{stops})"]


def _inside(folded: Folded, group: int) -> tuple[int, int]:
    """Return how many executions of ops, and how many cuts, lie in a group and below it."""
    ops = cuts = 0
    todo = [group]
    while todo:
        for is_group, number in folded.groups[todo.pop()].children:
            if is_group:
                todo.append(number)
            else:
                node = folded.nodes[number]
                ops += len(node.members) if node.what in (OP, CUT) else 0
                cuts += node.what == CUT
    return ops, cuts


def _left_out(sketch: _Sketch) -> list[str]:
    """Return a note on what is folded, if anything is."""
    folded = sketch.folded
    closed = [
        number
        for number, group in enumerate(folded.groups)
        if number not in sketch.openings and group.parent in sketch.openings
    ]
    if not closed:
        return []
    ops = sum(_inside(folded, number)[0] for number in closed)
    return [f"{ops:,} of {_inside(folded, ROOT)[0]:,} ops are in {len(closed)} folded groups"]


def _nested(
    sketch: _Sketch,
    group: int,
    indent: str,
    node: Callable[[str, int], str],
    closed: Callable[[str, int], str],
    head: Callable[[str, int], str],
    tail: str,
) -> list[str]:
    """Return the lines of a group and of all open ones in it, written by the given functions."""
    lines = []
    for is_group, number in sketch.folded.groups[group].children:
        if not is_group:
            lines.append(indent + node(f"n{number}", number))
        elif number in sketch.openings:
            lines.append(indent + head(f"g{number}", number))
            lines += _nested(sketch, number, indent + "  ", node, closed, head, tail)
            lines.append(indent + tail)
        else:
            lines.append(indent + closed(f"g{number}", number))
    return lines


def _looks(flow: Collection[Edge]) -> list[tuple[str, float, str]]:
    """Return colour, thickness and style of each edge, by the logarithm of its norm."""
    sizes = [math.log10(edge.norm) for edge in flow if edge.norm and math.isfinite(edge.norm)]
    low, high = min(sizes, default=0.0), max(sizes, default=0.0)

    def look(edge: Edge) -> tuple[str, float, str]:
        if not edge.carries:
            return GREY, 1.0, "solid"
        if edge.norm == 0:
            return ZERO, 2.0, "dotted"
        if edge.norm is None or not math.isfinite(edge.norm):
            return UNMEASURED, 2.2, "solid"
        share = (math.log10(edge.norm) - low) / (high - low) if high > low else 1.0
        return RAMP[min(int(share * len(RAMP)), len(RAMP) - 1)], 1.6 + 2.4 * share, "solid"

    return [look(edge) for edge in flow]


def _clean(text: str) -> str:
    """Return a text as one line that any terminal and any file can hold."""
    return _UNPRINTABLE.sub("\ufffd", " ".join(text.split()))


def _dot_label(lines: Sequence[str]) -> str:
    """Return lines as a quoted string of Graphviz, which reads backslashes and entities."""
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "&": "&amp;"})
    return '"' + "\\n".join(_clean(line).translate(escapes) for line in lines if line) + '"'


def _mermaid_label(lines: Sequence[str]) -> str:
    """Return lines as a quoted string of Mermaid; what it could read as markup is a number."""
    escapes = {ord(c): f"#{ord(c)};" for c in '"#&<>;`\\|{}*_~$'}
    return '"' + "<br/>".join(_clean(line).translate(escapes) for line in lines if line) + '"'
