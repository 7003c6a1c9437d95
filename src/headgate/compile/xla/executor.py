"""XLA, by JAX, as an executor: the functions that `headgate.compile.executor` lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.compile.xla.control import (
    Equations,
    Scan,
    array,
    cast,
    choose,
    form_of,
    repeat,
    zeros,
)
from headgate.compile.xla.program import (
    at_once,
    fitted,
    host,
    is_native,
    keeps,
    mover,
    native,
    precise,
    runs_ahead,
    set_precision,
    settle,
    stand_in,
    trace,
    wait,
    wide,
)

if TYPE_CHECKING:
    from headgate.compile.executor import Executor
    from headgate.compile.xla import executor as this

    _checked: Executor = this

__all__ = [
    "array",
    "at_once",
    "cast",
    "choose",
    "equations",
    "fitted",
    "form_of",
    "host",
    "is_native",
    "keeps",
    "mover",
    "native",
    "precise",
    "repeat",
    "runs_ahead",
    "scan",
    "set_precision",
    "settle",
    "stand_in",
    "trace",
    "wait",
    "wide",
    "zeros",
]

equations = Equations
scan = Scan
