"""Running a function again for its gradient: what must be remembered of the first run.

What is recorded as one node (`recompute_grad`, branches and loops of a program) lets go of what its
function did and runs it again for the gradient. Then it has to be as it was: the same tapes record
(`Moment`), and gradient leaves what is computed at the same nodes, its **boundary**: what the
function was given (`input_node`), tensors that it takes from outside, leaves of variables.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from headgate.core.cotangent import pass_through
from headgate.core.row import PASS
from headgate.record.graph import Leaf, Node, bits_of, ghost, new_node, state
from headgate.record.site import where


def boundary(
    nodes: Sequence[Node | None], start: int, inputs: Container[int]
) -> tuple[list[Node], list[int]]:
    """Return where gradient leaves what was computed since a time, and which of it each node meets.

    The second result has one mask per node: bit k stands for the k-th node of the first one.
    """
    active = ~state.recording.paused
    inside: dict[int, list[Node]] = {}
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
            inside[node.seq] = [parent for parent in parents if parent.live & active]
            waiting += inside[node.seq]
    order = sorted(outside)
    met = {seq: 1 << k for k, seq in enumerate(order)}
    for seq in sorted(inside):
        met[seq] = 0
        for parent in inside[seq]:
            met[seq] |= met[parent.seq]
    return [outside[seq] for seq in order], [met[node.seq] if node else 0 for node in nodes]


class Moment:
    """A recording as it is now: to run functions again later, as if it still were so."""

    __slots__ = ("active", "recording", "tapes")

    def __init__(self) -> None:
        self.recording = state.recording
        self.tapes = list(state.recording.tapes)
        self.active = state.recording.sources.every & ~state.recording.paused

    @contextmanager
    def again(self) -> Iterator[None]:
        """Record in a block what the tapes would have recorded then."""
        recording, before = self.recording, state.recording
        kept = recording.tapes, recording.walking, recording.onlooker
        every = recording.sources.every
        active = every & ~recording.paused  # not those of the tapes: a moment may lie in another
        try:
            state.recording = recording
            recording.tapes, recording.walking, recording.onlooker = list(self.tapes), True, None
            recording.refresh(self.active)
            yield
        finally:
            state.recording = before
            recording.tapes, recording.walking, recording.onlooker = kept
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
