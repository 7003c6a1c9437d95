"""Asks: gradient calls that are looked at, and the lines that they come from."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from headgate.flow.watch.tensorflow.values import Known, Tape
from headgate.flow.watch.tensorflow.walk import Walk


@dataclass(slots=True, eq=False)
class Ask:
    """A gradient call that was looked at."""

    place: int
    step: int
    targets: tuple[int, ...]
    names: tuple[str, ...]
    began: int
    tape: Tape | None = None
    inner: bool = False
    sources: list[int] = field(default_factory=list)
    norms: list[float | None] = field(default_factory=list)
    outputs: list[int | None] = field(default_factory=list)
    walk: Walk | None = None
    failed: str = ""
    broke: bool = False  # whether it failed on its way back
    first: int = 0  # number of the first event since the call before
    reads: dict[int, Known] = field(default_factory=dict)  # source -> what it was read as
    unknown: dict[int, int] = field(default_factory=dict)  # position -> TensorFlow's own number
    updates: int = 0  # how many updates there had been


@dataclass(slots=True, eq=False)
class Line:
    """A line that asks for gradients."""

    passes: int = 0
    looked: int = 0
    changes: int = 0
    last: int = 0  # its last call, counted over all lines
    missing: frozenset[int] | None = None  # which gradients did not come in its last pass


def shielded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a session whose errors do not reach the program; it then gives None."""

    @functools.wraps(method)
    def instead(session: Any, *args: Any, **kwargs: Any) -> Any:
        quiet = session.log.quiet
        try:
            return method(session, *args, **kwargs)
        except Exception as error:
            session.log.quiet = quiet
            session.log.fault(error)
            return None

    return instead
