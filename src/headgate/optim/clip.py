"""Clipping of gradients, by value, by norm, and by the norm of all of them together.

The formulas are written once against a namespace: the public functions run them on tensors (which
are recorded if a tape follows them), optimizers on raw arrays. As in TensorFlow a gradient may be
None and stays None; NaN stays NaN; and where the common norm is not finite all gradients become
NaN, so that nobody trains on with a part of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from headgate.core.lift import as_tensor
from headgate.core.namespace import TENSORS, Array
from headgate.core.tensor import Tensor
from headgate.optim import checks

# -- the formulas ----------------------------------------------------------------------------------


def scaled_to_norm(xp: Any, x: Array, norm: Any, axis: Any = None) -> Array:
    """Return an array scaled down to at most a Euclidean norm."""
    with np.errstate(all="ignore"):
        squares = xp.sum(x * x, axis=axis, keepdims=True)
        some = squares > 0  # the root has no derivative at 0
        length = xp.sqrt(xp.where(some, squares, xp.ones_like(squares)))
        length = xp.where(some, length, squares)
        return xp.reshape(x * (norm / xp.maximum(length, norm)), x.shape)


def length_of_all(xp: Any, arrays: Iterable[Array]) -> Array:
    """Return the Euclidean norm of all elements of some arrays."""
    with np.errstate(all="ignore"):
        return xp.sqrt(sum((xp.sum(x * x) for x in arrays), start=0.0))


def scaled_to_global_norm(
    xp: Any, arrays: Iterable[Array | None], norm: Any, length: Array
) -> list[Array | None]:
    """Return arrays whose common norm is known, scaled down together to at most a norm."""
    with np.errstate(all="ignore"):
        factor = norm / xp.maximum(length, norm) + (length - length)  # NaN if not finite
        return [None if x is None else x * xp.astype(factor, x.dtype) for x in arrays]


# -- public functions ------------------------------------------------------------------------------


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
    return None if gradient is None else TENSORS.clip(as_tensor(gradient), minimum, maximum)


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
    checks.positive("clip_by_norm", norm=norm)
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
    checks.positive("clip_by_global_norm", norm=norm)
    length = global_norm(gradients)
    given = [None if each is None else as_tensor(each) for each in gradients]
    return scaled_to_global_norm(TENSORS, given, norm, length), length
