"""Finds traced tensors that a function put where they outlive its trace.

A list that the function appends to, a dictionary that it fills, both from outside: Python runs
there once, when the function is traced, and what was put there has no values. It is taken out
again, and the user is told the line.
"""

from __future__ import annotations

import dis
import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.record.errors import TracingError
from headgate.record.site import shown_path


@contextmanager
def no_leaks(function: Callable[..., Any]) -> Iterator[None]:
    """Refuse what a function leaves in lists and dictionaries that it knows from outside."""
    before = [(name, held, _contents(held)) for name, held in _containers(function)]
    yield
    for name, held, contents in before:
        if any(_is_leak(value) for value in _values(held)):
            _restore(held, contents)
            place = _line(function, name)
            raise TracingError(
                f"{getattr(function, '__name__', 'the function')} puts a traced tensor into "
                f"{name!r}, which outlives the call{place}. Its Python runs once for each "
                "signature, not at each call, so that is no way to get values out: return the "
                "tensor, and append it outside"
            )


def _containers(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Yield the lists and dictionaries that a function reaches by a name of its own."""
    found = inspect.unwrap(function)
    found = getattr(found, "__func__", found)
    code = getattr(found, "__code__", None)
    if code is None:
        return
    cells = zip(code.co_freevars, getattr(found, "__closure__", None) or ())
    names = {name: cell.cell_contents for name, cell in cells if _is_full(cell)}
    names |= {n: found.__globals__[n] for n in code.co_names if n in found.__globals__}
    for name, held in names.items():
        if type(held) in (list, dict):
            yield name, held


def outside(function: Callable[..., Any]) -> tuple[tuple[str, Callable[[], Any], Any], ...]:
    """Return the numbers and arrays that a function takes by a name from outside.

    Of each the name, how to look at it again, and what it is now.
    """
    found = inspect.unwrap(function)
    found = getattr(found, "__func__", found)
    code = getattr(found, "__code__", None)
    if code is None:
        return ()
    ways: list[tuple[str, Callable[[], Any]]] = [
        (name, functools.partial(_content, cell))
        for name, cell in zip(code.co_freevars, getattr(found, "__closure__", None) or ())
    ]
    known = found.__globals__
    for name in {each.argval for each in dis.get_instructions(code) if each.opname in _GLOBAL}:
        ways.append((name, functools.partial(known.get, name)))
    held = [(name, look, look()) for name, look in ways]
    return tuple(each for each in held if isinstance(each[2], int | float | complex | np.ndarray))


_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME")


def _content(cell: Any) -> Any:
    return cell.cell_contents if _is_full(cell) else None


def is_other(before: Any, now: Any) -> bool:
    """Tell whether a number or an array from outside is another one by now."""
    if isinstance(before, np.ndarray) or type(now) is not type(before):
        return True
    return bool(before != now)


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _contents(held: Any) -> Any:
    return list(held) if type(held) is list else dict(held)


def _values(held: Any) -> list[Any]:
    return list(held.values()) if type(held) is dict else list(held)


def _is_leak(value: Any) -> bool:
    return is_traced(value.value if type(value) is Tensor else value)


def _restore(held: Any, contents: Any) -> None:
    if type(held) is list:
        held[:] = contents
    else:
        held.clear()
        held.update(contents)


def _line(function: Callable[..., Any], name: str) -> str:
    """Return where the source of a function changes what has a name, if that can be found."""
    try:
        lines, first = inspect.getsourcelines(function)
        file = inspect.getsourcefile(function) or ""
    except (OSError, TypeError):
        return ""
    changes = re.compile(rf"\b{re.escape(name)}\s*(\.\w+\(|\[.*\]\s*=|\+=)")
    for number, text in enumerate(lines, first):
        if changes.search(text):
            return f", at {shown_path(file)}:{number}: {text.strip()}"
    return ""
