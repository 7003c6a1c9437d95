"""The watcher of TensorFlow programs: waits for the program to import TensorFlow, and looks on.

What is computed goes into a log (`log`, with the table of operations in `ops`), what a tape's walk
brings is measured where the tape asks for the gradient of each operation (`walk`), and a session
(`session`) knows when to look: the first passes of each line that asks for gradients, and a pass
after one that brought something else than before. What TensorFlow does not show in public is in
`entrance`. Nothing here imports TensorFlow before the program does.
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
    from headgate.flow.watch.tensorflow.session import Session

TESTED = "2.21"
"""The version that all tests ran with."""


class Watch(Watcher):
    """Look on at all gradient calls of TensorFlow in this thread; a context manager.

    Args:
        step: a pass of each gradient call, from 0, that is looked at closely in any case.
        every: how far apart the passes are that are looked at closely; by themselves they are the
            first three, and any after one that brought something else than before.
    """

    framework = "tensorflow"

    def __init__(self, step: int | None = None, every: int | None = None) -> None:
        self._asked = step, every
        self._session: Session | None = None
        self._unseen = ""

    def __enter__(self) -> Self:
        # Who imports Keras first has it only half when TensorFlow is there.
        self._forget = (
            when_imported("tensorflow", self._begin),
            when_imported("keras", self._begin_with_keras),
        )
        return self

    def __exit__(self, *exception: object) -> None:
        for forget in self._forget:
            forget()
        if self._session is not None:
            self._session.end()

    def _begin(self) -> None:
        try:
            from headgate.flow.watch.tensorflow.session import Session

            session = Session(*self._asked)
            try:
                session.begin()
            except BaseException:
                session.end()
                raise
        except (AttributeError, ImportError) as error:
            version = getattr(sys.modules["tensorflow"], "__version__", "unknown")
            self._unseen = (
                f"TensorFlow {version} cannot be watched ({error}); TensorFlow {TESTED} is known "
                "to work."
            )
        else:
            self._session = session
            spec = getattr(sys.modules.get("keras"), "__spec__", None)
            if spec is not None and not getattr(spec, "_initializing", False):
                self._begin_with_keras()

    def _begin_with_keras(self) -> None:
        if self._session is not None:
            self._session.optimizers.begin()

    @property
    def session(self) -> Session | None:
        """What looks on, None as long as TensorFlow is not there."""
        return self._session

    def remarks(self) -> list[str]:
        """Return in a sentence each what could not be seen."""
        return [self._unseen] if self._session is None else self._session.remarks()

    @property
    def trace(self) -> Trace:
        """What happened, in neutral form."""
        return Trace("tensorflow") if self._session is None else self._session.trace()

    def told(self) -> Iterable[Told]:
        """Return what is wrong with variables beside all gradient calls."""
        return () if self._session is None else self._session.told()

    def coverage(self) -> tuple[int, int]:
        """Return how many gradient calls were looked at closely, and of how many."""
        return (0, 0) if self._session is None else self._session.coverage()
