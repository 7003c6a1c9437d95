"""Errors about what the user asked for: they name the line, what was given, and the cure."""

from __future__ import annotations

import warnings
from typing import Any

from headgate.record.site import caller, depth, legible, users_frames


class MissingGradientWarning(UserWarning):
    """A derivative that was asked for is None, or zeros in place of it; says why.

    `GradientTape` and `ForwardAccumulator` say so once for each line that asks.

    Switch it off as any warning: `warnings.simplefilter("ignore", hg.MissingGradientWarning)`.
    """


class UndefinedGradientWarning(UserWarning):
    """A gradient is NaN since the derivative does not exist here, or cannot be told.

    It names the operation, what is the matter there, and a cure. Compiled functions give NaN too,
    without a word.
    """


class TracingError(TypeError):
    """Something was asked of a tensor that is not known while a function is traced."""


def refusal(kind: type[Exception], message: str) -> Exception:
    """Return an error about something the user asked for, with the user's line in its message."""
    site = caller()
    error: Any = kind(legible(f"{message}\n  at {site}: {site.text}"))
    error.headgate_explained = True  # an op that raises it has nothing to add
    found: Exception = error
    return found


def warn_undefined(op: str, reason: str) -> None:
    """Say at the user's line why a gradient is NaN."""
    message = f"the gradient of {op} is NaN: {reason}"
    warnings.warn(message, UndefinedGradientWarning, stacklevel=depth() + 1)


def warn_missing(message: str) -> bool:
    """Say at the user's line that a derivative is missing; return whether it was shown."""
    message = legible(message)
    warnings.warn(message, MissingGradientWarning, stacklevel=depth() + 1)
    names = next(users_frames()).f_globals
    for action, text, category, module, _ in warnings.filters:
        if (
            issubclass(MissingGradientWarning, category)
            and (text is None or text.match(message))
            and (module is None or module.match(str(names.get("__name__") or "<string>")))
        ):
            return action != "ignore"
    return True


def describe(value: Any) -> str:
    """Say what an argument is, in a few words: dtype and shape, or type and value."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    return f"{type(value).__name__} {value!r}"[:80]
