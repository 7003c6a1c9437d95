"""Matrix: which term of a loss reaches which group of parameters, found in a trace.

The **terms** of a loss are the addends of what was differentiated: through sums and differences,
sums and means over elements, and products with what no parameter has to do with. Numbers that are
added up element by element are taken apart only where each of them was made on a line of its own;
else a formula of five addends would be five terms. What a term is called stands in the program:
`kl` in `loss = nll + kl`, else `beta * kl`, else the name that its own line assigns it to.

The **groups** are the parameters by the beginning of their names, which are models or layers; few
parameters stand for themselves. All are there that the loss depends on, asked for or not.

A gradient is a sum over the terms, so what a trace knows of connection it knows of each term: it is
exact. Its size is known only where no other term reaches the same parameters; to know it elsewhere,
each term would have to be walked by itself, and the program's own walk is the only one there is.
"""

from __future__ import annotations

import ast
import linecache
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headgate.flow.solve import computed_from
from headgate.flow.terms import PRODUCTS, SUMS, VIEWS
from headgate.flow.trace import GUESSED, Event, Gradient, Place, Source, Trace
from headgate.record.cuts import bits
from headgate.record.site import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_ALONE, MOST_GROUPS = 4, 6
MOST_TERMS = 30
MOST_TABLES = 20
LONGEST_NAME = 32


