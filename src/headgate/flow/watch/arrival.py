"""Arrival: something is done as soon as the program has imported a framework.

A watcher must not import its framework: a program that does not use it would wait for it. So a
finder stands before all others; it finds nothing itself, and gives the loader that the others found
one more thing to do.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def when_imported(name: str, then: Callable[[], None]) -> Callable[[], None]:
    """Call a function once a module is there: now if it is, else right after its import.

    Returns:
        What ends the waiting; it may be called at any time.

    >>> from headgate.flow.watch.arrival import when_imported
    >>> forget = when_imported("sys", lambda: print("there"))
    there
    """
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if name in sys.modules and not getattr(spec, "_initializing", False):
        then()
        return lambda: None
    finder = _Finder(name, then)
    sys.meta_path.insert(0, finder)
    return finder.leave


class _Finder(MetaPathFinder):
    """Waits for one module."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self.name = name
        self.then = then
        self.looking = False  # it asks the others now

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Let the others find the module, and wait for its loader to be done.

        Who only asks whether there is such a module does not load it, and it is waited for still.
        """
        if fullname != self.name or self.looking:
            return None
        self.looking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.looking = False
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            if self in sys.meta_path:
                self.leave()
                self.then()

        loader.exec_module = exec_module
        return spec

    def leave(self) -> None:
        """Wait no longer."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
