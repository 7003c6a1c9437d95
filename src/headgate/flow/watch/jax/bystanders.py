"""Bystanders: what a function of the program changes beside what it returns.

A function that is called once more for its equations may draw from a random generator, count its
calls or fill a list. All of that is put back afterwards, so that the program does not see it: what
the function and those that it calls close over or name among their globals, and the generators of
NumPy and of the standard library.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import random
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from headgate.record.site import is_users

_MOST = 2_000
_LEVELS = 4


@contextlib.contextmanager
def kept(fun: Callable[..., Any]) -> Iterator[None]:
    """Put back what a function changes beside its results."""
    undo = [*_generators(), *_around(fun)]
    try:
        yield
    finally:
        for each in reversed(undo):
            each()


def _generators() -> Iterator[Callable[[], None]]:
    legacy, standard = np.random.get_state(), random.getstate()  # noqa: NPY002
    yield lambda: np.random.set_state(legacy)  # noqa: NPY002
    yield lambda: random.setstate(standard)


def _around(fun: Any) -> Iterator[Callable[[], None]]:
    """Yield what puts back the things that a function, and those it calls, can reach."""
    seen: set[int] = set()
    todo: list[tuple[Any, int]] = [(fun, 0)]
    while todo and len(seen) < _MOST:
        value, level = todo.pop()
        if id(value) in seen or level > _LEVELS:
            continue
        seen.add(id(value))
        if isinstance(value, MethodType):
            todo += [(value.__func__, level), (value.__self__, level + 1)]
        elif isinstance(value, FunctionType):
            yield from _of_function(value, level, todo)
        elif isinstance(value, type | ModuleType) or _is_foreign(value):
            wrapped = getattr(value, "__dict__", {}).get("__wrapped__")
            todo += [] if wrapped is None else [(wrapped, level)]
        else:
            undo = _of_value(value)
            if undo is not None:
                yield undo
            todo += [(each, level + 1) for each in _inside(value)]


def _is_foreign(value: Any) -> bool:
    """Tell whether a value is a thing of JAX's, or of Headgate's own."""
    return (type(value).__module__ or "").partition(".")[0] in ("headgate", "jax", "jaxlib")


def _of_function(
    fun: FunctionType, level: int, todo: list[tuple[Any, int]]
) -> Iterator[Callable[[], None]]:
    todo += [(each, level + 1) for each in (getattr(fun, "__wrapped__", None),) if each is not None]
    for cell in fun.__closure__ or ():
        try:
            before = cell.cell_contents
        except ValueError:
            continue
        todo.append((before, level + 1))
        if is_users(fun.__code__.co_filename):
            yield functools.partial(setattr, cell, "cell_contents", before)
    if not is_users(fun.__code__.co_filename):
        return
    space = fun.__globals__
    for name in _names(fun.__code__):
        if name in space:
            todo.append((space[name], level + 1))
            yield functools.partial(space.__setitem__, name, space[name])


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            found |= _names(each)
    return found


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.values()][:_MOST]
    if isinstance(value, list | tuple):
        return [*value][:_MOST]
    if _is_plain(value):
        return [*vars(value).values()]
    return [
        each
        for name in ("func", "fun", "__wrapped__", "_fun")
        if (each := getattr(type(value), name, None)) is not None
    ]


def _is_plain(value: Any) -> bool:
    """Tell whether a value is an object of a class of the program, or of one like it."""
    return isinstance(getattr(value, "__dict__", None), dict) and not isinstance(value, np.ndarray)


def _of_value(value: Any) -> Callable[[], None] | None:
    """Return what puts a value back into its present state, None if it has none to lose."""
    if isinstance(value, np.random.Generator):
        state = value.bit_generator.state
        return lambda: setattr(value.bit_generator, "state", state)
    if isinstance(value, np.random.RandomState):
        legacy = value.get_state()
        return lambda: value.set_state(legacy)
    if isinstance(value, random.Random):
        standard = value.getstate()
        return lambda: value.setstate(standard)
    if type(value) is list:
        items = [*value]
        return lambda: value.__setitem__(slice(None), items)
    if type(value) is dict:
        entries = dict(value)
        return lambda: _refill(value, entries)
    if type(value) is set:
        members = set(value)
        return functools.partial(_exactly, value, members)
    if _is_plain(value) and not isinstance(value, type | ModuleType | FunctionType):
        attributes = vars(value)
        before = copy.copy(attributes)
        return lambda: _refill(attributes, before)
    return None


def _exactly(value: set[Any], members: set[Any]) -> None:
    value.intersection_update(members)
    value.update(members)


def _refill(now: dict[Any, Any], before: dict[Any, Any]) -> None:
    if now.keys() != before.keys() or any(now[key] is not before[key] for key in before):
        now.clear()
        now.update(before)
