"""Clipping of gradients, by value, by norm, and by the norm of all of them together.

The formulas are written once against a namespace: the public functions run them on tensors (which
are recorded if a tape follows them), optimizers on raw arrays. As in TensorFlow a gradient may be
None and stays None; NaN stays NaN; and where the common norm is not finite all gradients become
NaN, so that nobody trains on with a part of them.

Of a table's gradient only the rows that are not zero are looked at and scaled, where they are known
(`headgate.core.rows`), and of the result they are known too. The others stay zero, whatever the
norm is. A sum over fewer numbers may be rounded otherwise.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from headgate.core.checks import amount, optional
from headgate.core.lift import as_tensor
from headgate.core.namespace import TENSORS, Array
from headgate.core.rows import notes, placed, settled
from headgate.core.tensor import Tensor, constant
from headgate.record.errors import describe, refusal

_SINGLE = np.dtype(np.float32)


def computed(dtype: Any) -> Any:
    """Return the dtype that numbers of a dtype are computed in: float32 for half precision."""
    return dtype if dtype.itemsize > 2 or dtype.kind not in "fV" else _SINGLE


def scalar(xp: Any, number: Any, dtype: Any) -> Any:
    """Return a number that leaves arrays of a dtype as they are: Python's do, an array is cast."""
    if type(number) is float or type(number) is int:
        return number
    if dtype.kind == "c":
        dtype = np.dtype(f"f{dtype.itemsize // 2}")
    return xp.astype(xp.asarray(number), dtype)


# -- rows ------------------------------------------------------------------------------------------


def _rows(x: Array) -> tuple[Array, Array] | None:
    """Return the rows of an array, or of a tensor that no tape follows, if they are known."""
    if not notes:
        return None
    if type(x) is not Tensor:
        return settled(x)
    found = settled(x.value) if x.node is None else None
    return found and (found[0], constant(found[1]))


def _essence(x: Array) -> Array:
    """Return the rows that are not zero, if they are known; else all."""
    found = _rows(x)
    return x if found is None else found[1]


def _mapped(function: Callable[[Array], Array], x: Array) -> Array:
    """Return an elementwise function that is zero at zero, computed on rows if they are known."""
    found = _rows(x)
    if found is None:
        return function(x)
    rows, result = found[0], function(found[1])
    if type(result) is not Tensor:
        return placed(x, rows, result)
    if type(x) is not Tensor or result.node is not None:  # a tape follows what it depends on
        return function(x)
    return constant(placed(x.value, rows, result.value))


# -- the formulas ----------------------------------------------------------------------------------


