"""Small helpers for the rules of several tables.

Like the rules themselves they run on raw arrays and on tensors alike: they use only what an array
and a tensor both have (`shape`, `ndim`, `dtype`, operators) and rows reached through the namespace
`xp`.

A rule for complex values follows JAX's convention: the cotangent of a holomorphic f is `g * f'(x)`.
Who computes with it sees the conjugate, but that is the walk's business (`headgate.core.walk`). In
general it is the c with `Re sum(g dy) = Re sum(c dx)`; where dy depends on the conjugate of dx, the
rule has to conjugate.

**Zero times infinity.** A cotangent that is exactly zero belongs to an element that nothing depends
on, and stays zero whatever the slope is there: infinite at the border of a domain (`sqrt` at 0),
NaN outside of it. So a rule whose slope need not be finite says `scaled(g, slope)` for `g * slope`
and `divided(g, by)` for `g / by`. Where a mask decides, an infinite cotangent must not come through
as NaN either: `masked(g, mask)` for `g * mask`. A NaN in the cotangent itself stays what it is, and
so does infinity times anything else than zero.

All three compute as if there were no such case, and look only for what went wrong: `scaled` and
`divided` for a NaN in their result, of which NumPy's `argmax` finds the first in less time than a
product takes. For a mask it would be half of the time, and zero times infinity is an invalid
operation, of which NumPy tells the walk at no cost (`headgate.core.alarm`). Of what is only traced
nobody can ask anything, and the choice becomes a part of the program. On tensors all three are ops,
with rules of the same kind, so that zeros stay zeros at any order; `crossed` is the product of the
cotangents of two orders, either of which may be the zero that stays. Where a slope is itself
computed of what may be infinite, it has to be by such rows too: a quotient, not a product.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headgate.core.alarm import alarm
from headgate.core.namespace import TENSORS, owner
from headgate.core.tensor import Tensor

Axis = int | Sequence[int] | None

_ARRAY = np.ndarray


def is_complex(x: Any) -> bool:
    """Tell whether an array, a tensor or a Python number is complex."""
    dtype = getattr(x, "dtype", None)
    return isinstance(x, complex) if dtype is None else dtype.kind == "c"


def is_half(x: Any) -> bool:
    """Tell whether an array is of a floating dtype narrower than float32; bfloat16 has kind V."""
    dtype = getattr(x, "dtype", None)
    return dtype is not None and (dtype.kind == "V" or (dtype.kind == "f" and dtype.itemsize == 2))


def by_float32(impl: Callable[..., Any]) -> Callable[..., Any]:
    """Return an implementation that computes halves in float32.

    They have not the range for what comes between, and NumPy makes float32 of a bfloat16 beside a
    Python number.
    """

    @functools.wraps(impl)
    def wide(xp: Any, x: Any, *args: Any, **statics: Any) -> Any:
        if not is_half(x):
            return impl(xp, x, *args, **statics)
        wider = [y.astype(np.float32) if is_half(y) else y for y in (x, *args)]
        return impl(xp, *wider, **statics).astype(x.dtype)

    return wide


def floats(x: Any) -> Any:
    """Return whole numbers in double precision: in bytes, 100 + 100 and -1 are something else."""
    dtype = getattr(x, "dtype", None)
    return x.astype(np.float64) if dtype is not None and dtype.kind in "biu" else x


def refuse_complex(x: Any) -> None:
    """Refuse complex numbers, for what asks which of two is larger or is not defined for them."""
    if is_complex(x):
        raise TypeError(
            f"is not defined for complex numbers, and x has the dtype {x.dtype}; "
            "apply it to headgate.real(x) or headgate.abs(x)"
        )


def conj(xp: Any, x: Any) -> Any:
    """Return the complex conjugate of `x`, and `x` itself if it is real."""
    return xp.conj(x) if is_complex(x) else x


def may_be_nan(x: Any) -> bool:
    """Tell whether there is a NaN in an array or tensor; True also where nobody can know."""
    if type(x) is Tensor:
        x = x.value
    if type(x) is np.ndarray:
        if x.dtype.kind == "V":  # bfloat16's argmax passes NaN over
            return bool((x != x).any())
        if not x.size:
            return False
        x = x.item(x.argmax())
    elif not isinstance(x, np.generic):
        return True
    return bool(x != x)


def kept_zero(g: Any, c: Any) -> Any:
    """Return what came of an array g, zero where that is NaN and g was zero."""
    if not may_be_nan(c):
        return c
    return owner[type(c)].where((g == 0) & (c != c), c.dtype.type(0), c)


def kept_zeros(x: Any, y: Any, c: Any) -> Any:
    """Return what came of two arrays, zero where that is NaN and one of them was zero."""
    if not may_be_nan(c):
        return c
    return owner[type(c)].where(((x == 0) | (y == 0)) & (c != c), c.dtype.type(0), c)


def kept_mask(g: Any, c: Any, mask: Any) -> Any:
    """Return what came of an array g by a mask, zero where that is NaN and g was infinite."""
    if not may_be_nan(c):
        return c
    return owner[type(c)].where(mask | (g != g), g, c.dtype.type(0))


def scaled(g: Any, slope: Any) -> Any:
    """Return `g * slope`, and zero where g is zero."""
    if type(g) is Tensor:
        return TENSORS.scaled(g, slope)
    c = g * slope
    if type(c) is _ARRAY and c.itemsize > 2 and c.size:  # most often, and without further calls
        largest = c.item(c.argmax())
        if largest == largest:
            return c
    return kept_zero(g, c)


def crossed(g: Any, x: Any) -> Any:
    """Return the product of two cotangents, one of a first and one of a second derivative."""
    return TENSORS.crossed(g, x) if type(g) is Tensor else kept_zeros(g, x, g * x)


def divided(g: Any, by: Any) -> Any:
    """Return `g / by`, and zero where g is zero."""
    if type(g) is Tensor:
        return TENSORS.divided(g, by)
    c = g / by
    if type(by) is float and by:
        return c
    if type(c) is _ARRAY and c.itemsize > 2 and c.size:
        largest = c.item(c.argmax())
        if largest == largest:
            return c
    return kept_zero(g, c)


def masked(g: Any, mask: Any) -> Any:
    """Return `g * mask` for a mask of booleans; what it leaves out is zero, unless g is NaN."""
    if type(g) is Tensor:
        return TENSORS.masked(g, mask)
    c = g * mask
    if type(c) is _ARRAY and not alarm.rung:
        return c
    return kept_mask(g, c, mask)


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
