"""The account of a session: what happened in a TensorFlow program, as a neutral trace.

Events are in the log already. What is found out only at the end is added here: what sources are
called, what was not finite, and what no event shows of a missing gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.flow.solve import Reach
from headgate.flow.trace import Cut, Gradient, Optimizer
from headgate.flow.watch.tensorflow.walk import Walk

if TYPE_CHECKING:
    from headgate.flow.watch.tensorflow.session import Ask, Session


def account(session: Session) -> None:
    """Put what is found out at the end into the trace of a session's log."""
    log, trace = session.log, session.log.trace
    for number, name in session.names().items():
        trace.sources[number].name = name
    renamed = {source.value: source.name for source in trace.sources}
    for event in trace.events:
        if event.op == "read":
            event.label = renamed.get(event.inputs[0], "")
    for leaf in log.leaves:
        source = trace.sources[leaf.number]
        source.copied = source.copied or leaf.loaded
        if source.lasting:
            source.trainable = leaf.trainable
        keras = session.of_keras(leaf)
        if keras is not None:  # tapes watch it all the same
            source.trainable = bool(keras.trainable)
    reach = Reach(trace)
    trace.gradients = [
        _as_gradient(session, ask, reach) for ask in session.asks if not ask.failed or ask.broke
    ]
    trace.optimizers = [
        Optimizer(known.last, known.steps, known.rate, tuple(known.given))
        for known in session.optimizers.steppers.values()
        if known.steps
    ]


def _as_gradient(session: Session, ask: Ask, reach: Reach) -> Gradient:
    walk = ask.walk or Walk(session.log)
    _measure(session, ask, walk)
    births: dict[int, Cut | None] = {}
    for position, size in enumerate(ask.norms):
        if size is not None and size - size != 0:
            births[position] = _birth(session, ask, walk)
    explicit = ask.tape is not None and not ask.tape.watches
    return Gradient(
        ask.place,
        ask.targets,
        ask.names,
        tuple(ask.sources),
        tuple(ask.norms),
        dict(walk.cotangents),
        dict(walk.deaths),
        ask.step,
        births,
        _told(session, ask, reach),
        ask.inner,
        tuple(ask.outputs),
        ask.began,
        None,
        explicit,
    )


def _measure(session: Session, ask: Ask, walk: Walk) -> None:
    """Say of a call that broke off what it could have brought; of one whose gradient comes through
    what never changes alone, that it is zero."""
    log = session.log
    assert ask.tape is not None
    if ask.broke:
        reached = log.reached(ask.targets, ask.tape.bit)
        values = [log.trace.sources[number].value for number in ask.sources]
        ask.norms = [1.0 if value in reached else None for value in values]
    elif walk.flat:
        reached = log.reached(ask.targets, ask.tape.bit, walk.flat)
        for position, number in enumerate(ask.sources):
            value = log.trace.sources[number].value
            if ask.norms[position] and value not in reached:
                ask.norms[position] = 0.0


def _replaced(session: Session, ask: Ask, number: int, reach: Reach, behind: object) -> Cut | None:
    """Return where what is asked for was put in the place of a variable, or the other way round."""
    trace = session.log.trace
    source = trace.sources[number]
    if not source.lasting:
        mask = reach.by_value.get(source.value, 0) & ~(1 << number)
        for other, known in enumerate(trace.sources):
            if mask >> other & 1 and known.lasting and known.name == source.name:
                place = trace.places[source.place] if source.place >= 0 else None
                return Cut("variable_replaced", place) if place is not None else None
        return None
    asked = set(ask.sources)
    for other, known in enumerate(trace.sources):
        if other <= number or other in asked or not known.lasting or known.place < 0:
            continue
        if known.shape == source.shape and known.value in behind and known.trainable:  # type: ignore[operator]
            return Cut("variable_replaced", trace.places[known.place])
    return None


def _told(session: Session, ask: Ask, reach: Reach) -> dict[int, Cut]:
    """Return what no event shows of the gradients that are missing."""
    found: dict[int, Cut] = {}
    log, trace = session.log, session.log.trace
    if None not in ask.norms:
        return found
    way, behind = reach.behind(ask.targets)
    for position, (number, size) in enumerate(zip(ask.sources, ask.norms)):
        if size is not None:
            continue
        source = trace.sources[number]
        if position in ask.unknown:
            line = log.uses.get(ask.unknown[position])
            if line is not None and line >= 0:
                found[position] = Cut("not_watched", trace.places[line])
            continue
        if not source.lasting or source.value not in behind:
            cut = _replaced(session, ask, number, reach, behind)
            if cut is not None:
                found[position] = cut
                continue
        if behind.get(source.value) and source.value not in ask.targets:
            cut = _left_tape(session, ask, source.value, way)
            if cut is not None:
                found[position] = cut
    return found


def _left_tape(session: Session, ask: Ask, value: int, way: list[int]) -> Cut | None:
    """Return where a value left the tape that was asked, while another one followed it."""
    log, trace = session.log, session.log.trace
    assert ask.tape is not None
    reached = {value}
    for number in way:
        event, masks = trace.events[number], log.masks[number]
        for taken, mask in zip(event.inputs, masks):
            if taken not in reached:
                continue
            if mask & ask.tape.bit:
                reached.update(event.outputs)
            elif mask:
                kind = "outside_tape"
                if event.op == "read" and not ask.tape.watches:
                    kind = "not_watched"
                return Cut(kind, trace.place_of(event), event.op, event.shape)
    return None


def _birth(session: Session, ask: Ask, walk: Walk) -> Cut | None:
    """Return where what is not finite in a gradient was born."""
    trace = session.log.trace
    later = [each.first for each in session.asks if each.first > ask.first]
    last = min(later, default=len(trace.events))
    values = sorted(number for number in session.log.infinite if ask.first <= number < last)
    numbers = [*values, *walk.births]
    kind = "nonfinite_value" if values else "nonfinite_slope"
    for number in numbers:
        if number < len(trace.events):
            event = trace.events[number]
            return Cut(kind, trace.place_of(event), event.op, event.shape, trace.callers_of(event))
    return None
