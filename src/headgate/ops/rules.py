"""Small helpers for the rules of several tables.

Like the rules themselves they run on raw arrays and on tensors alike: they use only what an array
and a tensor both have (`shape`, `ndim`, `dtype`, operators) and rows reached through the namespace
`xp`.

A rule for complex values follows JAX's convention: the cotangent of a holomorphic f is `g * f'(x)`.
Who computes with it sees the conjugate, but that is the walk's business (`headgate.core.walk`). In
general it is the c with `Re sum(g dy) = Re sum(c dx)`; where dy depends on the conjugate of dx, the
rule has to conjugate.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

Axis = int | Sequence[int] | None


def is_complex(x: Any) -> bool:
    """Tell whether an array, a tensor or a Python number is complex."""
    dtype = getattr(x, "dtype", None)
    return isinstance(x, complex) if dtype is None else dtype.kind == "c"


def conj(xp: Any, x: Any) -> Any:
    """Return the complex conjugate of `x`, and `x` itself if it is real."""
    return xp.conj(x) if is_complex(x) else x


def normal_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return axes as a tuple of numbers from 0 to ndim - 1; `None` means all of them."""
    if axis is None:
        return tuple(range(ndim))
    given = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    axes = tuple(operator.index(k) + (ndim if k < 0 else 0) for k in given)
    for k, number in zip(given, axes, strict=True):
        if not 0 <= number < ndim:
            raise ValueError(
                f"axis {k} is out of bounds for an array of {ndim} dimensions; "
                f"it can be from {-ndim} to {ndim - 1}"
            )
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis {given} names an axis twice")
    return axes
