"""Fold: a long trace as a small graph of nodes in groups, the way pages and texts draw it.

A loop of a thousand iterations makes a thousand times the same events. What a reader looks for is
the line, so events of one **line, op and scope** are one **node**, with a count, as long as they
lead to the same **losses**: a helper that two losses go through is drawn for each, and what is
computed for no loss at all, an evaluation say, stands apart from the training that shares its
lines. Parameters are nodes too, and so are the calls that asked for a gradient. A plain read of a
variable is part of the parameter's node; a read that cuts is a node of its own.

A loss is a line that asks for gradients, of targets of one name, made on one line, by parameters
that have any in common: one helper that steps two models has two losses.

Nodes lie in **groups**, one for each scope. A group of more than `MOST_CHILDREN` things is divided
into runs of neighbours, and again, until each one can be looked at. So a trace of any shape opens
step by step. Which groups are open is a set of numbers (`opened` offers one); a node within a
closed group is shown by the outermost closed group around it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from math import ceil
from typing import NamedTuple

from headgate.flow.trace import GUESSED, Event, Gradient, Place, Trace

MOST_CHILDREN = 40
MOST_VARIANTS = 6
"""So many nodes at most are made of one line, op and scope, whatever losses they lead to."""
ROOT = 0

OP, CUT, PARAMETER, TARGET = "op", "cut", "parameter", "target"


@dataclass(slots=True)
class Node:
    """One line, op and scope; or one parameter; or one line that asked for gradients.

    Attributes:
        what: OP, CUT, PARAMETER or TARGET.
        name: of the op, the parameter or the targets.
        place: number of the line in `Trace.places`, -1 if unknown.
        kind: which kind of cut.
        group: number of the group that it lies in.
        members: numbers of its events; of its gradient calls, if it is a target.
        leads: whether it has to do with any loss.
    """

    what: str
    name: str
    place: int
    kind: str = ""
    group: int = ROOT
    members: list[int] = field(default_factory=list)
    leads: bool = True


class Child(NamedTuple):
    """What lies in a group: another group or a node, by its number."""

    is_group: bool
    number: int


@dataclass(slots=True)
class Group:
    """A scope, or a run of neighbours in one; its children are in order of their first event.

    `parent` is -1 for the root, and only for it.
    """

    label: str
    parent: int
    children: list[Child] = field(default_factory=list)


@dataclass(slots=True)
class Folded:
    """A trace as nodes in groups. A group's number is larger than its parent's.

    Attributes:
        nodes: in order of their first event.
        groups: the root first.
        of_event: number of the node of each event.
        of_source: number of the node of each source.
        of_gradient: number of the node of each gradient call.
    """

    nodes: list[Node]
    groups: list[Group]
    of_event: list[int]
    of_source: list[int]
    of_gradient: list[int]


@dataclass(slots=True)
class Edge:
    """What goes from one shown thing to another.

    Attributes:
        count: how many values.
        carries: whether gradient comes back.
        norm: the largest norm of a cotangent that comes back, None if not measured.
    """

    count: int = 0
    carries: bool = False
    norm: float | None = None


@dataclass(slots=True)
class _Branch:
    """A scope while the tree grows; children are nodes (by number) and branches, in order.

    `ends` are what the first and the last child of a run are called.
    """

    label: str
    children: list[int | _Branch] = field(default_factory=list)
    scopes: dict[str, _Branch] = field(default_factory=dict)
    ends: tuple[str, str] | None = None


def fold(trace: Trace) -> Folded:
    """Return a trace as nodes in groups.

    >>> from headgate.flow.trace import Event, Place, Trace
    >>> loop = Trace(places=[Place("a.py", 3)])
    >>> loop.events = [Event("exp", (n,), (n + 1,), (True,), 0) for n in range(1000)]
    >>> [(node.name, len(node.members)) for node in fold(loop).nodes]
    [('exp', 1000)]
    """
    nodes: list[Node] = []
    root = _Branch("")
    numbers: dict[tuple[object, ...], int] = {}
    variants: dict[tuple[object, ...], list[int]] = {}
    losses, names = _losses(trace)
    leading = _leading(trace, losses)

    def number_of(key: tuple[object, ...], scope: tuple[str, ...], node: Node) -> int:
        if key not in numbers:
            numbers[key] = len(nodes)
            nodes.append(node)
            _branch(root, scope).children.append(numbers[key])
        return numbers[key]

    def of_source(number: int, scope: tuple[str, ...]) -> int:
        source = trace.sources[number]
        node = Node(PARAMETER, source.name, source.place, leads=number in asked)
        return number_of((PARAMETER, number), scope, node)

    asked = {number for call in trace.gradients for number in call.sources}
    sources = {source.value: number for number, source in enumerate(trace.sources)}
    of_event = []
    for position, event in enumerate(trace.events):
        scope = trace.scope_of(event)
        parameters = [of_source(sources[v], scope) for v in event.inputs if v in sources]
        for number in parameters:
            nodes[number].leads |= bool(leading[position])
        if is_plain_read(event) and parameters:
            number = parameters[0]
        else:
            place = event.place if trace.places[event.place].file else -1
            line = (event.scope, place if place >= 0 else -1 - position, event.op, event.kind)
            known = variants.setdefault(line, [])
            to = leading[position]
            if to not in known:
                if to and len(known) >= MOST_VARIANTS:
                    to = known[-1]
                else:
                    known.append(to)
            node = Node(CUT if event.kind else OP, event.op, place, event.kind)
            node.leads = bool(to)
            number = number_of((*line, to), scope, node)
        nodes[number].members.append(position)
        of_event.append(number)
    of_gradient = []
    for position, call in enumerate(trace.gradients):
        loss = losses[position]
        node = Node(TARGET, names[loss], call.place)
        of_gradient.append(number_of((TARGET, loss), (), node))
        nodes[of_gradient[-1]].members.append(position)
    of_sources = [of_source(number, ()) for number in range(len(trace.sources))]
    if not trace.gradients:
        for node in nodes:
            node.leads = True
    groups: list[Group] = []
    _plant(root, -1, groups, nodes, trace.places)
    return Folded(nodes, groups, of_event, of_sources, of_gradient)


def _losses(trace: Trace) -> tuple[list[int], list[str]]:
    """Return which loss each gradient call asks about, by number, and what to call each loss."""
    makers = {
        value: (event.place, event.op, event.scope)
        for event in trace.events
        for value in event.outputs
    }
    alike: dict[tuple[object, ...], list[int]] = {}
    by: list[dict[str, None]] = []  # loss -> the names of its parameters
    numbers = []
    for call in trace.gradients:
        names = dict.fromkeys(trace.sources[number].name for number in call.sources)
        made = tuple(makers.get(value) for value in call.targets)
        rivals = alike.setdefault((call.place, call.target_names), [])
        key = (call.place, call.target_names, made)
        known = alike.setdefault(key, [])
        loss = next((n for n in known if not names or not names.keys().isdisjoint(by[n])), None)
        if loss is None and len(rivals) >= MOST_VARIANTS:
            loss = rivals[-1]
        if loss is None:
            loss = len(by)
            by.append({})
            known.append(loss)
            rivals.append(loss)
        by[loss] |= names
        numbers.append(loss)
    called = [""] * len(by)
    for call, loss in zip(trace.gradients, numbers):
        name = ", ".join(call.target_names)
        several = len(alike[call.place, call.target_names]) > 1
        called[loss] = f"{name} by {_summed_up(list(by[loss]))}" if several and by[loss] else name
    return numbers, called


def _summed_up(names: list[str]) -> str:
    """Return several names as what they begin with, or as the first and how many more there are."""
    if len(names) == 1:
        return names[0]
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names)))
    shared = re.match(r".*[/.]", "".join(letter for letter, _ in alike))
    return f"{shared[0]}*" if shared else f"{names[0]} and {len(names) - 1} more"


def _leading(trace: Trace, losses: list[int]) -> list[int]:
    """Return for each event the losses that its results have a part in, a bit for each."""
    masks: dict[int, int] = {}
    for call, loss in zip(trace.gradients, losses):
        for value in call.targets:
            masks[value] = masks.get(value, 0) | 1 << loss
    result = [0] * len(trace.events)
    for number in range(len(trace.events) - 1, -1, -1):
        event = trace.events[number]
        bits = 0
        for value in event.outputs:
            bits |= masks.get(value, 0)
        if bits and event.label != GUESSED:
            for value in event.inputs:
                masks[value] = masks.get(value, 0) | bits
        result[number] = bits
    return result


def is_plain_read(event: Event) -> bool:
    """Tell whether an event only reads a variable, and gradient comes back."""
    return event.op == "read" and not event.kind


def _branch(root: _Branch, scope: tuple[str, ...]) -> _Branch:
    """Return the branch of a scope, grown if need be."""
    branch = root
    for label in scope:
        if label not in branch.scopes:
            branch.scopes[label] = _Branch(label)
            branch.children.append(branch.scopes[label])
        branch = branch.scopes[label]
    return branch


def _plant(
    branch: _Branch, parent: int, groups: list[Group], nodes: list[Node], places: list[Place]
) -> None:
    """Append the group of a branch and all below it."""
    number = len(groups)
    groups.append(Group(branch.label, parent))
    if parent >= 0:
        groups[parent].children.append(Child(True, number))
    for child in _divided(branch.children, nodes, places):
        if isinstance(child, _Branch):
            _plant(child, number, groups, nodes, places)
        else:
            groups[number].children.append(Child(False, child))
            nodes[child].group = number


def _divided(
    children: list[int | _Branch], nodes: list[Node], places: list[Place]
) -> list[int | _Branch]:
    """Return children in runs, and runs of runs, until there are few enough to look at."""
    while len(children) > MOST_CHILDREN:
        pieces = ceil(len(children) / MOST_CHILDREN)
        bounds = [len(children) * piece // pieces for piece in range(pieces + 1)]
        children = [_run(children[start:end], nodes, places) for start, end in pairwise(bounds)]
    return children


def _run(children: list[int | _Branch], nodes: list[Node], places: list[Place]) -> _Branch:
    """Return neighbours as one branch, called by its first and its last, or by their lines."""

    def ends(child: int | _Branch) -> tuple[str, str]:
        if isinstance(child, _Branch):
            return child.ends or (child.label, child.label)
        name = where(places, nodes[child].place) or nodes[child].name
        return name, name

    first, last = ends(children[0])[0], ends(children[-1])[1]
    alike = "".join(a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(first, last)))
    shared = re.match(r".*[ :/]", alike)
    rest = last[shared.end() if shared else 0 :] if last != first else ""
    return _Branch(f"{first} … {rest}".rstrip(), children, ends=(first, last))


def where(places: list[Place], number: int) -> str:
    """Return the file and line of a place as reports show it; "" if it is unknown."""
    return str(places[number]) if number >= 0 and places[number].file else ""


def opened(folded: Folded, most: int) -> set[int]:
    """Return which groups to open so that at most so many things show, the outer groups first."""
    shown, todo = 1, [ROOT]
    result: set[int] = set()
    for number in todo:
        children = folded.groups[number].children
        if shown - 1 + len(children) <= most or number == ROOT:
            shown += len(children) - 1
            result.add(number)
            todo += [child.number for child in children if child.is_group]
    return result


def standing(folded: Folded, openings: Collection[int]) -> list[int]:
    """Return for each group the outermost closed group around it, -1 if it is itself open."""
    result: list[int] = []
    for number, group in enumerate(folded.groups):
        outer = result[group.parent] if group.parent >= 0 else -1
        result.append(outer if outer >= 0 or number in openings else number)
    return result


def carried(trace: Trace, gradient: Gradient) -> set[tuple[int, int]]:
    """Return where gradient flows in one call: pairs of an event and a position in its inputs.

    It flows where a path of gradient leads on to a target and back to a source that was asked for.
    """
    live = {trace.sources[number].value for number in gradient.sources}
    for event in trace.events:
        if any(flows and value in live for value, flows in zip(event.inputs, event.flows)):
            live.update(event.outputs)
    wanted = set(gradient.targets)
    result = set()
    for number in range(len(trace.events) - 1, -1, -1):
        event = trace.events[number]
        if wanted.isdisjoint(event.outputs):
            continue
        for position, (value, flows) in enumerate(zip(event.inputs, event.flows)):
            if flows and value in live:
                wanted.add(value)
                result.add((number, position))
    return result


def edges(
    trace: Trace, folded: Folded, openings: Collection[int], gradient: Gradient | None
) -> dict[tuple[str, str], Edge]:
    """Return what goes between the things that show; those are called `n7` and `g3`."""
    carries = carried(trace, gradient) if gradient else set()
    norms = gradient.cotangents if gradient else {}
    name = names(folded, openings)
    result: dict[tuple[str, str], Edge] = {}
    for value, origin, node, use in _uses(trace, folded):
        pair = name[origin], name[node]
        if pair[0] == pair[1]:
            continue
        edge = result.setdefault(pair, Edge())
        edge.count += 1
        if use in carries or (gradient and use is None and value in gradient.targets):
            edge.carries = True
            norm = norms.get(value)
            edge.norm = norm if edge.norm is None else max(edge.norm, norm or 0.0)
    return result


def names(folded: Folded, openings: Collection[int]) -> list[str]:
    """Return for each node what shows it: itself, `n7`, or the closed group around it, `g3`."""
    stands = standing(folded, openings)
    return [
        f"n{number}" if stands[node.group] < 0 else f"g{stands[node.group]}"
        for number, node in enumerate(folded.nodes)
    ]


def _uses(trace: Trace, folded: Folded) -> Iterator[tuple[int, int, int, tuple[int, int] | None]]:
    """Yield each use of a value: the value, the node it is from, the node that takes it, and where.

    Where is the event and the position in its inputs; None for the target of a gradient call.
    """
    origins = {source.value: folded.of_source[n] for n, source in enumerate(trace.sources)}
    for number, event in enumerate(trace.events):
        node = folded.of_event[number]
        for position, value in enumerate(event.inputs):
            if value in origins:
                yield value, origins[value], node, (number, position)
        origins.update(dict.fromkeys(event.outputs, node))
    for number, call in enumerate(trace.gradients):
        for value in call.targets:
            if value in origins:
                yield value, origins[value], folded.of_gradient[number], None