@dataclass(frozen=True, slots=True)
class Term:
    """An addend of a loss.

    Attributes:
        name: as the program calls it, or its operation.
        values: of the trace; several if it is added up in a loop.
        place: the line that made it, None if it is a parameter itself.
    """

    name: str
    values: tuple[int, ...]
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters by the beginning of their names; `asked` is whether the call asked for any."""

    name: str
    sources: tuple[int, ...]
    asked: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """What one term does to one group.

    Attributes:
        state: "flows", "zero", "cut" or "unused".
        reached: how many parameters of the group gradient arrives at.
        of: how many there are.
        norm: of the gradient by the group, None if it is not known for this term alone.
        kind: of the cut, or of the operation where gradient becomes zero.
        place: the line of that.
    """

    state: str
    reached: int
    of: int
    norm: float | None = None
    kind: str = ""
    place: Place | None = None

    def __str__(self) -> str:
        return self.told(_at)

    def told(self, at: Callable[[Place], str]) -> str:
        """Say it in a few words, with a line as `at` says it."""
        if self.state == "unused":
            return "not used"
        if self.state != "flows":
            return f"{self.state}: {self.kind} {at(self.place) if self.place else ''}".rstrip(": ")
        text = "gradient" if self.norm is None else f"{self.norm:.3g}"
        return text if self.reached == self.of else f"{text} ({self.reached} of {self.of})"


@dataclass(frozen=True, slots=True)
class Matrix:
    """Terms by groups, of one gradient call."""

    place: Place
    targets: tuple[str, ...]
    step: int
    terms: tuple[Term, ...]
    groups: tuple[Group, ...]
    cells: tuple[tuple[Cell, ...], ...]

    @property
    def files(self) -> set[str]:
        """All files that it names a line of."""
        cells = [cell.place for cells in self.cells for cell in cells]
        places = [self.place, *(term.place for term in self.terms), *cells]
        return {place.file for place in places if place is not None}

    @property
    def shown(self) -> tuple[Any, ...]:
        """What a table of it says, but for sizes."""
        terms = tuple((term.name, term.place) for term in self.terms)
        groups = tuple(group.name for group in self.groups)
        cells = tuple(replace(cell, norm=None) for cells in self.cells for cell in cells)
        return self.place, self.targets, terms, groups, cells


def matrices(trace: Trace, step: int | None = None) -> list[Matrix]:
    """Return the matrix of each line that asks for gradients; those that say the same once.

    Args:
        trace: of the whole run.
        step: which pass of each line, from 0; by default the first.

    >>> from headgate.flow.trace import Event, Gradient, Place, Source, Trace
    >>> trace = Trace(places=[Place("a.py", 3)], sources=[Source("w", 0), Source("b", 1)])
    >>> trace.events = [
    ...     Event("square", (0,), (2,), (True,), 0),
    ...     Event("stop_gradient", (1,), (3,), (False,), 0, kind="stop_gradient"),
    ...     Event("add", (2, 3), (4,), (True, True), 0),
    ... ]
    >>> trace.gradients = [Gradient(0, (4,), ("loss",), (0, 1), (6.0, None))]
    >>> (matrix,) = matrices(trace)
    >>> for term, cells in zip(matrix.terms, matrix.cells):
    ...     print(term.name, *cells, sep=", ")
    square, 6, not used
    stop_gradient, not used, cut: stop_gradient a.py:3
    """
    chosen: dict[Any, Gradient] = {}
    for call in trace.gradients:
        if step in (None, call.step) and len(chosen) < MOST_TABLES:
            asked = tuple(trace.sources[number].name for number in call.sources)
            chosen.setdefault((call.place, call.target_names, asked), call)
    found: dict[Any, Matrix] = {}
    for call in chosen.values():
        matrix = matrix_of(trace, call)
        if matrix.terms and matrix.groups:
            found.setdefault(matrix.shown, matrix)
    return list(found.values())


def matrix_of(trace: Trace, call: Gradient) -> Matrix:
    """Return the matrix of one gradient call."""
    events = _leading_to(trace.events, call.targets)
    terms = _terms(trace, events, call)
    dead = {(id(trace.events[number]), position) for number, position in call.deaths}
    reach = _Reach(events, call, terms, dead)
    others = [
        number
        for number, source in enumerate(trace.sources)
        if source.trainable and source.lasting and reach.by_value.get(source.value)
    ]
    concerned = list(dict.fromkeys([*call.sources, *others]))
    groups = [
        Group(name, numbers, not set(call.sources).isdisjoint(numbers))
        for name, numbers in _grouped(trace.sources, concerned).items()
    ]
    values = [[trace.sources[number].value for number in group.sources] for group in groups]
    ends = _ends(trace, events, call, reach, computed_from(events, _bits(values)), dead)
    cells = [
        tuple(
            _cell(trace, call, reach, row, group, ends.get((row, column), {}))
            for column, group in enumerate(groups)
        )
        for row in range(len(terms))
    ]
    targets = call.target_names
    place = trace.places[call.place]
    return Matrix(place, targets, call.step, tuple(terms), tuple(groups), tuple(cells))


# -- terms ----------------------------------------------------------------------------------------


def _terms(trace: Trace, events: list[Event], call: Gradient) -> list[Term]:
    """Return the addends of the targets that depend on parameters, in the order of the program."""
    makers = {value: event for event in events for value in event.outputs}
    trained: dict[str, list[int]] = {}
    for number, source in enumerate(trace.sources):
        if source.trainable or number in call.sources:
            trained.setdefault(source.name, []).append(source.value)
    depends = computed_from(events, _bits(trained.values()))
    written = _Sums()
    found: dict[Any, list[int]] = {}
    names: dict[Any, str] = {}
    todo: list[tuple[int, str, ast.expr | None]] = [
        (value, name, None) for value, name in reversed([*zip(call.targets, call.target_names)])
    ]
    while todo:
        value, name, node = todo.pop()
        if value not in depends:
            continue
        addition = _addition(value, makers, depends)
        if addition is None:
            event = makers.get(value)
            place = None if event is None else trace.places[event.place]
            first = _first_of_a_loop(event, place, name, depends, written)
            if first is not None:
                todo.append(first)
                continue
            name = name or _name(event, place)
            key = place, event and (event.op, event.scope), name, depends[value]
            found.setdefault(key, []).append(value)
            names[key] = name
            continue
        place = trace.places[addition.place]
        parts = _operands(place, node, written) if len(addition.inputs) == 2 else None
        nodes = parts or (None,) * len(addition.inputs)
        pairs = [*zip(addition.inputs, nodes)]
        todo += [(taken, _written(part), part) for taken, part in reversed(pairs)]
    terms = [Term(names[key], tuple(values), key[0]) for key, values in found.items()]
    if len(terms) > MOST_TERMS:
        rest = [value for term in terms[MOST_TERMS - 1 :] for value in term.values]
        count = len(terms) - MOST_TERMS + 1
        terms[MOST_TERMS - 1 :] = [Term(f"{count} more terms", tuple(rest))]
    return terms


def _addition(value: int, makers: Mapping[int, Event], depends: Mapping[int, int]) -> Event | None:
    """Return the operation in which a value was added up of several; None if it is one addend."""
    root = makers.get(value)
    while (event := makers.get(value)) is not None and not event.kind:
        parts = [taken for taken in event.inputs if taken in depends]
        if len(parts) > 1 and (event.op in SUMS or event.op in VIEWS):
            return event if _stands_apart(event, parts, root, makers) else None
        if len(parts) != 1 or not any(event.flows) or not _is_linear(event, parts[0]):
            return None
        value = parts[0]
    return None


def _is_linear(event: Event, value: int) -> bool:
    """Tell whether an operation hands on a sum as a sum."""
    if event.op == "divide":
        return event.position(event.inputs.index(value)) == 0
    return event.op in SUMS or event.op in VIEWS or event.op in PRODUCTS


def _first_of_a_loop(
    event: Event | None,
    place: Place | None,
    name: str,
    depends: Mapping[int, int],
    written: _Sums,
) -> tuple[int, str, ast.expr] | None:
    """Return what was added to a number at first, in a line that went on adding to it."""
    if event is None or place is None or event.op not in SUMS:
        return None
    parts = _operands(place, None, written)
    taken = [value for value in event.inputs if value in depends]
    if parts is None or isinstance(parts[0], ast.BinOp):
        return None
    if len(taken) != 1 or _written(parts[0]) != name:
        return None
    return taken[0], _written(parts[1]), parts[1]


def _stands_apart(
    event: Event, parts: Iterable[int], root: Event | None, makers: Mapping[int, Event]
) -> bool:
    """Tell whether a sum is one of terms: a sum of numbers, or of what has lines of its own."""
    if event.shape == ():
        return True
    made = [makers.get(part) for part in parts]
    return (
        root is not None
        and event.scope == root.scope
        and all(one is not None and one.op != "read" and one.place != event.place for one in made)
    )


def _name(event: Event | None, place: Place | None) -> str:
    """Return what a line calls its result, or the operation."""
    assigned = re.match(r"([A-Za-z_][\w.]*)\s*(?::[^=]+)?=(?!=)", place.text if place else "")
    return assigned[1] if assigned else event.op if event else "the parameter itself"


def _written(node: ast.expr | None) -> str:
    """Return an expression as it is written, on one line; "" if it is not known."""
    if node is None:
        return ""
    text = ast.unparse(node)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def _operands(
    place: Place, node: ast.expr | None, written: _Sums
) -> tuple[ast.expr, ast.expr] | None:
    """Return what is added up on a line, as it is written there; None if that is not certain."""
    if isinstance(node, ast.BinOp) and _adds(node) and node.lineno == place.line:
        return node.left, node.right
    sums = written[place.file].get(place.line, [])
    return sums[0] if len(sums) == 1 else None


class _Sums(dict[str, dict[int, list[tuple[ast.expr, ast.expr]]]]):
    """File -> line -> the sums that begin there and are no part of another one."""

    def __missing__(self, file: str) -> dict[int, list[tuple[ast.expr, ast.expr]]]:
        found = self[file] = {}
        try:
            todo: list[ast.AST] = [ast.parse("".join(linecache.getlines(file)))]
        except (SyntaxError, ValueError, RecursionError):
            return found
        while todo:
            node = todo.pop()
            if isinstance(node, ast.AugAssign) and _adds(node):
                found.setdefault(node.lineno, []).append((node.target, node.value))
            elif isinstance(node, ast.BinOp) and _adds(node):
                found.setdefault(node.lineno, []).append((node.left, node.right))
            else:
                todo += ast.iter_child_nodes(node)
        return found


def _adds(node: ast.BinOp | ast.AugAssign) -> bool:
    return isinstance(node.op, ast.Add | ast.Sub)


# -- groups ---------------------------------------------------------------------------------------


def _grouped(sources: Sequence[Source], numbers: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return sources in groups: each by itself if they are few, else by model, else by layer."""
    parts = {number: re.findall(r"[^/.]*[/.]?", sources[number].name)[:-1] for number in numbers}
    deepest = max(map(len, parts.values()), default=1)
    chosen = _by_beginning(parts, 1)
    for depth in [deepest] if len(parts) <= MOST_ALONE else range(1, deepest + 1):
        groups = _by_beginning(parts, depth)
        if len(groups) <= MOST_GROUPS:
            chosen = groups
            if len(groups) > 1:
                break
    if len(chosen) > MOST_GROUPS:
        rest = [chosen.pop(name) for name in list(chosen)[MOST_GROUPS - 1 :]]
        chosen[f"{sum(map(len, rest))} others"] = [number for some in rest for number in some]
    return {name: tuple(some) for name, some in chosen.items()}


