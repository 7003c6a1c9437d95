"""Names: what the user's program calls a value where it is now.

A value that was given no name has one all the same: that of the Python variable which holds it, or
of the object, dictionary or list that does: `target`, `critic.layers[2].kernel`,
`meta['log_rate']['w0']`. So the frames of the user's functions are searched, the innermost first,
then what their functions close over and the globals of their modules, then what lies in all of
these, level by level. Names that stand for something else in a moment are taken only where there is
no better one: those of loops, of parameters, and positions in lists.

All of this reads, and only when somebody wants to know: when a report or a warning is written.
"""

from __future__ import annotations

import dis
import functools
import itertools
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

from headgate.record.site import is_users, users_frames

LEVELS = 4
"""So many steps (an attribute, a key, a position) a path may have behind its first name."""

MOST = 20_000
"""So many values are looked at before the search ends."""

_FRAMES = 20
_ENTRIES = 1_000  # of one container
_LONGEST = 60  # letters of a path
_CLOSED_OVER, _STEP, _PARAMETER, _MODULE, _POSITION, _PASSING, _PRIVATE = 0.5, 0.5, 1.5, 2, 3, 5, 6
_BETWEEN = 0.75  # a position in the middle of a path
"""What a name loses by being one that the program closes over, and so on."""

# By their ids, since a class may refuse to be hashed.
_PLAIN = frozenset(map(id, (type(None), bool, int, float, complex, str, bytes)))
_HOLDERS = {"types.SimpleNamespace", "argparse.Namespace"}
_WRITTEN_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_OPTIMIZED = 1  # CO_OPTIMIZED: the frame's names are made into a dictionary when one asks for them


class Path(NamedTuple):
    """A way to a value: how well it names it (0 is best), and as Python writes it.

    `so_far` is what it costs as the beginning of a longer one.
    """

    cost: float
    text: str
    so_far: float


def paths_to(wanted: Collection[int], key: Callable[[Any], int]) -> dict[int, list[str]]:
    """Return by what paths the user's program reaches some values, for each the best first.

    Args:
        wanted: ids of the values, or the keys of what they stand for.
        key: tells what a value stands for, 0 for nothing.
    """
    found: dict[int, list[Path]] = {}
    seen: set[int] = set()
    count = 0
    level = list(_roots())
    for _ in range(LEVELS + 1):
        inside: dict[int, tuple[Path, Any]] = {}
        for path, value in level:
            count += 1
            for name in (id(value), key(value)):
                if name in wanted:
                    found.setdefault(name, []).append(path)
            known = inside.get(id(value))
            if id(value) not in seen and (known is None or path.so_far < known[0].so_far):
                inside[id(value)] = path, value
        if count > MOST or all(_is_good(found.get(name)) for name in wanted):
            break
        seen.update(inside)
        level = list(itertools.islice(_next(inside.values()), MOST - count))
    return {
        name: list(dict.fromkeys(path.text for path in sorted(paths, key=_cost)))
        for name, paths in found.items()
    }


def _next(inside: Iterable[tuple[Path, Any]]) -> Iterator[tuple[Path, Any]]:
    """Yield what lies in some values, that of the ones with the best names first."""
    for path, value in sorted(inside, key=lambda each: each[0].so_far):
        for cost, step, member in _members(value):
            text = path.text + step if step[0] in ".[" else step
            if len(text) <= _LONGEST and id(type(member)) not in _PLAIN:
                between = _BETWEEN if cost == _POSITION else cost
                yield Path(path.so_far + cost, text, path.so_far + between), member


def _cost(path: Path) -> float:
    return path.cost


def _is_good(paths: list[Path] | None) -> bool:
    return paths is not None and min(path.cost for path in paths) < _PARAMETER


# -- where to look ---------------------------------------------------------------------------------


def _roots() -> Iterator[tuple[Path, Any]]:
    """Yield all that has a name of its own in the user's frames, with what that name is worth."""
    modules: dict[int, dict[str, Any]] = {}
    running: set[int] = set()
    for frame in itertools.islice(users_frames(), _FRAMES):
        names = _locals(frame)
        passing: Collection[str] | None = None
        parameters = _parameters(frame.f_code)
        for name, value in names.items():
            if id(type(value)) in _PLAIN:
                continue
            if not name.isidentifier():  # an assertion of pytest's, say
                continue
            if passing is None:
                passing = passing_names(frame.f_code)
            cost = _PASSING if name in passing else _PARAMETER if name in parameters else 0
            yield _root(name, cost), value
        modules[id(frame.f_globals)] = frame.f_globals
        if frame.f_code.co_name == "<module>":
            running.add(id(frame.f_globals))
    for number, globals_ in modules.items():
        for name, value in list(globals_.items()):
            if number not in running and id(type(value)) not in _PLAIN and name.isidentifier():
                yield _root(name, 0), value


