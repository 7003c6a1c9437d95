"""The shield: an error of the watcher's own is noted, and does not reach the program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headgate.flow.watch.torch.session import Session


def shielded(note: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a session whose errors do not reach the program; it then gives None."""

    @functools.wraps(note)
    def instead(session: Session, *args: Any, **kwargs: Any) -> Any:
        quiet = session.log.quiet
        try:
            return note(session, *args, **kwargs)
        except Exception as error:
            session.log.quiet = quiet
            session.log.fault(error)
            return None

    return instead
