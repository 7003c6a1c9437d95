"""Functions that a mode does not see, or that are one op: the program's own, and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from headgate.flow.watch.torch.frames import inside_library
from headgate.flow.watch.torch.graph import CUSTOM
from headgate.flow.watch.torch.host import from_host
from headgate.flow.watch.torch.ops import OP, Row
from headgate.flow.watch.torch.results import joined, made, taken
from headgate.flow.watch.torch.shield import shielded
from headgate.flow.watch.torch.values import tensors_in
from headgate.record.site import chain

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session


def compile_(session: Session, original: Any, *args: Any, **kwargs: Any) -> Any:
    """Let compiled functions run uncompiled, to be seen."""
    if not session.compiled and hasattr(torch.compiler, "set_stance"):
        session.compiled = True
        torch.compiler.set_stance("force_eager")
        session.undo.append(lambda: torch.compiler.set_stance("default"))
    return original(*args, **kwargs)


def from_numpy(session: Session, original: Any, *args: Any, **kwargs: Any) -> Any:
    """Note what comes back from NumPy."""
    result = original(*args, **kwargs)
    if session.hears and args:
        session.safely(from_host, session.log, args[0], result)
    return result


def apply(session: Session, original: Any, cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Note a function of the program's own, as one op."""
    if not session.hears:
        return original(cls, *args, **kwargs)
    if cls.__name__ == "CheckpointFunction":
        return _checkpoint(session, original, cls, *args, **kwargs)
    log = session.log
    given = session.safely(taken, log, args, kwargs)
    log.quiet += 1
    try:
        result = original(cls, *args, **kwargs)
    finally:
        log.quiet -= 1
    results = list(tensors_in((result,)))
    if given and results:
        session.safely(made, log, Row(OP, cls.__name__), given, results, CUSTOM)
    return result


def _checkpoint(session: Session, original: Any, cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Note what is computed now and once more as gradients come back.

    It has a gradient if one of its arguments has; then all that is used within has one, too.
    """
    first = len(session.log.trace.events)
    result = original(cls, *args, **kwargs)
    _note_checkpoint(session, first, list(tensors_in((result,))))
    return result


@shielded
def _note_checkpoint(session: Session, first: int, results: list[Any]) -> None:
    log = session.log
    tracked = any(each.requires_grad for each in results)
    _, here, led = log.lines.chain(chain())
    inside = inside_library()
    for event in log.trace.events[first:]:
        if event.kind == "no_grad_block":
            event.kind = "" if tracked else "checkpoint"
            event.label = ""
            if tracked:
                event.flows = (True,) * len(event.inputs)
            else:
                event.place, event.callers, event.label = here, led, inside
        elif tracked and not event.kind:
            event.flows = (True,) * len(event.inputs)
    for each in results:
        known = log.known(each)
        if each.requires_grad and known is not None:
            joined(log, "checkpoint", each, known.number)
