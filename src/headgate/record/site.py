"""Sites: the line of the user's program that something comes from.

The stack is walked past Headgate's own files, and past what is installed: the standard library and
packages, which call back into the program (`copy.deepcopy`, a pool of threads, a generated
`__init__`). The first file that is neither is the user's; if there is none, as in a program that is
itself an installed package, the innermost one that is not Headgate's. A site is only a code object
and an instruction in it, which costs next to nothing to take; file, line and text are looked up
when somebody reads the report.
"""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType, FrameType
from typing import Any, NamedTuple

import optree


class Site(NamedTuple):
    """A place in the user's program; file, line and text are found only when somebody asks."""

    code: CodeType
    instruction: int

    @property
    def file(self) -> str:
        return self.code.co_filename

    @property
    def line(self) -> int:
        positions = list(self.code.co_positions())
        found = positions[self.instruction // 2][0] if self.instruction >= 0 else None
        return found or self.code.co_firstlineno

    @property
    def text(self) -> str:
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{shown_path(self.file)}:{self.line}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Go into a pickle as file, line and function, for code objects do not."""
        return _site_at, (self.file, self.line, self.code.co_name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Site:
        return self


def _site_at(file: str, line: int, name: str) -> Site:
    """Return a place in a program that may run elsewhere, or not at all by now."""
    code = compile("", file, "exec").replace(co_firstlineno=line, co_name=name, co_qualname=name)
    return Site(code, -1)


def shown_path(file: str) -> str:
    """Return a path as a person wants to read it: relative if it lies below the working folder."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):  # the working folder is gone, or on another drive
        return file
    return file if relative.startswith("..") or file.startswith("<") else relative


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PROGRAMS = os.path.join(_PACKAGE, "examples") + os.sep
_OPTREE = os.path.dirname(optree.__file__) + os.sep


_LIBRARY = os.path.dirname(os.__file__) + os.sep
_PACKAGES = f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}"
_LAUNCHERS = {"bin", "Scripts"}
_GENERATED = ("<string>", "<attrs generated ", "<decorator-gen-", "<__array_function__ ")
"""Names of files that never were: what is generated is nobody's line."""


def _is_own(file: str) -> bool:
    """Tell whether a file is Headgate's own; its example programs count as a user's."""
    if file.startswith(("<headgate ", _OPTREE, "<frozen ")):
        return True
    return file.startswith(_PACKAGE) and not file.startswith(_PROGRAMS)


def _is_installed(file: str) -> bool:
    """Tell whether a file is of the standard library or a package, or starts one of them."""
    if file.startswith(_PROGRAMS):
        return False
    if file.startswith((_LIBRARY, *_GENERATED)) or any(folder in file for folder in _PACKAGES):
        return True
    folder, name = os.path.split(file)
    return os.path.basename(folder) in _LAUNCHERS and not os.path.splitext(name)[1]


class _PassedOver(dict[str, bool]):
    """File -> whether its lines are nobody's who reads a report."""

    def __missing__(self, file: str) -> bool:
        found = self[file] = _is_own(file) or _is_installed(file)
        return found


_passed_over = _PassedOver()


def where() -> tuple[CodeType, int]:
    """Return the innermost place on the stack that is the user's line.

    Called for each node, so it returns the parts of a `Site` and makes none.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not _passed_over[code.co_filename]:
            return code, frame.f_lasti
        frame = frame.f_back
    frame = _users(sys._getframe(1))
    return frame.f_code, frame.f_lasti


def _users(first: FrameType) -> FrameType:
    """Return the innermost of the user's frames, else the innermost that is not Headgate's."""
    frame: FrameType | None = first
    while frame is not None and _passed_over[frame.f_code.co_filename]:
        frame = frame.f_back
    if frame is None:
        frame = first
        while frame is not None and _is_own(frame.f_code.co_filename):
            frame = frame.f_back
    return frame or first


def caller() -> Site:
    """Return the user's line as a `Site`."""
    return Site(*where())


def depth() -> int:
    """Return how many frames the user's line lies above the caller: `stacklevel` less one.

    `warnings.warn` leaves out the frames of an import, so they do not count.
    """
    frame = sys._getframe(1)
    last, found = _users(frame), 0
    while frame is not last:
        assert frame.f_back is not None
        frame = frame.f_back
        file = frame.f_code.co_filename
        found += not ("importlib" in file and "_bootstrap" in file)
    return found


def name_in_program(value: Any) -> str:
    """Return what the user's program calls a value where it is now, or "" if it has no name there.

    That is the name of a variable of Python, or a key or position in a dictionary or list that has
    a name.
    """
    frame = _users(sys._getframe(1))
    names = {**frame.f_globals, **frame.f_locals}
    for name, bound in names.items():
        if bound is value:
            return name
    for name, bound in names.items():
        if type(bound) is dict:
            for key, item in bound.items():
                if item is value:
                    return str(key)
        elif type(bound) in (list, tuple):
            for number, item in enumerate(bound):
                if item is value:
                    return f"{name}[{number}]"
    return ""