def _by_beginning(parts: Mapping[int, list[str]], depth: int) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for number, words in parts.items():
        name = "".join(words[:depth]) + ("*" if len(words) > depth else "")
        groups.setdefault(name, []).append(number)
    return groups


# -- reach ----------------------------------------------------------------------------------------


class _Reach:
    """Value -> the terms that it reaches, a bit for each.

    Attributes:
        by_value: on any path.
        by_gradient: on paths that gradient comes back on.
        alive: on such paths on which it was not found to be exactly zero.
    """

    __slots__ = ("alive", "by_gradient", "by_value")

    def __init__(
        self, events: list[Event], call: Gradient, terms: Sequence[Term], dead: set[tuple[int, int]]
    ) -> None:
        seeds = _bits(term.values for term in terms)
        self.by_value = _backward(events, seeds, lambda event, position: True)
        self.by_gradient = _backward(events, seeds, lambda event, position: event.flows[position])
        # A zero that several terms have part in may be a sum that cancels: each of them is alive.
        zero = {
            value
            for value, norm in call.cotangents.items()
            if norm == 0 and self.by_gradient.get(value, 0).bit_count() == 1
        }
        living = {value: mask for value, mask in seeds.items() if value not in zero}
        self.alive = _backward(
            events,
            living,
            lambda event, position: (
                event.flows[position]
                and event.inputs[position] not in zero
                and (id(event), position) not in dead
            ),
        )


