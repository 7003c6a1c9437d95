"""The account of a session: what happened in a JAX program, as a neutral trace.

In JAX a missing gradient is a zero. Which sources gradient cannot reach, whatever their values, is
read off the events here: those have none, in the words of a trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.flow.trace import Course, Cut, Gradient

if TYPE_CHECKING:
    from headgate.flow.watch.jax.log import Pass
    from headgate.flow.watch.jax.session import Session


def account(session: Session) -> None:
    """Put what is found out at the end into the trace of a session's log."""
    log, trace = session.log, session.log.data
    trace.gradients = [_as_gradient(session, each) for each in log.passes]
    trace.courses = [
        Course(source, line.where.place, ((0, "some"),), line.passes, line.looked)
        for line in log.lines.values()
        if line.ask is not None
        for source in line.ask.sources[:1]
    ]


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
