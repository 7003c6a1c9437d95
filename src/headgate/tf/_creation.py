"""Tensors out of nothing, or of another dtype: constants, ranges, one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor
from headgate.core.tensor import constant as _constant
from headgate.record.errors import refusal
from headgate.tf import _arguments as _is
from headgate.tf._adapt import alike, as_shape, convert_to_tensor, static, tensor
from headgate.tf._arguments import checked as _checked
from headgate.tf._dtypes import (
    NUMBERS,
    SMALL,
    check,
    dtype_of,
    float16,
    float32,
    float64,
    int32,
    int64,
)
from headgate.tf._variables import is_tensor


@_checked(shape=_is.sizes)
def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """Make a tensor from numbers or an array; one element fills a given shape.

    >>> import headgate.tf as tf
    >>> tf.constant([1, 2]).dtype
    dtype('int32')
    """
    made = convert_to_tensor(value, dtype)
    if shape is not None:
        wanted = static(shape)
        made = ops.broadcast_to(made, wanted) if made.size == 1 else ops.reshape(made, wanted)
    return made


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """Convert to another dtype; gradient passes between floating dtypes only."""
    x, dtype = tensor(x), dtype_of(_is.dtype("tf.cast", "dtype", dtype))
    if x.dtype.kind == "c" and dtype.kind != "c":
        x = ops.real(x)
    return ops.astype(x, dtype)  # type: ignore[no-any-return]


@_checked(shape=_is.sizes, dtype=_is.dtype)
def zeros(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """Return zeros."""
    return _constant(np.zeros(as_shape(shape), dtype_of(dtype)))


@_checked(shape=_is.sizes, dtype=_is.dtype)
def ones(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """Return ones."""
    return _constant(np.ones(as_shape(shape), dtype_of(dtype)))


@_checked(dims=_is.sizes, value=_is.scalar)
def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """Return a tensor of one value everywhere."""
    return ops.broadcast_to(tensor(value), as_shape(dims))  # type: ignore[no-any-return]


@_checked(num_rows=_is.count, num_columns=_is.count, batch_shape=_is.sizes, dtype=_is.dtype)
def eye(
    num_rows: Any,
    num_columns: Any = None,
    batch_shape: Any = None,
    dtype: Any = float32,
    name: str | None = None,
) -> Tensor:
    """Return the identity matrix, or a batch of them."""
    matrix = np.eye(static(num_rows), static(num_columns), dtype=dtype_of(dtype))
    batch = () if batch_shape is None else as_shape(batch_shape)
    return _constant(np.array(np.broadcast_to(matrix, (*batch, *matrix.shape))))


def zeros_like(input: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Return zeros of the same shape."""
    return ops.zeros_like(tensor(input), dtype=dtype_of(dtype))  # type: ignore[no-any-return]