def _bits(sets: Iterable[Iterable[int]]) -> dict[int, int]:
    """Return value -> which of some sets of values it is in, a bit for each."""
    masks: dict[int, int] = {}
    for number, values in enumerate(sets):
        for value in values:
            masks[value] = masks.get(value, 0) | 1 << number
    return masks


def _backward(
    events: list[Event], seeds: Mapping[int, int], lets: Callable[[Event, int], bool]
) -> dict[int, int]:
    masks = dict(seeds)
    for event in reversed(events):
        mask = _of(masks, event.outputs)
        if mask:
            for position, value in enumerate(event.inputs):
                if lets(event, position):
                    masks[value] = masks.get(value, 0) | mask
    return masks


def _of(masks: Mapping[int, int], values: Iterable[int]) -> int:
    found = 0
    for value in values:
        found |= masks.get(value, 0)
    return found


def _leading_to(events: list[Event], targets: Iterable[int]) -> list[Event]:
    """Return the events that targets depend on, in order."""
    wanted = set(targets)
    found = []
    for event in reversed(events):
        if not wanted.isdisjoint(event.outputs) and event.label != GUESSED:
            wanted.update(event.inputs)
            found.append(event)
    return found[::-1]


# -- cells ----------------------------------------------------------------------------------------


def _ends(
    trace: Trace,
    events: list[Event],
    call: Gradient,
    reach: _Reach,
    held: Mapping[int, int],
    dead: set[tuple[int, int]],
) -> dict[tuple[int, int], dict[str, tuple[str, Place]]]:
    """Return where gradient of a term ends on its way to a group, the last such line of each sort.

    That is (row, column) -> "cut", "zero" or "refused" -> (kind or operation, line).
    """
    ends: dict[tuple[int, int], dict[str, tuple[str, Place]]] = {}
    for event in events:
        given = any(value in call.cotangents for value in event.outputs)
        for position, (value, flows) in enumerate(zip(event.inputs, event.flows, strict=True)):
            columns = held.get(value, 0)
            if not columns or (flows and not given):
                continue
            if not flows:  # behind a cut nothing flows either, and has no kind
                sort, said = "cut", event.kind
                rows = _of(reach.by_value, event.outputs) if event.kind else 0
            elif call.cotangents.get(value) == 0 or (id(event), position) in dead:
                sort, said, rows = "zero", event.op, _of(reach.alive, event.outputs)
            elif value not in call.cotangents:
                sort, said = "refused", event.kind or "custom_gradient"
                rows = _of(reach.by_gradient, event.outputs)
            else:
                continue
            for row in bits(rows):
                for column in bits(columns):
                    known = ends.setdefault((row, column), {})
                    known[sort] = said, trace.places[event.place]
    return ends