def _root(name: str, cost: float) -> Path:
    cost += _worth(name)
    return Path(cost, name, cost)


def _locals(frame: FrameType) -> dict[str, Any]:
    """Return a frame's names, and let go of the copy of them that Python would keep with it."""
    given = frame.f_locals
    names = dict(given)
    if (
        sys.version_info < (3, 13)
        and frame.f_code.co_flags & _OPTIMIZED
        and sys.getrefcount(given) <= 3  # the frame's, ours, and the argument: nobody else has it
    ):
        given.clear()
    return names


def _parameters(code: CodeType) -> set[str]:
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 4) + bool(code.co_flags & 8)  # *args, **kwargs
    return set(code.co_varnames[:count])


def _worth(name: str) -> float:
    return _PRIVATE if name.startswith("_") else 0


@functools.lru_cache(maxsize=256)
def passing_names(code: CodeType) -> frozenset[str]:
    """Return the names that the loops of a function bind anew in each turn.

    >>> def f(pairs):
    ...     for number, (g, v) in enumerate(pairs):
    ...         w = g
    >>> sorted(passing_names(f.__code__))
    ['g', 'number', 'v']
    """
    found: set[str] = set()
    binds = False
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name == "FOR_ITER":
            binds = True
        elif binds and name.startswith("STORE_"):
            given = instruction.argval
            found.update([given] if isinstance(given, str) else given)
            binds = "LOAD" not in name
        elif binds and not name.startswith(("UNPACK_", "CACHE", "EXTENDED_ARG")):
            binds = False
    return frozenset(found)


# -- what lies in what -----------------------------------------------------------------------------


def _members(value: Any) -> Iterator[tuple[float, str, Any]]:
    """Yield what lies in a value: what that step is worth, how Python writes it, and the member.

    Nothing of the program's is called: no property, and no method of a class of its own.
    """
    try:
        yield from itertools.islice(_all_members(value), _ENTRIES)
    except (AttributeError, RuntimeError, TypeError):  # it is not what it seems, or it changes
        return


def _all_members(value: Any) -> Iterator[tuple[float, str, Any]]:
    kind = type(value)
    if issubclass(kind, dict):
        for key, item in dict.items(value):
            if type(key) in (str, int, bool, tuple):
                yield (_STEP if type(key) is str else _POSITION), f"[{key!r}]", item
    elif issubclass(kind, tuple) and isinstance(fields := getattr(kind, "_fields", None), tuple):
        for name, item in zip(fields, tuple.__iter__(value)):
            yield _STEP, f".{name}", item
    elif issubclass(kind, list | tuple | deque):
        base = next(base for base in (list, tuple, deque) if issubclass(kind, base))
        for number, item in enumerate(base.__iter__(value)):
            yield _POSITION, f"[{number}]", item
    elif kind is FunctionType:
        if is_users(value.__code__.co_filename):
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or ()):
                yield _CLOSED_OVER, name, cell.cell_contents
    elif kind is ModuleType:
        if is_users(getattr(value, "__file__", None) or ""):
            for name, item in list(vars(value).items()):
                if not isinstance(item, ModuleType):
                    yield _MODULE, f".{name}", item
    elif issubclass(kind, type) and _is_the_programs(value):
        for name, item in list(value.__dict__.items()):
            yield _STEP + _worth(name), f".{name}", item
    if _is_the_programs(kind):
        yield from _attributes(value)


def _attributes(value: Any) -> Iterator[tuple[float, str, Any]]:
    try:
        names = object.__getattribute__(value, "__dict__")
    except AttributeError:
        names = {}
    for name, item in list(dict.items(names)):
        yield _STEP + _worth(name), f".{name}", item
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            descriptor = base.__dict__.get(name)
            if type(descriptor).__name__ == "member_descriptor":
                try:
                    yield _STEP + _worth(name), f".{name}", descriptor.__get__(value)  # type: ignore[union-attr]
                except AttributeError:  # it is not set
                    continue


def _is_the_programs(kind: type) -> bool:
    """Tell whether a class is the program's own, or a plain holder of attributes."""
    module = str(kind.__module__)
    if f"{module}.{kind.__qualname__}" in _HOLDERS:
        return True
    if not kind.__flags__ & _WRITTEN_IN_PYTHON:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if file:
        return is_users(file)
    top = module.partition(".")[0]
    return top != "headgate" and top not in sys.stdlib_module_names
