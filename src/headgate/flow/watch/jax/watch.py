"""The watcher of JAX programs: waits for the program to import JAX, and looks on from then.

A gradient call gives the function and its arguments, so what it computes can be read as equations
(`forward`, `events`), at the user's lines (`places`), and measured beside the program where a
gradient is zero or not finite (`measure`). A session (`session`) knows when to look; what a
function under `jit` computes is found out by running it once more, beside the program (`beside`).
Nothing here imports JAX before the program does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from headgate.flow.judge import Told
from headgate.flow.trace import Trace
from headgate.flow.watch.arrival import when_imported
from headgate.flow.watcher import Watcher

if TYPE_CHECKING:
    from headgate.flow.watch.jax.session import Session

TESTED = "0.10"
"""The version that all tests ran with."""


class Watch(Watcher):
    """Look on at all gradient calls of JAX in this thread; a context manager.

    Args:
        step: a pass of each gradient call, from 0, that is looked at closely in any case.
        every: how far apart the passes are that are looked at closely; by themselves they are the
            first three, and ever fewer later.
    """

    framework = "jax"

    def __init__(self, step: int | None = None, every: int | None = None) -> None:
        self._asked = step, every
        self._session: Session | None = None
        self._unseen = ""

    def __enter__(self) -> Self:
        self._forget = when_imported("jax", self._begin)
        return self

    def __exit__(self, *exception: object) -> None:
        self._forget()
        if self._session is not None:
            self._session.end()

    def _begin(self) -> None:
        try:
            from headgate.flow.watch.jax.session import Session

            session = Session(*self._asked)
            try:
                session.begin()
            except BaseException:
                session.end()
                raise
        except (AttributeError, ImportError) as error:
            version = getattr(sys.modules["jax"], "__version__", "unknown")
            self._unseen = (
                f"JAX {version} cannot be watched ({error}); JAX {TESTED} is known to work."
            )
        else:
            self._session = session

    @property
    def session(self) -> Session | None:
        """What looks on, None as long as JAX is not there."""
        return self._session

    def remarks(self) -> list[str]:
        """Return in a sentence each what could not be seen."""
        return [self._unseen] if self._session is None else self._session.remarks()

    @property
    def trace(self) -> Trace:
        """What happened, in neutral form."""
        return Trace("jax") if self._session is None else self._session.trace()

    def told(self) -> Iterable[Told]:
        """Return what is wrong with parameters beside all gradient calls."""
        return () if self._session is None else self._session.told()

    def coverage(self) -> tuple[int, int]:
        """Return how many gradient calls were looked at closely, and of how many."""
        return (0, 0) if self._session is None else self._session.coverage()
