"""Parts of tensors, by index, mask or condition: taken, and put back changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor
from headgate.core.tensor import constant as _constant
from headgate.ops import index as _index
from headgate.record.errors import refusal
from headgate.tf import _arguments as _is
from headgate.tf._adapt import alike, as_shape, convert_to_tensor, in_range, matched, static, tensor
from headgate.tf._arguments import checked as _checked
from headgate.tf._dtypes import NUMBERS, check

newaxis = None
_POLICY = _is.one_of("", "DEFAULT", "ERROR")


@_checked(axis=_is.axis, batch_dims=(_is.matched_axes, "params", "indices"))
def gather(
    params: Any,
    indices: Any,
    validate_indices: Any = None,
    axis: Any = None,
    batch_dims: int = 0,
    name: str | None = None,
) -> Tensor:
    """Take slices of an axis (the first one, unless told otherwise) by index."""
    x, given = tensor(params), tensor(indices)
    chosen, batch_dims = static(axis), static(batch_dims)
    if batch_dims < 0:  # counted from the end of the indices
        batch_dims += given.ndim
        if batch_dims < 0:
            raise refusal(ValueError, f"gather: batch_dims is too small for {given.shape}")
    number = batch_dims if chosen is None else chosen
    if not -x.ndim <= number < x.ndim:
        return _index.gather(x, given, chosen, batch_dims)  # refused there
    checked = in_range(given, x.shape[number], number % x.ndim)
    picked = _index.gather(x, checked, chosen, batch_dims)
    if checked is given or not batch_dims:
        return picked
    between = (1,) * (number % x.ndim - batch_dims)
    outside = ops.reshape(
        checked != given, (*given.shape[:batch_dims], *between, *given.shape[batch_dims:])
    )
    return _without(outside, picked)


@_checked(batch_dims=_is.count)
def gather_nd(
    params: Any,
    indices: Any,
    batch_dims: int = 0,
    name: str | None = None,
    bad_indices_policy: str = "",
) -> Tensor:
    """Take elements or slices by index vectors (the last axis of indices)."""
    _POLICY("tf.gather_nd", "bad_indices_policy", bad_indices_policy)
    x, given = tensor(params), tensor(indices)
    checked = _rows_in_range(x, given, batch_dims)
    picked = _index.gather_nd(x, checked, batch_dims)
    if checked is given:
        return picked
    return _without(ops.any(checked != given, axis=-1), picked)


def _rows_in_range(x: Tensor, indices: Tensor, batch_dims: int = 0) -> Tensor:
    """Return index vectors that name places of `x`; refuse others (see `in_range`)."""
    depth = indices.shape[-1] if indices.ndim else 0
    if not depth or depth > x.ndim - batch_dims:
        return indices  # names whole arrays, or is refused where it is used
    return in_range(indices, x.shape[batch_dims : batch_dims + depth], batch_dims)


def _without(outside: Tensor, picked: Tensor) -> Tensor:
    """Return what was picked, with NaN in place of what an index outside picked."""
    if picked.dtype.kind not in "fc":
        return picked
    outside = ops.reshape(outside, outside.shape + (1,) * (picked.ndim - outside.ndim))
    return ops.where(outside, np.nan, picked)  # type: ignore[no-any-return]


@_checked(axis=_is.axis, mask=(_is.mask_of, "tensor", "axis"))
def boolean_mask(
    tensor: Any, mask: Any, axis: int | None = None, name: str | None = None
) -> Tensor:
    """Take the elements where a mask is true."""
    chosen = np.asarray(mask).astype(np.bool_)
    key = (slice(None),) * (axis or 0) + (chosen,)
    return ops.getitem(convert_to_tensor(tensor), key)  # type: ignore[no-any-return]


@_checked(updates=(_is.updates, "tensor", "indices"))
def tensor_scatter_nd_update(
    tensor: Any, indices: Any, updates: Any, name: str | None = None
) -> Tensor:
    """Return a copy with slices replaced at index vectors."""
    x, new = alike([convert_to_tensor(tensor), updates])
    return ops.scatter_update(x, new, key=_key(x, indices))  # type: ignore[no-any-return]


@_checked(updates=(_is.updates, "tensor", "indices"))
def tensor_scatter_nd_add(
    tensor: Any, indices: Any, updates: Any, bad_indices_policy: str = "", name: str | None = None
) -> Tensor:
    """Return a copy with values added at index vectors."""
    _POLICY("tf.tensor_scatter_nd_add", "bad_indices_policy", bad_indices_policy)
    x, new = alike([convert_to_tensor(tensor), updates])
    check("tensor_scatter_nd_add", x.dtype, NUMBERS)
    return ops.scatter_add(x, new, key=_key(x, indices))  # type: ignore[no-any-return]


def scatter_nd(
    indices: Any, updates: Any, shape: Any, bad_indices_policy: str = "", name: str | None = None
) -> Tensor:
    """Make zeros of a shape, and add values at index vectors."""
    _POLICY("tf.scatter_nd", "bad_indices_policy", bad_indices_policy)
    new, sizes = convert_to_tensor(updates), as_shape(shape)
    check("scatter_nd", new.dtype, NUMBERS)
    x = _constant(np.zeros(sizes, new.dtype))
    _is.updates("tf.scatter_nd", "updates", new, x, indices)
    return ops.scatter_add(x, new, key=_key(x, indices))  # type: ignore[no-any-return]


@_checked(updates=(_is.updates, "tensor", "indices"))
def tensor_scatter_nd_sub(
    tensor: Any, indices: Any, updates: Any, bad_indices_policy: str = "", name: str | None = None
) -> Tensor:
    """Return a copy with values subtracted at index vectors."""
    x, new = alike([convert_to_tensor(tensor), updates])
    return tensor_scatter_nd_add(x, indices, -new, bad_indices_policy)


def _key(x: Tensor, indices: Any) -> tuple[Tensor, ...]:
    """Return the key of places in `x` that index vectors name."""
    checked = _rows_in_range(x, convert_to_tensor(indices))
    if not checked.shape[-1]:
        raise refusal(
            ValueError, f"indices of shape {checked.shape} name no place: their last axis is empty"
        )
    return tuple(checked[..., k] for k in range(checked.shape[-1]))


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """Choose elementwise; with a condition alone, return the positions where it is true."""
    condition = tensor(condition)
    if x is None and y is None:
        _is.ranked("tf.where", "condition", condition)
        return _constant(np.argwhere(np.asarray(condition)).astype(np.int64))
    x, y = matched(x, y)
    return ops.where(condition, x, y)  # type: ignore[no-any-return]
