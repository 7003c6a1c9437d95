"""The watcher of PyTorch programs: waits for the program to import PyTorch, and looks on from then.

What is called (`mode`, with the table of functions in `ops`) goes into a log (`log`), what a walk
back brings is measured at the nodes of PyTorch's own graph (`graph`), and a session (`session`)
knows when to look: the first passes of each line that asks for gradients, and a pass after one that
brought something else than before. What only PyTorch programs can do wrong is in `mistakes`, what
their parameters are called in `names`. Nothing here imports PyTorch before the program does.
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
    from headgate.flow.watch.torch.session import Session

TESTED = "2.13"
"""The version that all tests ran with."""


class Watch(Watcher):
    """Look on at all gradient calls of PyTorch in this thread; a context manager.

    Args:
        step: a pass of each gradient call, from 0, that is looked at closely in any case.
        every: how far apart the passes are that are looked at closely; by themselves they are the
            first three, and any after one that brought something else than before.
    """

    framework = "torch"

    def __init__(self, step: int | None = None, every: int | None = None) -> None:
        self._asked = step, every
        self._session: Session | None = None
        self._unseen = ""

    def __enter__(self) -> Self:
        self._forget = when_imported("torch", self._begin)
        return self

    def __exit__(self, *exception: object) -> None:
        self._forget()
        if self._session is not None:
            self._session.end()

    def _begin(self) -> None:
        try:
            from headgate.flow.watch.torch.session import Session

            session = Session(*self._asked)
            try:
                session.begin()
            except BaseException:
                session.end()
                raise
        except (AttributeError, ImportError) as error:
            version = getattr(sys.modules["torch"], "__version__", "unknown")
            self._unseen = (
                f"PyTorch {version} cannot be watched ({error}); PyTorch {TESTED} is known to work."
            )
        else:
            self._session = session

    @property
    def session(self) -> Session | None:
        """What looks on, None as long as PyTorch is not there."""
        return self._session

    def remarks(self) -> list[str]:
        """Return in a sentence each what could not be seen."""
        return [self._unseen] if self._session is None else self._session.remarks()

    @property
    def trace(self) -> Trace:
        """What happened, in neutral form."""
        return Trace("torch") if self._session is None else self._session.trace()

    def told(self) -> Iterable[Told]:
        """Return what is wrong with parameters beside all gradient calls."""
        return () if self._session is None else self._session.told()

    def coverage(self) -> tuple[int, int]:
        """Return how many gradient calls were looked at closely, and of how many."""
        return (0, 0) if self._session is None else self._session.coverage()