def _cell(
    trace: Trace,
    call: Gradient,
    reach: _Reach,
    row: int,
    group: Group,
    ends: Mapping[str, tuple[str, Place]],
) -> Cell:
    bit, count = 1 << row, len(group.sources)
    norms = dict(zip(call.sources, call.norms))
    values = {number: trace.sources[number].value for number in group.sources}
    gets = [
        number
        for number, value in values.items()
        if reach.by_gradient.get(value, 0) & bit
        and (norms.get(number, 1.0) is not None or value in call.targets)
    ]
    if not gets:
        if not any(reach.by_value.get(value, 0) & bit for value in values.values()):
            return Cell("unused", 0, count)
        kind, place = ends.get("cut") or ends.get("refused") or ("", None)
        return Cell("cut", 0, count, None, kind, place)
    lives = [
        number
        for number in gets
        if reach.alive.get(values[number], 0) & bit
        and (norms.get(number) != 0 or reach.by_gradient[values[number]] != bit)
    ]
    if not lives:
        kind, place = ends.get("zero", ("", None))
        return Cell("zero", len(gets), count, 0.0, kind, place)
    alone = all(reach.by_gradient[values[number]] == bit for number in gets)
    sizes = [norms.get(number) for number in gets]
    known = [size for size in sizes if size is not None]
    norm = math.hypot(*known) if alone and len(known) == len(sizes) else None
    return Cell("flows", len(lives), count, norm)


# -- what is shown --------------------------------------------------------------------------------

_STYLES = {"flows": "green", "zero": "yellow", "cut": "red", "unused": "dim"}


def as_tables(found: Iterable[Matrix]) -> list[RenderableType]:
    """Return matrices as tables for a terminal, each with a title.

    >>> from headgate.flow.matrix import as_tables
    >>> as_tables([])
    []
    """
    from rich import box  # not needed to import headgate, and slow to import
    from rich.console import Group as RichGroup
    from rich.table import Table
    from rich.text import Text

    tables: list[RenderableType] = []
    for matrix in found:
        targets = printable(", ".join(matrix.targets))
        where = printable(_at(matrix.place))
        at = _on_line if len(matrix.files) == 1 else _at
        when = f", pass {matrix.step}" if matrix.step else ""
        title = Text(f"Gradient of {targets} by term ({where}{when})", "bold")
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("term", overflow="fold")
        for group in matrix.groups:
            of = f" ({len(group.sources)})" if len(group.sources) > 1 else ""
            asked = "" if group.asked else "\nnot asked for"
            heading = Text.assemble(printable(group.name + of), (asked, "dim"))
            table.add_column(heading, overflow="fold")
        for term, cells in zip(matrix.terms, matrix.cells):
            times = f" × {len(term.values)}" if len(term.values) > 1 else ""
            line = "\n" + printable(at(term.place)) if term.place else ""
            head = Text.assemble(printable(term.name + times), (line, "dim"))
            shown = [Text(printable(cell.told(at)), _STYLES[cell.state]) for cell in cells]
            table.add_row(head, *shown)
        tables.append(RichGroup(title, table))
    return tables


def _at(place: Place) -> str:
    """Return a line in few letters; which folder its file is in can be told from the JSON."""
    return f"{os.path.basename(place.file)}:{place.line}"


def _on_line(place: Place) -> str:
    return f"line {place.line}"


def entries(trace: Trace, found: Iterable[Matrix]) -> list[dict[str, Any]]:
    """Return matrices as `headgate why --json` has them.

    >>> from headgate.flow.matrix import entries
    >>> from headgate.flow.trace import Trace
    >>> entries(Trace(), [])
    []
    """
    return [
        {
            "file": matrix.place.file,
            "line": matrix.place.line,
            "targets": list(matrix.targets),
            "step": matrix.step,
            "terms": [
                {
                    "name": term.name,
                    "count": len(term.values),
                    "file": term.place.file if term.place else "",
                    "line": term.place.line if term.place else 0,
                    "text": term.place.text if term.place else "",
                }
                for term in matrix.terms
            ],
            "groups": [
                {
                    "name": group.name,
                    "asked": group.asked,
                    "parameters": [trace.sources[number].name for number in group.sources],
                }
                for group in matrix.groups
            ],
            "cells": [[_entry(cell) for cell in cells] for cells in matrix.cells],
        }
        for matrix in found
    ]


def _entry(cell: Cell) -> dict[str, Any]:
    norm = cell.norm
    return {
        "state": cell.state,
        "reached": cell.reached,
        "of": cell.of,
        "norm": norm if norm is None or math.isfinite(norm) else str(norm),
        "kind": cell.kind,
        "file": cell.place.file if cell.place else "",
        "line": cell.place.line if cell.place else 0,
    }
