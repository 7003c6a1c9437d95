"""Places: the user's line of each equation of a jaxpr.

An equation knows the whole stack of the call that made it. What is installed is passed over, as
everywhere; if a library other than JAX lies between, it is told: "inside flax/linen/linear.py:120".
What JAX keeps of a function that it has traced before has the lines of its first call. So what is
in a function of a library is at the line that calls it, and only what is in a function of the
program has lines of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax

from headgate.flow.trace import Place, Trace
from headgate.flow.watch.jax.ops import FUNCTIONS
from headgate.flow.watch.lines import Lines
from headgate.record.site import HOPS, is_users

_JAX = (os.path.dirname(jax.__file__) + os.sep, "<")
_OWN = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__)))) + os.sep


class Where(NamedTuple):
    """A line of the program.

    Attributes:
        place: its number.
        callers: number of the lines that led there.
        inside: the line in a library between, "" if there is none.
        function: which of the functions in `FUNCTIONS` it calls, "" if none.
    """

    place: int
    callers: int
    inside: str = ""
    function: str = ""


class Frame(NamedTuple):
    """A line that runs: of JAX's tracebacks, or of the interpreter's stack."""

    file: str
    line: int
    function: str


class Places:
    """Gives numbers to the lines of a trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.lines = Lines(trace)
        self._chains: dict[tuple[int, ...], int] = {(): 0}
        self._known: dict[Any, Where | None] = {}

    def of(self, equation: Any) -> Where | None:
        """Return the user's line of an equation, None if none led to it."""
        traceback = equation.source_info.traceback
        if traceback is None:
            return None
        if traceback not in self._known:
            frames = (Frame(f.file_name, f.line_num, f.function_name) for f in traceback.frames)
            self._known[traceback] = self.among(frames)
        return self._known[traceback]

    def here(self) -> Where:
        """Return the user's line that runs now."""
        return self.among(running()) or Where(self.lines.at(Place("", 0)), 0)

    def among(self, frames: Iterable[Frame]) -> Where | None:
        """Return the user's line among frames, the innermost first."""
        found: list[Frame] = []
        inside = function = ""
        for frame in frames:
            if is_users(frame.file):
                if found and found[-1].function.endswith("comp>") and found[-1].file == frame.file:
                    found[-1] = found[-1]._replace(function=frame.function)
                    if found[-1].function == "<module>":
                        break
                    continue
                found.append(frame)
                if len(found) > HOPS or frame.function == "<module>":
                    break
            elif not found and frame.file.startswith(_JAX[0]):
                function = FUNCTIONS.get(frame.function, function)
            elif not found and not inside and not frame.file.startswith((_OWN, *_JAX)):
                inside = _inside(frame)
        if not found:
            return None
        numbers = [self.lines.at(Place(*frame)) for frame in found]
        return Where(numbers[0], self.chain(tuple(numbers[1:])), inside, function)

    def chain(self, numbers: tuple[int, ...]) -> int:
        """Return the number of the lines that led somewhere, the nearest first."""
        if numbers not in self._chains:
            self._chains[numbers] = len(self.trace.callers)
            self.trace.callers.append(numbers)
        return self._chains[numbers]


def _inside(frame: Frame) -> str:
    """Return "inside library/file.py:12" for a frame of a package, "" for one of another file."""
    _, found, path = frame.file.replace("\\", "/").rpartition("-packages/")
    return f"inside {path}:{frame.line}" if found else ""


def running() -> Iterable[Frame]:
    """Yield the frames that run now, the innermost first."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        yield Frame(code.co_filename, frame.f_lineno, code.co_qualname)
        frame = frame.f_back  # type: ignore[assignment]


def home_of(jaxpr: Any) -> str:
    """Return the file of the function that a jaxpr was made from, "" if that is not known.

    Of what is made of `functools.partial` and the like it is not.
    """
    return _source(jaxpr)[1]


def is_jax(file: str) -> bool:
    """Tell whether a file is of JAX's own."""
    return file.startswith(_JAX[0])


def function_of(jaxpr: Any) -> str:
    """Return the name of the function that a jaxpr was made from, "" if that is not known."""
    return _source(jaxpr)[0]


def _source(jaxpr: Any) -> tuple[str, str]:
    info = getattr(getattr(jaxpr, "debug_info", None), "func_src_info", None) or ""
    name, found, rest = info.partition(" at ")
    return (name, rest.rpartition(":")[0]) if found else (name, "")