def _squares(xp: Any, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """Return the sum of the squares of sizes; half precision would overflow, and is widened."""
    wide = computed(x.dtype)
    if wide is not x.dtype:
        x = xp.astype(x, wide)
    squares = xp.real(x * xp.conj(x)) if x.dtype.kind == "c" else x * x
    return xp.sum(squares, axis=axis, keepdims=keepdims)


def _root(xp: Any, squares: Array) -> Array:
    """Return the root of a sum of squares, with the derivative 0 at 0, where it has none."""
    some = squares > 0
    length = xp.sqrt(xp.where(some, squares, xp.ones_like(squares)))
    return xp.where(some, length, squares)


def scaled_to_norm(xp: Any, x: Array, norm: Any, axis: Any = None) -> Array:
    """Return an array scaled down to at most a Euclidean norm."""
    with np.errstate(all="ignore"):
        if axis is not None or not x.shape:
            length = _root(xp, _squares(xp, x, axis, keepdims=True))
            factor = norm / xp.maximum(length, norm)
            return xp.reshape(x * xp.astype(factor, x.dtype), x.shape)
        length = _root(xp, _squares(xp, _essence(x), keepdims=True))
        factor = xp.astype(norm / xp.maximum(length, norm), x.dtype)
        return _mapped(lambda x: x * factor, x)


def length_of_all(xp: Any, arrays: Iterable[Array]) -> Array:
    """Return the Euclidean norm of all elements of some arrays."""
    with np.errstate(all="ignore"):
        squares = [_squares(xp, _essence(x)) for x in arrays]
        return _root(xp, functools.reduce(operator.add, squares)) if squares else xp.asarray(0.0)


def scaled_to_global_norm(
    xp: Any, arrays: Iterable[Array | None], norm: Any, length: Array
) -> list[Array | None]:
    """Return arrays whose common norm is known, scaled down together to at most a norm."""
    with np.errstate(all="ignore"):
        factor = norm / xp.maximum(length, norm) + (length - length)  # NaN if not finite

        def scaled(x: Array) -> Array:
            return x * xp.astype(factor, x.dtype)

        return [None if x is None else _mapped(scaled, x) for x in arrays]


def clipped(xp: Any, whose: str, x: Array, minimum: Any, maximum: Any) -> Array:
    """Return an array with each element between two bounds."""
    if x.dtype.kind == "c":
        raise refusal(
            TypeError,
            f"{whose}: complex numbers have no order, so that a gradient of {describe(x)} cannot "
            "be clipped by value; clip it by its norm",
        )
    if notes and {type(minimum), type(maximum)} <= {int, float} and minimum <= 0 <= maximum:
        return _mapped(lambda x: xp.clip(x, minimum, maximum), x)
    return xp.clip(x, minimum, maximum)


# -- public functions ------------------------------------------------------------------------------


def _limit(whose: str, norm: Any) -> Any:
    return amount(whose, "norm", norm, "(0, inf)")


def clip_by_value(gradient: Any, minimum: Any, maximum: Any) -> Tensor | None:
    """Clip each element of a gradient.

    Args:
        gradient: anything an op takes, or None.
        minimum: least value that stays.
        maximum: largest value that stays.

    Returns:
        A tensor, or None for None.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> optim.clip_by_value(hg.asarray([-3.0, 0.5]), -1.0, 1.0).numpy()
    array([-1. ,  0.5])
    """
    for name, bound in (("minimum", minimum), ("maximum", maximum)):
        if not getattr(bound, "shape", ()):
            optional(amount, "clip_by_value", name, bound, "[-inf, inf]")
    if gradient is None:
        return None
    made: Tensor = clipped(TENSORS, "clip_by_value", as_tensor(gradient), minimum, maximum)
    return made


def clip_by_norm(gradient: Any, norm: float, axis: Any = None) -> Tensor | None:
    """Scale a gradient down to at most a Euclidean norm.

    Args:
        gradient: anything an op takes, or None.
        norm: the largest norm that stays, a positive number.
        axis: the axes that a norm is taken over; all if None.

    Returns:
        A tensor, or None for None.

    Raises:
        ValueError: the norm is not positive.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> optim.clip_by_norm(hg.asarray([3.0, 4.0]), 1.0).numpy()
    array([0.6, 0.8])
    """
    norm = _limit("clip_by_norm", norm)
    return None if gradient is None else scaled_to_norm(TENSORS, as_tensor(gradient), norm, axis)


def global_norm(gradients: Sequence[Any]) -> Tensor:
    """Return the Euclidean norm of all elements of several gradients; None counts as absent.

    Args:
        gradients: a list; entries may be None.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> optim.global_norm([hg.asarray([3.0]), None, hg.asarray(4.0)]).numpy()
    np.float64(5.0)
    """
    given = [as_tensor(each) for each in gradients if each is not None]
    length: Tensor = length_of_all(TENSORS, given)
    return length


def clip_by_global_norm(
    gradients: Sequence[Any], norm: float
) -> tuple[list[Tensor | None], Tensor]:
    """Scale gradients together so that their common norm is at most `norm` (Pascanu et al. 2013).

    Args:
        gradients: a list; entries may be None.
        norm: the largest common norm that stays, a positive number.

    Returns:
        The scaled gradients, None where None was given, and the norm they had before. If that is
        not finite, all gradients are NaN.

    Raises:
        ValueError: the norm is not positive.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> clipped, norm = optim.clip_by_global_norm([hg.asarray([3.0]), None, hg.asarray(4.0)], 1.0)
    >>> [None if g is None else g.tolist() for g in clipped], float(norm)
    ([[0.6...], None, 0.8], 5.0)
    """
    norm = _limit("clip_by_global_norm", norm)
    length = global_norm(gradients)
    given = [None if each is None else as_tensor(each) for each in gradients]
    return scaled_to_global_norm(TENSORS, given, norm, length), length
