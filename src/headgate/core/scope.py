"""Scope: what variables hold for a thread while it traces a function.

A traced function runs once on stand-ins for arrays, and what it does to them becomes a program.
Its variables must be stand-ins as well, and what it assigns to them must not reach the cells: that
is for the program to do, each time that it runs. So while a thread is in a scope, all that it reads
from a cell comes from the scope and all that it writes into a cell stays there. Other threads see
the cells themselves. The scope knows afterwards which variables were met and which were written,
whoever did it: an `assign`, an optimizer, a metric, a random draw.

Scopes nest (a branch of a condition, the body of a loop): `stand_in` says what a variable holds
that is met for the first time, which for an inner scope is what it holds in the outer one.

Nothing here knows of an executor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

open_scopes: list[Scope] = []
"""The scopes that some thread is in: as long as there is none, cells need not ask for theirs."""


class _Stage(threading.local):
    """The scope that a thread is in."""

    scope: Scope | None = None
    log: Any = None
    """Where settings are logged that are read (`headgate.core.settings`)."""

    training: Any = None
    """What the layer that is being called hands down to those called inside of it."""


stage = _Stage()


class Scope:
    """Variables by their sources: `met` are those read or written, `written` some of these."""

    __slots__ = ("met", "stand_in", "values", "written")

    def __init__(self, stand_in: Callable[[Any], Any]) -> None:
        self.stand_in = stand_in
        self.values: dict[Any, Any] = {}
        self.met: dict[Any, Any] = {}
        self.written: dict[Any, Any] = {}

    def get(self, variable: Any) -> Any:
        """Return what a variable holds here."""
        source = variable._source
        if source not in self.values:
            self.values[source] = self.stand_in(variable)
            self.met[source] = variable
        return self.values[source]

    def set(self, variable: Any, value: Any) -> None:
        """Let a variable hold another value here."""
        source = variable._source
        if source not in self.values:
            self.values[source] = self.stand_in(variable)
        self.values[source] = value
        self.met[source] = self.written[source] = variable

    def outside(self) -> AbstractContextManager[Any]:
        """Let this thread compute at once for a block, whatever traces it."""
        return nullcontext()

    def entered(self) -> AbstractContextManager[Scope]:
        """Let this thread see the scope for a block."""
        return _Entered(self)


class _Entered:
    """The block in which a thread sees a scope.

    An interrupt may come when the block is left, and before `__exit__` does anything: then the
    block is over when nobody holds this any more.
    """

    __slots__ = ("before", "inside", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.before: Scope | None = None
        self.inside = False

    def __enter__(self) -> Scope:
        self.before = stage.scope
        self.inside = True
        open_scopes.append(self.scope)
        stage.scope = self.scope
        return self.scope

    def __exit__(self, *exception: object) -> None:
        stage.scope = self.before
        open_scopes.remove(self.scope)
        self.inside = False

    def __del__(self) -> None:
        if self.inside:
            if stage.scope is self.scope:
                stage.scope = self.before
            if self.scope in open_scopes:
                open_scopes.remove(self.scope)


class suspended:
    """Let this thread see the cells themselves for a block: what is made there is to last.

    What is computed there is computed now, and is no part of the program that is traced.
    """

    __slots__ = ("before", "outside")

    def __enter__(self) -> None:
        self.before = stage.scope
        self.outside = nullcontext() if self.before is None else self.before.outside()
        self.outside.__enter__()
        stage.scope = None

    def __exit__(self, *exception: Any) -> None:
        try:
            self.outside.__exit__(*exception)
        finally:
            stage.scope = self.before
