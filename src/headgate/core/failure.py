"""Failures: what is said when an op cannot compute.

An array library speaks of its own functions and axes. So an error that comes out of one is raised
again, as one of the few types of `_RAISED`, with the op's name, what each argument was, and the
user's line. While a function is traced, an op may fail because it needs values that nobody knows
yet; that error says what to do instead. Other mistakes are told in NumPy's words, whoever found
them.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import numpy as np

from headgate.core.lift import lifters
from headgate.core.namespace import NUMPY, owner
from headgate.core.row import Op
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.naming import is_automatic
from headgate.record.errors import TracingError, describe, refusal

_RAISED: tuple[type[Exception], ...] = (
    np.exceptions.AxisError,  # an IndexError and a ValueError
    TypeError,
    ImportError,  # what computes the values is not installed
    IndexError,
    ZeroDivisionError,
    NotImplementedError,
    MemoryError,
    ValueError,
)


def fail(op: Op, error: Exception, arrays: dict[str, Any], statics: dict[str, Any]) -> NoReturn:
    """Raise an error again with what the user needs to find it: the op, its arguments, the line."""
    if getattr(error, "headgate_explained", False):
        raise error
    if is_about_values(error) or any(map(_stands_in, statics.values())):
        raise _fail_of_trace(op, error, arrays, statics) from error
    fail_with(op, _in_numpys_words(op, error, arrays, statics), arrays, statics)


_MOST = 1 << 24  # of so many elements NumPy may have to make a result before it is known


def _in_numpys_words(
    op: Op, error: Exception, arrays: dict[str, Any], statics: dict[str, Any]
) -> Exception:
    """Return what NumPy says of zeros in these shapes and dtypes, if it refuses them as well.

    So that a mistake is the same error wherever it is made, eagerly or in a trace.
    """
    values = [value for _, value in arrays.values()]
    if all(owner[type(value)] is NUMPY for value in values):
        return error
    if sum(getattr(value, "size", 1) for value in values) > _MOST:
        return error
    zeros = list(map(_zeros_like, values))
    listed = any("[" in name for name in arrays)
    try:
        with np.errstate(all="ignore"):
            getattr(NUMPY, op.name)(*([zeros] if listed else zeros), **statics)
    except Exception as said:
        if not is_about_values(said) and not getattr(said, "headgate_explained", False):
            return said
    return error


def _zeros_like(value: Any) -> Any:
    if owner[type(value)] is NUMPY:
        return value
    if getattr(value, "weak_type", False):
        return value.dtype.type(0).item()
    return np.broadcast_to(np.zeros((), value.dtype), value.shape)


def is_about_values(error: Exception) -> bool:
    """Tell whether JAX refused to make values out of a stand-in for an array."""
    return any(word in type(error).__name__ for word in ("Tracer", "Concret"))


def _stands_in(static: Any) -> bool:
    """Tell whether a static argument is a tensor whose values nobody knows."""
    return type(static) is Tensor and is_traced(static.value)


_MASKED = (
    "A mask takes as many elements as its values say, and shapes must be known then: keep all of "
    "them and put zeros in place of the others, with headgate.where(mask, x, 0.0)"
)
_SIZED = (
    "If these are sizes, indices of a shape or numbers of steps, name the argument that they come "
    "from in headgate.function(..., static_argnames=...); otherwise compute this outside of the "
    "function and pass the result in"
)


def _fail_of_trace(
    op: Op, error: Exception, arrays: dict[str, Any], statics: dict[str, Any]
) -> Exception:
    """Return an error about a stand-in: one that leaked, or one where values are needed."""
    if "Unexpected" in type(error).__name__:
        made = re.search(r"created on line (\S+:\d+)", str(error))
        leaked = [
            f"{name} ({describe(value)})" for name, (_, value) in arrays.items() if is_traced(value)
        ]
        return refusal(
            TracingError,
            f"{op.name}: {', '.join(leaked) or 'an argument'} is a traced tensor that leaked out "
            "of the function it was made in"
            + (f", at {made[1]}" if made else "")
            + ": it has no values. What a compiled function puts into a list, an attribute or a "
            "global name, it puts there once, when it is traced; return it from the function "
            "instead",
        )
    return refusal(
        TracingError,
        f"{op.name} needs the values of an array that is traced, and they are not known while a "
        f"function is being traced\n  given {_given(arrays, statics)}\n"
        + (_MASKED if "Boolean" in type(error).__name__ else _SIZED),
    )


def _has_name(given: Any) -> bool:
    return type(given) in lifters and isinstance(getattr(given, "name", None), str)


def _name(given: Any) -> str:
    """Return a variable's name; if it was given none, what the program calls it."""
    from headgate.core.asked import name_of  # below this in the order of modules

    return name_of(given) if is_automatic(given.name) else str(given.name)


def fail_with(
    op: Op, error: Exception, arrays: dict[str, Any], statics: dict[str, Any]
) -> NoReturn:
    """Raise an error about a call of an op, naming arguments and the user's line."""
    kind = next((base for base in _RAISED if isinstance(error, base)), ValueError)
    said = str(error).removeprefix(f"{op.name}: ")  # some of NumPy's errors name it themselves
    raise refusal(kind, f"{op.name}: {said}\n  given {_given(arrays, statics)}") from error


def _given(arrays: dict[str, Any], statics: dict[str, Any]) -> str:
    """Say what an op was called with."""
    given = [
        f"{name}: {describe(value)}" + (f" (variable {_name(given)!r})" if _has_name(given) else "")
        for name, (given, value) in arrays.items()
        if value is not None
    ]
    given += [f"{name}={value!r}"[:80] for name, value in statics.items() if value is not None]
    return "; ".join(given) or "nothing"
