"""What only a TensorFlow or Keras program can do wrong, and no gradient call can tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from headgate.flow.judge import Told
from headgate.flow.solve import Reach
from headgate.flow.watch.tensorflow.values import handle_of

if TYPE_CHECKING:
    from headgate.flow.watch.tensorflow.session import Session


def mistakes(session: Session) -> Iterator[Told]:
    """Yield what is wrong with variables beside all gradient calls."""
    yield from _frozen(session)


def _frozen(session: Session) -> Iterator[Told]:
    """Find layers that were frozen before they learnt anything, and that gradient would reach."""
    log, trace = session.log, session.log.trace
    asked = {number for ask in session.asks for number in ask.sources}
    reach = Reach(trace)
    mask = 0
    for ask in session.asks:
        for value in ask.targets:
            mask |= reach.by_gradient.get(value, 0)
    latest: dict[int, tuple[bool, int]] = {}
    for layer, flag, place in session.optimizers.freezes:
        held = layer()
        inside = getattr(held, "variables", None) or [held]
        for variable in inside if held is not None else ():
            leaf = log.handles.get(handle_of(variable))
            if leaf is not None:
                latest[leaf.number] = flag, place
    for number, (flag, place) in latest.items():
        source = trace.sources[number]
        if flag or number in asked or source.updated or source.copied or not mask >> number & 1:
            continue
        yield Told(source.name, "not asked for", "frozen", session.place(place))
