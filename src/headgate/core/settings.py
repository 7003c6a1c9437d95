"""Settings: what a traced function read of objects, and their owner may set otherwise later.

A layer's rate, the mode that `eval` sets, an optimizer's momentum are attributes that Python reads
once, when a function is traced. While a thread traces, each reading of an attribute of an object of
a `Settled` class is put on the log of the trace (`stage.log`): the object, the name, and a key of
the value. That is a part of the function's signature. When one of these attributes is set later,
`changes.count` goes up, and each compiled function looks at its next call whether what it read is
still so. As long as nothing is set, that costs the comparison of two numbers.

To log readings, the class `Settled` has a `__getattribute__` while some thread traces; else reading
an attribute costs what it costs anywhere. What the traced function sets itself is no setting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.core.scope import stage

_NO_MEMBERS = frozenset({bool, int, float, str, type(None)})  # they hold no variables or layers
_BY_VALUE = (bool, int, str, bytes, type(None), type(...), np.dtype)


class _Changes:
    """How often a setting was changed that some trace has read."""

    count = 0


changes = _Changes()
_read_by_some: set[tuple[int, str]] = set()  # object and name of what some trace has read
_lock = threading.RLock()
_blocks: set[int] = set()  # the blocks in which threads log, by their ids


class Same:
    """The key of an object that counts by itself."""

    __slots__ = ("given",)

    def __init__(self, given: Any) -> None:
        self.given = given

    def __hash__(self) -> int:
        return id(self.given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.given is self.given


def setting(value: Any, depth: int = 0) -> Any:
    """Return what stands for the value of an attribute: equal if the value is still the same."""
    kind = type(value)
    if kind in _BY_VALUE:
        return kind, value
    if kind in (float, complex) or isinstance(value, np.generic):
        return kind, repr(value)
    if depth < 3 and kind in (list, tuple) and len(value) < 1000:
        return kind, *(setting(each, depth + 1) for each in value)
    if depth < 3 and kind is dict and len(value) < 1000:
        return kind, *((setting(k, 3), setting(v, depth + 1)) for k, v in value.items())
    if kind in (set, frozenset):
        return kind, frozenset(setting(each, 3) for each in value)
    return Same(value)


class Log:
    """What one trace has read: (id of an object, name) -> the object, how to read it, its key."""

    __slots__ = ("read", "written")

    def __init__(self) -> None:
        self.read: dict[tuple[int, str], tuple[Any, Callable[[], Any], Any]] = {}
        self.written: set[tuple[int, str]] = set()

    def note(self, owner: Any, name: str, again: Callable[[], Any]) -> None:
        """Note that something was read; `again` returns its key."""
        place = id(owner), name
        if place not in self.read and place not in self.written:
            self.read[place] = owner, again, again()

    def closed(self) -> Settings:
        """Return the settings that were read."""
        found = {k: v for k, v in self.read.items() if k not in self.written}
        _read_by_some.update(found)
        return Settings(list(found.items()))


class Settings:
    """The settings that a program was made with."""

    __slots__ = ("seen", "settings")

    def __init__(self, settings: list[Any]) -> None:
        self.settings = settings
        self.seen = changes.count  # the count at which they held

    def hold(self) -> bool:
        """Tell whether all of them are as they were."""
        count = changes.count
        if self.seen != count:
            if any(again() != key for _, (_, again, key) in self.settings):
                return False
            self.seen = count
        return True

    def changed(self) -> dict[str, str]:
        """Return the names of those that are not as they were, and what they are now, in words."""
        found = {}
        for (_, name), (owner, again, key) in self.settings:
            if again() != key:
                whose = getattr(owner, "name", type(owner).__name__)
                what = name.lstrip("_") or "variables"
                found[f"{whose}.{what}"] = repr(_now(owner, name))[:40] if name else "others"
        return found


class logging:
    """Log what this thread reads in a block, or nothing of it.

    Left by an interrupt before `__exit__` does anything, the block is over when nobody holds it.
    """

    __slots__ = ("before", "inside", "log")

    def __init__(self, log: Log | None) -> None:
        self.log = log
        self.before: Log | None = None
        self.inside = False

    def __enter__(self) -> None:
        self.before = stage.log
        self.inside = True
        stage.log = self.log
        _listen(self, True)

    def __exit__(self, *exception: object) -> None:
        stage.log = self.before
        _listen(self, False)
        self.inside = False

    def __del__(self) -> None:
        if self.inside:
            if stage.log is self.log:
                stage.log = self.before
            _listen(self, False)


def _listen(block: logging, begins: bool) -> None:
    """Let `Settled` log readings while there are blocks that do."""
    with _lock:
        (_blocks.add if begins else _blocks.discard)(id(block))
        if _blocks and "__getattribute__" not in vars(Settled):
            Settled.__getattribute__ = _noting  # type: ignore[method-assign]
        elif not _blocks and "__getattribute__" in vars(Settled):
            del Settled.__getattribute__


def _noting(owner: Any, name: str) -> Any:
    """Read an attribute, and log it if it is data of the object or of its class."""
    value = object.__getattribute__(owner, name)
    log = stage.log
    if log is not None and name not in type(owner)._no_settings:
        found = getattr(type(owner), name, None)
        if not hasattr(type(found), "__get__") and not name.startswith("__"):
            log.note(owner, name, lambda: setting(_now(owner, name)))
    return value


def _now(owner: Any, name: str) -> Any:
    try:
        return object.__getattribute__(owner, name)
    except AttributeError:
        return None


def noted(owner: Any, name: str, again: Callable[[], Any]) -> None:
    """Say that something was read that is no attribute."""
    log = stage.log
    if log is not None:
        log.note(owner, name, again)


def changed() -> None:
    """Say that settings may have changed."""
    with _lock:
        changes.count += 1


class Settled:
    """Base of what has settings: its attributes, but for those of `_no_settings`."""

    _no_settings: frozenset[str] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        place = id(self), name
        if stage.log is not None:
            stage.log.written.add(place)
        if place in _read_by_some or (
            (id(self), "") in _read_by_some and type(value) not in _NO_MEMBERS
        ):
            changed()

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        changed()
