"""What only a TensorFlow or Keras program can do wrong, and no gradient call can tell.

Layers that were frozen before they learnt anything, variables that an optimizer passes over, and
layers that a model uses and does not list. Each is looked for once, over the whole run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headgate.flow.judge import Told
from headgate.flow.solve import Reach
from headgate.flow.watch.tensorflow.values import handle_of

if TYPE_CHECKING:
    from headgate.flow.watch.tensorflow.session import Session


def mistakes(session: Session) -> Iterator[Told]:
    """Yield what is wrong with variables beside all gradient calls."""
    reach = Reach(session.log.trace)
    reached = _reached(session, reach)
    known: set[str] = set()
    for find in (_frozen, _passed_over, _not_registered):
        for one in find(session, reached):
            if one.name not in known:
                yield one
                known.add(one.name)


def _reached(session: Session, reach: Reach) -> int:
    """Return the sources that gradient of some target could come to, as a mask."""
    mask = 0
    for ask in session.asks:
        for value in ask.targets:
            mask |= reach.by_gradient.get(value, 0)
    return mask


def _asked(session: Session) -> set[int]:
    return {number for ask in session.asks for number in ask.sources}


def _frozen(session: Session, reached: int) -> Iterator[Told]:
    """Find layers that were frozen before they learnt anything, and that gradient would reach."""
    log, trace = session.log, session.log.trace
    asked = _asked(session)
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
        if flag or number in asked or source.updated or source.copied or not reached >> number & 1:
            continue
        yield Told(source.name, "not asked for", "frozen", session.place(place))


def _passed_over(session: Session, reached: int) -> Iterator[Told]:
    """Find variables whose gradient came together with others that an optimizer was given, and that
    it was never given, and nobody changed."""
    trace = session.log.trace
    steps: dict[int, int] = {}  # source -> the line of the last step that changed it
    for update in trace.updates:
        for changed in update.sources:
            if update.optimizer >= 0:
                steps[changed] = update.place
    for ask in session.asks:
        beside = [steps[number] for number in ask.sources if number in steps]
        if not beside or ask.inner:
            continue
        for number, size in zip(ask.sources, ask.norms):
            source = trace.sources[number]
            if size and source.lasting and source.trainable and not source.updated:
                yield Told(source.name, "connected", "optimizer_mask", session.place(beside[-1]))


def _not_registered(session: Session, reached: int) -> Iterator[Told]:
    """Find variables of layers that a model uses and does not list, though its own are trained."""
    log, trace = session.log, session.log.trace
    asked = _asked(session)
    roots = {path.partition("/")[0] for number, path in session.paths.items() if number in asked}
    strays = [
        (number, path)
        for number, path in session.paths.items()
        if reached >> number & 1
        and number not in asked
        and log.leaves[number].trainable
        and not trace.sources[number].updated
        and not trace.sources[number].copied
    ]
    listed = _listed() if strays else set()
    for number, path in strays:
        variable = log.leaves[number].variable()
        if variable is None or path.partition("/")[0] not in roots:
            continue
        if handle_of(variable) not in listed:
            source = trace.sources[number]
            yield Told(source.name, "connected", "not_registered", session.place(source.place))


def _listed() -> set[int]:
    """Return the variables that some model of the program's has among its own."""
    import gc

    model: Any = getattr(sys.modules.get("keras"), "Model", None)
    if model is None:
        return set()
    found: set[int] = set()
    for each in gc.get_objects():
        try:
            if isinstance(each, model):
                found.update(handle_of(variable) for variable in each.variables)
        except Exception:  # some stand-in that does not like to be asked
            continue
    return found
