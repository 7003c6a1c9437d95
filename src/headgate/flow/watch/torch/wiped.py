"""Gradients that are wiped in part: those of micro-batches, of which a step takes only the last.

Whoever accumulates gradients over several calls of a line and steps once must not clear them in
between. That is seen without looking closely: a parameter that had a gradient after the last call
of a line has none, or zeros, at the next call of the same line, and no optimizer made a step since.
Where as many are lost before every step, nobody left them out for being bad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.flow.watch.torch.records import Line, Stepper
from headgate.flow.watch.torch.shield import shielded

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session

ENOUGH = 4
"""After so many steps of an optimizer it is decided."""


@shielded
def before_call(session: Session, line: Line) -> None:
    """See whether what the last call of a line brought is still there as the next one begins."""
    for known in session.steppers.values():
        waiting = known.waiting
        if waiting.line is line and len(waiting.cycles) < ENOUGH:
            g = waiting.probe.grad
            session.log.quiet += 1
            if g is None or not bool(g.any()):
                waiting.gone += 1
                cleared = session.log.leaf(waiting.probe).cleared
                waiting.place = cleared if cleared >= 0 else waiting.place
            session.log.quiet -= 1
        waiting.line = None


@shielded
def after_call(session: Session, line: Line) -> None:
    """Note which optimizers have something to wait for now."""
    for known in session.steppers.values():
        waiting = known.waiting
        if len(waiting.cycles) < ENOUGH:
            if waiting.probe is None or waiting.probe.grad is None:
                waiting.probe = next((p for p in known.parameters if p.grad is not None), None)
            waiting.line = None if waiting.probe is None else line


def stepped(session: Session, known: Stepper) -> None:
    """Note that an optimizer makes a step; what others wait for may be meant to be left."""
    known.waiting.cycles.append(known.waiting.gone)
    known.waiting.gone = 0
    for each in session.steppers.values():
        each.waiting.line = None
