"""Running a function again for its gradient: what must be remembered of the first run.

What is recorded as one node (`recompute_grad`, branches and loops of a program) lets go of what its
function did and runs it again for the gradient. Then it has to be as it was: the function sees the
same values around it (`as_it_is`), the same tapes record (`Moment`), and gradient leaves what is
computed at the same nodes, its **boundary**: what the function was given (`input_node`), tensors
that it takes from outside, leaves of variables.

A gradient is linear in its cotangent if the rules on the way are, and that is known of rows'
(`known_linear`). Then its derivative by the cotangent (`Probes`) is the tangent of what the
function returned, and tells all that there is to know of it.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from types import CellType, FunctionType
from typing import Any

from headgate.core.cotangent import pass_through
from headgate.core.namespace import TENSORS, Array
from headgate.core.op import JointRule
from headgate.core.pull import pull
from headgate.core.row import PASS, PICK
from headgate.core.tensor import tensor_of
from headgate.record.graph import (
    Leaf,
    Node,
    Source,
    bits_of,
    ghost,
    new_leaf,
    new_node,
    state,
)
from headgate.record.site import where


def _computed(
    nodes: Sequence[Node | None], start: int, inputs: Container[int]
) -> tuple[dict[int, tuple[Node, list[Node]]], dict[int, Node]]:
    """Return what was computed since a time, with its parents, and where gradient leaves that."""
    active = ~state.recording.paused
    inside: dict[int, tuple[Node, list[Node]]] = {}
    outside: dict[int, Node] = {}
    waiting = [node for node in nodes if node is not None]
    while waiting:
        node = waiting.pop()
        if node.seq in inside or node.seq in outside:
            continue
        own = node.own & active if type(node) is Leaf else 0
        if node.seq <= start or own or node.seq in inputs:
            outside[node.seq] = node
        else:
            parents = [edge[0] for edge in node.edges or () if edge is not None]
            parents = [parent for parent in parents if parent.live & active]
            inside[node.seq] = node, parents
            waiting += parents
    return inside, outside


def boundary(
    nodes: Sequence[Node | None], start: int, inputs: Container[int]
) -> tuple[list[Node], list[int]]:
    """Return where gradient leaves what was computed since a time, and which of it each node meets.

    The second result has one mask per node: bit k stands for the k-th node of the first one.
    """
    inside, outside = _computed(nodes, start, inputs)
    order = sorted(outside)
    met = {seq: 1 << k for k, seq in enumerate(order)}
    for seq in sorted(inside):
        met[seq] = 0
        for parent in inside[seq][1]:
            met[seq] |= met[parent.seq]
    return [outside[seq] for seq in order], [met[node.seq] if node else 0 for node in nodes]


class LinearRule(JointRule):
    """A joint rule that is known to be linear in its cotangents."""

    __slots__ = ()


def is_linear(node: Node) -> bool:
    """Tell whether a node's rules are known to be linear in their cotangent.

    Those of rows are, but for two, and what users write need not be.
    """
    op = node.op
    if op is None or op is PASS or op is PICK:
        return True
    name: str = op.name
    if getattr(getattr(TENSORS, name, None), "op", None) is op:
        return not name.startswith("clip_gradient")
    return any(edge is not None and type(edge[1]) is LinearRule for edge in node.edges or ())


def known_linear(nodes: Sequence[Node | None], start: int, inputs: Container[int]) -> bool:
    """Tell whether all that was computed since a time has rules that are known to be linear."""
    inside, _ = _computed(nodes, start, inputs)
    return all(is_linear(node) for node, _ in inside.values())


class Probes:
    """Stand-ins for cotangents, by which gradients are differentiated as soon as they are computed.

    They have a bit of their own, which belongs to no tape.
    """

    def __init__(self, values: Sequence[Array]) -> None:
        self.recording = recording = state.recording
        source = Source("cotangent")
        self.bit = recording.sources.new_bit(source)
        self.leaves = [new_leaf(recording, source) for _ in values]
        for leaf in self.leaves:
            leaf.own = leaf.live = self.bit
        self.tensors = list(map(tensor_of, values, self.leaves))

    def tangents(self, gradients: Sequence[Any], directions: Sequence[Any]) -> list[Any]:
        """Return the gradient by each probe of some gradients times directions; None for none."""
        seeds = [
            (g.node, g.value, direction)
            for g, direction in zip(gradients, directions, strict=True)
            if g is not None and direction is not None
            if g.node is not None and g.node.live & self.bit
        ]
        bits = [self.bit] * len(self.leaves)
        self.close()
        return pull(seeds, self.leaves, bits, lifted=True, beyond=False)

    def close(self) -> None:
        """Let nothing more be recorded of them."""
        self.recording.silence(self.bit)


def as_it_is(function: Any, known: dict[int, Any] | None = None) -> Any:
    """Return a function that sees the variables around it as they are now, to run it again later.

    `y = cond(p, lambda: f(y), lambda: g(y))` gives another value to what the functions read. So
    does the next step of a loop in Python. Functions that it sees are taken as they are, too.
    """
    if type(function) is not FunctionType or not function.__closure__:
        return function
    known = {} if known is None else known
    if id(function) in known:
        return known[id(function)]
    cells = [CellType() for _ in function.__closure__]
    same = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        tuple(cells),
    )
    known[id(function)] = same
    same.__kwdefaults__ = function.__kwdefaults__
    same.__dict__.update(function.__dict__)
    for cell, given in zip(cells, function.__closure__):
        try:
            cell.cell_contents = as_it_is(given.cell_contents, known)
        except ValueError:  # it has no value yet
            continue
    return same


class Moment:
    """A recording as it is now: to run functions again later, as if it still were so."""

    __slots__ = ("active", "recording", "tapes")

    def __init__(self) -> None:
        self.recording = state.recording
        self.tapes = list(state.recording.tapes)
        self.active = state.recording.sources.every & ~state.recording.paused

    @contextmanager
    def again(self, and_now: bool = False) -> Iterator[None]:
        """Record in a block what the tapes would have recorded then, and what others do now."""
        recording, before = self.recording, state.recording
        kept = recording.tapes, recording.walking, recording.onlooker
        every = recording.sources.every
        active = every & ~recording.paused  # not those of the tapes: a moment may lie in another
        late = False
        try:
            state.recording = recording
            recording.tapes, recording.walking, recording.onlooker = list(self.tapes), True, None
            recording.refresh(self.active | active if and_now else self.active)
            yield
        except GeneratorExit:
            late = True
            raise
        finally:
            state.back(before, recording, late)
            recording.tapes, recording.walking, recording.onlooker = kept
            if late:
                recording.tapes = [tape for tape in kept[0] if (it := tape()) and it._active]
            recording.refresh(active | bits_of(recording.tapes) & ~every)


@contextmanager
def unlogged() -> Iterator[None]:
    """Do not tell what happens in a block to who looks on: it sees the construct instead."""
    recording = state.recording
    onlooker = recording.onlooker
    try:
        recording.onlooker = None
        yield
    finally:
        recording.onlooker = onlooker


def input_node(live: int, cuts: int, after: Node | None = None) -> Node | None:
    """Return a node for an array that a body is given, which may stand for another node."""
    if not live:
        return ghost(state.recording, cuts)
    edges: tuple[Any, ...] = ()
    if after is not None and after.recording is state.recording:
        edges = ((after, pass_through, (), None, None),)
        live |= after.live
    return new_node(Node, state.recording, PASS, edges, live, cuts, where())
