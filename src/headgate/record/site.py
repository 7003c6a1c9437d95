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
from collections.abc import Iterator, Sequence
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
        for start, end, line in self.code.co_lines():
            if start <= self.instruction < end and line:
                return line
        return self.code.co_firstlineno

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


def printable(text: str) -> str:
    """Replace what would move a terminal's cursor or change its colours.

    >>> from headgate.record.site import printable
    >>> printable("w\\x1b[31m")
    'w\N{REPLACEMENT CHARACTER}[31m'
    """
    if text.isprintable():
        return text
    text = text.replace("\t", " ")
    letters = (letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return "".join(letters)


def legible(text: str) -> str:
    """Return lines of text, each of them printable."""
    return "\n".join(map(printable, text.split("\n")))


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


HOPS = 3
"""So many of the user's functions that led to a line are noted, up to that of a whole module."""


def chain() -> tuple[tuple[CodeType, int], ...]:
    """Return the user's line, as `where` does, and behind it those that led there."""
    frame: FrameType | None = sys._getframe(1)
    found = []
    while frame is not None:
        code = frame.f_code
        if not _passed_over[code.co_filename]:
            found.append((code, frame.f_lasti))
            if len(found) > HOPS or code.co_name == "<module>":
                break
        frame = frame.f_back
    return tuple(found) or (where(),)


def without_comprehensions(
    lines: Sequence[tuple[CodeType, int]],
) -> list[tuple[CodeType, int]]:
    """Return a `chain` in which a comprehension and the function around it are its line alone."""
    found: list[tuple[CodeType, int]] = []
    within = ""  # the file of a comprehension whose function is to come
    for line in lines:
        comprehension = line[0].co_name.endswith("comp>")
        if comprehension or line[0].co_filename != within:
            found.append(line)
        within = line[0].co_filename if comprehension else ""
    return found


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


def is_users(file: str) -> bool:
    """Tell whether a file is the user's: neither Headgate's own, nor installed, nor generated."""
    return not _passed_over[file]


def users_frames() -> Iterator[FrameType]:
    """Yield the user's frames on the stack, the innermost first; if there is none, that of `where`.

    >>> from headgate.record.site import users_frames
    >>> next(users_frames()).f_code.co_name
    '<module>'
    """
    frame = _users(sys._getframe(1))
    yield frame
    while frame.f_back is not None:
        frame = frame.f_back
        if not _passed_over[frame.f_code.co_filename]:
            yield frame


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
