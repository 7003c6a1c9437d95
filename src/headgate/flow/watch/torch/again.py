"""Again: a pass whose forward nobody saw, told by an earlier one that was looked at.

Later passes of a line are not looked at, so of a loss that is not finite there is only PyTorch's
graph, without lines. If it has the very nodes of a pass that was looked at, in the same order, each
of its nodes is of the same op at the same line. So they are marked with the events of that pass,
and the walk is measured as any other is. What a node has saved tells where numbers that are not
finite came in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from headgate.flow.trace import Cut
from headgate.flow.watch.torch.graph import Walk, in_order
from headgate.flow.watch.torch.records import CHANGES, CLOSELY, Ask, Line
from headgate.flow.watch.torch.shield import shielded
from headgate.flow.watch.torch.values import is_wrapped, spoilt

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session


@dataclass(slots=True, eq=False)
class Memory:
    """What is kept of a pass that was looked at: the call, and the nodes with their marks."""

    ask: Ask
    nodes: list[tuple[str, Any]]


def remember(session: Session, line: Line, ask: Ask, walk: Walk) -> None:
    """Keep what tells a later pass of a line, before the walk is over."""
    nodes = [(node.name(), node.metadata.get(session.log)) for node in walk.nodes]
    line.memory = Memory(ask, nodes)


@shielded
def recognised(session: Session, line: Line, targets: list[Any]) -> tuple[Ask, Walk] | None:
    """Return a call and its walk, if the targets are not finite for the first time in a while.

    The next pass is looked at in any case: whether they are finite again.
    """
    was, line.finite = line.finite, all(map(_is_finite, targets))
    if line.finite or not was or line.changes >= CHANGES:
        return None
    line.looked = min(line.looked, CLOSELY - 1)
    memory = line.memory
    walk = Walk(session.log, targets)
    if memory is None or [node.name() for node in walk.nodes] != [name for name, _ in memory.nodes]:
        return None
    before = memory.ask
    ask = Ask(
        before.place, line.passes - 1, before.targets, before.names, before.began, before.inner
    )
    ask.first, ask.updates = before.first, len(session.log.trace.updates)
    ask.explicit = before.explicit
    ask.walk = walk
    for node, (_, mark) in zip(walk.nodes, memory.nodes):
        if mark is not None:
            node.metadata[session.log] = mark
    ask.birth = _birth(session, walk)
    try:
        walk.__enter__()
    except Exception:
        walk.__exit__()
        raise
    session.asks.append(ask)
    return ask, walk


def _is_finite(target: Any) -> bool:
    """Tell whether a loss is finite; what is no single number is taken for that."""
    if target.numel() != 1 or is_wrapped(target) or target.is_meta:
        return True
    with torch.no_grad():
        return bool(torch.isfinite(target.detach()).all())


def _birth(session: Session, walk: Walk) -> Cut | None:
    """Return where numbers that are not finite came to be, as what the nodes have saved tells.

    Where a parameter itself is not finite, a step before made it so.
    """
    for leaf in walk.ends():
        if leaf.dtype.is_floating_point and spoilt(leaf, False):
            place = session.place(_line_of_step(session, leaf))
            return None if place is None else Cut("nonfinite_data", place)
    for node in in_order(walk.nodes):
        for name in dir(node):
            if not name.startswith("_saved_") or name == "_saved_result":
                continue
            if not _is_spoilt(node, name):
                continue
            maker = _child(node, name)
            if maker is not None and session.log in maker.metadata:
                return _cut(session, maker, "nonfinite_value")
            return _cut(session, node, "nonfinite_data")
    return None


def _line_of_step(session: Session, leaf: Any) -> int:
    """Return the line that moved a parameter last; that it was made on, if none did."""
    number = session.log.leaf(leaf).number
    for update in reversed(session.log.trace.updates):
        if number in update.sources:
            return update.place
    return session.log.trace.sources[number].place


def _is_spoilt(node: Any, name: str) -> bool:
    try:
        saved = getattr(node, name)
    except RuntimeError:  # it is freed
        return False
    if not isinstance(saved, torch.Tensor) or not saved.dtype.is_floating_point:
        return False
    return not is_wrapped(saved) and not bool(torch.isfinite(saved.detach()).all())


_ARGUMENTS = {"self": 0, "input": 0, "other": 1, "mat2": 1, "weight": 1, "exponent": 1, "vec": 1}


def _child(node: Any, name: str) -> Any:
    """Return the node that made what a node has saved; None for a leaf, and for a constant."""
    argument = name.removeprefix("_saved_")
    number = _ARGUMENTS.get(argument)
    if node.name().startswith("Addmm"):  # after what it is added to
        number = {"mat1": 1, "mat2": 2}.get(argument)
    children = node.next_functions
    if number is None or number >= len(children):
        return None
    child = children[number][0]
    return None if child is None or hasattr(child, "variable") else child


def _cut(session: Session, node: Any, kind: str) -> Cut | None:
    mark, trace = node.metadata.get(session.log), session.log.trace
    if mark is None or mark[0] >= len(trace.events):
        return None
    event = trace.events[mark[0]]
    return Cut(kind, trace.place_of(event), event.op, event.shape, trace.callers_of(event))
