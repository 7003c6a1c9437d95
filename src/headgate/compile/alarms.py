"""Alarms: what a compiled function looks at while it runs, if it was asked to.

Compiled code cannot raise. So what depends on values, an index in its range, goes unnoticed there
and has a defined result instead. `headgate.function(check=True)` asks for more: while such a
function is traced, `asked()` gives its `Alarms`, and whoever puts an operation into the program
that eager code would refuse for some values, puts a report next to it. When the program has run,
the first thing that was reported is raised (`Alarms.settle`), before anything else is done with its
results: variables stay as they were.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headgate.record.site import Site, caller


class Alarms:
    """The alarms of one compiled function, and what the last call of it reported."""

    __slots__ = ("_failed", "_made")

    def __init__(self) -> None:
        self._made = 0
        self._failed: dict[int, Exception] = {}

    def reporter(self, explain: Callable[..., Exception]) -> Callable[..., None]:
        """Return what a program calls with values that are wrong; `explain` makes the error."""
        site, number = caller(), self._made
        self._made += 1

        def report(*values: object) -> None:
            if number not in self._failed:
                self._failed[number] = _at(explain(*values), site)

        return report

    def settle(self) -> None:
        """Raise what was reported first, in the order of the program."""
        if self._failed:
            error = self._failed[min(self._failed)]
            self._failed = {}
            raise error


def _at(error: Exception, site: Site) -> Exception:
    found: Exception = type(error)(f"{error}\n  at {site}: {site.text}")
    found.headgate_explained = True  # type: ignore[attr-defined]
    return found


class _Asked(threading.local):
    alarms: Alarms | None = None


_asked = _Asked()


def asked() -> Alarms | None:
    """Return the alarms that the function asks for which this thread traces."""
    return _asked.alarms


@contextmanager
def asking(alarms: Alarms | None) -> Iterator[None]:
    """Let what is traced in a block put reports into the program."""
    before, _asked.alarms = _asked.alarms, alarms
    try:
        yield
    finally:
        _asked.alarms = before
