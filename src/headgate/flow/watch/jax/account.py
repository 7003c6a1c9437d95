"""The account of a session: what happened in a JAX program, as a neutral trace.

In JAX a missing gradient is a zero. Which sources gradient cannot reach, whatever their values, is
read off the events here: those have none, in the words of a trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headgate.flow.trace import Course, Cut, Gradient, Trace

if TYPE_CHECKING:
    from headgate.flow.watch.jax.log import Pass
    from headgate.flow.watch.jax.session import Session


def account(session: Session) -> None:
    """Put what is found out at the end into the trace of a session's log."""
    log, trace = session.log, session.log.data
    trace.gradients = [_as_gradient(session, each) for each in log.passes]
    trace.courses = list(_courses(session))
    _leave_alone(session)


def _leave_alone(session: Session) -> None:
    """Note which sources nobody misses a gradient of.

    Such are those that the program moves by itself, as averages of others, and those that it stops
    as they are, and holds back in the optimizer as well or has a like of, as targets have.
    """
    log, trace = session.log, session.log.data
    histories = session.optimizers.histories()
    alive = {
        source
        for each in log.passes
        for source, size in zip(each.ask.sources, each.norms)
        if size and source in each.ask.connected
    }
    stopped = _stopped_at_once(session)
    if not session.optimizers.masks:
        stopped = {each for each in stopped if any(_are_alike(trace, each, k) for k in alive)}
    for number, source in enumerate(trace.sources):
        moves = len(set(histories.get(number, ()))) > 1
        if number not in alive and (moves or number in stopped):
            source.trainable = False


def _are_alike(trace: Trace, one: int, other: int) -> bool:
    """Tell whether two sources have one shape, and paths that differ in one step."""
    first, second = trace.sources[one], trace.sources[other]
    steps = [re.findall(r"[^\[\].']+", each.name) for each in (first, second)]
    if first.shape != second.shape or len(steps[0]) != len(steps[1]):
        return False
    return len([a for a, b in zip(*steps) if a != b]) == 1


def _stopped_at_once(session: Session) -> set[int]:
    """Return the sources all of whose uses are a stop of the value as it is."""
    trace = session.log.data
    reads = {
        event.outputs[0]: event.inputs[0]
        for event in trace.events
        if event.op == "read" and not event.kind
    }
    numbers = {source.value: number for number, source in enumerate(trace.sources)}
    used: dict[int, bool] = {}
    for event in trace.events:
        for value in event.inputs:
            number = numbers.get(reads.get(value, -1))
            if number is not None:
                used[number] = used.get(number, True) and event.kind == "stop_gradient"
    return {number for number, only in used.items() if only}


def _courses(session: Session) -> Iterator[Course]:
    """Yield how the gradient of each source went, as far as it was looked at."""
    for line in session.log.lines.values():
        runs: dict[int, list[tuple[int, str]]] = {}
        for each in session.log.passes:
            if each.ask.line is line:
                for source, size in zip(each.ask.sources, each.norms):
                    connected = source in each.ask.connected
                    state = "some" if size else "zero" if connected else "none"
                    known = runs.setdefault(source, [])
                    if not known or known[-1][1] != state:
                        known.append((each.step, state))
        for source, states in runs.items():
            yield Course(source, line.where.place, tuple(states), line.all_passes, line.looked)


def _as_gradient(session: Session, each: Pass) -> Gradient:
    ask = each.ask
    norms: list[float | None] = []
    births: dict[int, Cut | None] = {}
    for position, (source, size) in enumerate(zip(ask.sources, each.norms)):
        norms.append(size if source in ask.connected or size else None)
        if size - size != 0:
            births[position] = each.birth
    return Gradient(
        ask.line.where.place,
        ask.targets,
        (ask.name,) * len(ask.targets),
        ask.sources,
        tuple(norms),
        each.cotangents,
        each.deaths,
        each.step,
        births,
        ask.told,
        False,
        ask.outputs or (None,) * len(ask.sources),
        ask.began,
        None,
        True,
        True,
    )