def ones_like(input: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Return ones of the same shape."""
    return ops.ones_like(tensor(input), dtype=dtype_of(dtype))  # type: ignore[no-any-return]


@_checked(depth=_is.count, on_value=_is.scalar, off_value=_is.scalar, axis=_is.axis)
def one_hot(
    indices: Any,
    depth: Any,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Tensor:
    """Return vectors with a one (or `on_value`) at each index and zeros (`off_value`) elsewhere.

    Without a dtype they have that of the values, or float32 if none is given.
    """
    kind, found = dtype_of(dtype), tensor(indices, "Bbilq", "one_hot: the indices")
    given = {"on_value": on_value, "off_value": off_value}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if value is not None:
            values[name] = made = convert_to_tensor(value, dtype_hint=dtype_of(dtype))
            kind = made.dtype if kind is None else kind
            if made.dtype != kind:
                raise refusal(
                    TypeError,
                    f"one_hot: {name} has the dtype {made.dtype}, and the result {kind}; convert "
                    "it with tf.cast",
                )
    if kind == np.dtype(bool) and len(values) < 2:
        raise refusal(TypeError, "one_hot of booleans needs an on_value and an off_value")
    if not values:
        hot = ops.one_hot(found, static(depth), dtype=kind or float32)
        return hot if axis is None or axis == -1 else ops.moveaxis(hot, -1, axis)  # type: ignore[no-any-return]
    hot = ops.one_hot(found, static(depth), dtype=bool)
    if axis is not None and axis != -1:
        hot = ops.moveaxis(hot, -1, axis)
    on = values.get("on_value", _constant(np.ones((), kind)))
    off = values.get("off_value", _constant(np.zeros((), kind)))
    return ops.where(hot, on, off)  # type: ignore[no-any-return]


_COUNTED = (int32, int64, float16, float32, float64)
"""The dtypes of ranges; of two, the later one wins."""


def range(
    start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None
) -> Tensor:
    """Return numbers from start (0 if only one number is given) to limit, in steps of delta.

    How many there are is computed in their dtype: of float32, ten from 0 to 1 in steps of 0.1.
    """
    if limit is None:
        start, limit = 0, start
    kind = dtype_of(dtype)
    bounds = [convert_to_tensor(bound, dtype_hint=kind) for bound in (start, limit, delta)]
    if kind is None:
        kind = max((bound.dtype for bound in bounds), key=_rank_of)
    _rank_of(kind)
    for bound in bounds:
        if bound.dtype.kind == "f" and kind.kind != "f":
            raise refusal(TypeError, f"range of {kind}: {bound.numpy()} is no whole number")
    first, last, step = (bound.numpy().reshape(()).astype(kind)[()] for bound in bounds)
    if step == 0 or (first > last if step > 0 else first < last):
        raise refusal(
            ValueError,
            f"range: there is no way from {first} to {last} in steps of {step}; the sign of delta "
            "must be that of limit - start",
        )
    if kind.kind == "i":
        return _constant(np.arange(first, last, step, dtype=kind))
    number = int(np.ceil(np.abs((last - first) / step)))
    return _constant(first + np.arange(number).astype(kind) * step)


def _rank_of(dtype: Any) -> int:
    """Return the place of a dtype among those of ranges; refuse others."""
    check("range", dtype, "ilqefd")
    return _COUNTED.index(dtype)


@_checked(num=_is.count, axis=_is.axis)
def linspace(start: Any, stop: Any, num: Any, name: str | None = None, axis: int = 0) -> Tensor:
    """Return evenly spaced numbers, along a new axis; gradient flows to both ends.

    Those between whole numbers are float64, or float32 if they have 16 bits or less.
    """
    low = tensor(start, NUMBERS, "linspace")
    high = convert_to_tensor(stop, None if is_tensor(stop) else low.dtype)
    low, high = alike([low, high])
    if low.dtype.kind in "iu":
        wide = float32 if low.dtype.char in SMALL else float64
        low, high = ops.astype(low, wide), ops.astype(high, wide)
    number, shape = static(num), np.broadcast_shapes(low.shape, high.shape)
    place = axis if axis >= 0 else axis + len(shape) + 1
    low, high = (ops.expand_dims(ops.broadcast_to(end, shape), axis=place) for end in (low, high))
    if number < 2:
        return (
            low
            if number == 1
            else _constant(np.zeros((*shape[:place], 0, *shape[place:]), low.dtype))
        )
    counted = np.arange(1, number - 1).astype(low.dtype).reshape(-1, *(1,) * (len(shape) - place))
    between = low + (high - low) / np.asarray(number - 1, low.dtype) * counted
    return ops.concat([low, between, high], axis=place)  # type: ignore[no-any-return]


@_checked(indexing=_is.one_of("xy", "ij"))
def meshgrid(*args: Any, indexing: str = "xy", name: str | None = None) -> list[Tensor]:
    """Return coordinate matrices."""
    flat = [x if x.ndim == 1 else ops.reshape(x, (-1,)) for x in alike(map(tensor, args))]
    return list(ops.meshgrid(*flat, indexing=indexing))
