"""The account of a session: what happened in a JAX program, as a neutral trace.

In JAX a missing gradient is a zero. Which sources gradient cannot reach, whatever their values, is
read off the events here: those have none, in the words of a trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from headgate.flow.trace import Course, Cut, Gradient

if TYPE_CHECKING:
    from headgate.flow.watch.jax.log import Pass
    from headgate.flow.watch.jax.session import Session


def account(session: Session) -> None:
    """Put what is found out at the end into the trace of a session's log."""
    log, trace = session.log, session.log.data
    trace.gradients = [_as_gradient(session, each) for each in log.passes]
    trace.courses = list(_courses(session))


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
