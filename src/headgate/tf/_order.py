"""What compares: the greatest and the least, sorting, and clipping."""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor
from headgate.core.tensor import constant as _constant
from headgate.core.traced import is_traced
from headgate.optim import clip as _clip
from headgate.tf import _arguments as _is
from headgate.tf._adapt import alike, static, tensor
from headgate.tf._arguments import checked as _checked
from headgate.tf._dtypes import FLOATS, REAL, TRUTHS, dtype_of, int32, int64

_DIRECTION = _is.one_of("ASCENDING", "DESCENDING")


def nan_last(x: Tensor, value: float = -np.inf) -> Tensor:
    """Return a tensor with the number that never wins in place of NaN, if it has any."""
    if x.value.dtype.kind not in "fV":
        return x
    missing = x.value != x.value
    if not is_traced(missing) and not np.count_nonzero(missing):
        return x
    return ops.where(_constant(missing), value, x)  # type: ignore[no-any-return]


@_checked(axis=_is.axis)
def argmax(
    input: Any, axis: Any = None, output_type: Any = int64, name: str | None = None
) -> Tensor:
    """Return the index of the greatest element along an axis (the first one by default)."""
    x = nan_last(tensor(input, REAL + TRUTHS, "argmax"))
    found = ops.argmax(x, axis=0 if axis is None else static(axis))
    return ops.astype(found, dtype_of(output_type))  # type: ignore[no-any-return]


@_checked(axis=_is.axis)
def argmin(
    input: Any, axis: Any = None, output_type: Any = int64, name: str | None = None
) -> Tensor:
    """Return the index of the least element along an axis (the first one by default)."""
    x = nan_last(tensor(input, REAL + TRUTHS, "argmin"), np.inf)
    found = ops.argmin(x, axis=0 if axis is None else static(axis))
    return ops.astype(found, dtype_of(output_type))  # type: ignore[no-any-return]


@_checked(values=_is.ranked, axis=_is.axis, direction=_DIRECTION)
def argsort(
    values: Any,
    axis: int = -1,
    direction: str = "ASCENDING",
    stable: bool = False,
    name: str | None = None,
) -> Tensor:
    """Return the indices that sort a tensor."""
    order = ops.argsort(
        tensor(values, REAL, "argsort"), axis=axis, descending=direction == "DESCENDING"
    )
    return ops.astype(order, int32)  # type: ignore[no-any-return]


@_checked(values=_is.ranked, axis=_is.axis, direction=_DIRECTION)
def sort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None
) -> Tensor:
    """Sort along an axis."""
    return ops.sort(tensor(values, REAL, "sort"), axis=axis, descending=direction == "DESCENDING")  # type: ignore[no-any-return]


_WHOLE, _PLAIN = (int,), (int, float)


@_checked(clip_value_min=(_is.fitting, "t"), clip_value_max=(_is.fitting, "t"))
def clip_by_value(
    t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None
) -> Tensor:
    """Clip each element; gradient passes within the bounds, both included.

    Where the lower bound is greater, the result is the lower one, as in TensorFlow.
    """
    bounds = clip_value_min, clip_value_max
    x = tensor(t, REAL, "clip_by_value")
    numbers = _WHOLE if x.dtype.kind in "iu" else _PLAIN
    if (
        isinstance(bounds[0], numbers)
        and isinstance(bounds[1], numbers)
        and clip_value_min <= clip_value_max
    ):
        return _clip.clipped(ops, "clip_by_value", x, *bounds)  # type: ignore[no-any-return]
    x, low, high = alike([x, *bounds])
    return ops.maximum(ops.minimum(x, high), low)  # type: ignore[no-any-return]


@_checked(clip_norm=(_is.like, "t"), axes=_is.axes)
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """Scale a tensor down to at most a Euclidean norm."""
    limit = max(clip_norm, 0) if isinstance(clip_norm, int | float) else clip_norm
    return _clip.scaled_to_norm(ops, tensor(t, FLOATS, "clip_by_norm"), limit, static(axes))  # type: ignore[no-any-return]


def global_norm(t_list: Any, name: str | None = None) -> Tensor:
    """Return the Euclidean norm of all elements of several tensors; None counts as absent."""
    return _clip.global_norm([None if t is None else tensor(t) for t in t_list])


@_checked(clip_norm=_is.within("[0, inf]"))
def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Tensor | None], Tensor]:
    """Scale tensors so that their common norm is at most `clip_norm`; return them and the norm."""
    if not isinstance(t_list, list | tuple):
        raise TypeError("t_list should be a sequence of tensors")
    tensors = [None if t is None else tensor(t) for t in t_list]
    length = _clip.global_norm(tensors) if use_norm is None else tensor(use_norm)
    return _clip.scaled_to_global_norm(ops, tensors, clip_norm, length), length
