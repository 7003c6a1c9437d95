"""Shapes: asked, changed, joined, split, repeated, padded."""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.core import variable as _variable
from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor
from headgate.core.tensor import constant as _constant
from headgate.tf import _arguments as _is
from headgate.tf._adapt import alike, as_shape, convert_to_tensor, static, tensor
from headgate.tf._arguments import checked as _checked
from headgate.tf._dtypes import check, dtype_of, int32
from headgate.tf._gradients import identity
from headgate.tf._variables import is_tensor

_KINDS = _is.one_of("constant", "reflect", "symmetric")


def _mode(whose: str, name: str, value: Any) -> str:
    """Return how to pad; capitals do not matter."""
    return _KINDS(whose, name, value.lower() if isinstance(value, str) else value)  # type: ignore[no-any-return]


def _parts(whose: str, name: str, value: Any) -> Any:
    """Return a number of parts, or the size of each, one of them -1: what is left."""
    found = _is.some_axes(whose, name, value)
    if isinstance(found, int):
        return _is.positive(whose, name, found)
    if found.count(-1) > 1 or min(found, default=0) < -1:
        raise _is.refused(whose, name, "sizes of parts, one of them -1 at most", value)
    return found


def _repeats(whose: str, name: str, value: Any) -> Any:
    """Return how often to repeat, all elements or each."""
    found = _is.some_axes(whose, name, value)
    if min((found,) if isinstance(found, int) else found, default=0) < 0:
        raise _is.refused(whose, name, "0 or positive integers", value)
    return found


def shape(input: Any, out_type: Any = None, name: str | None = None) -> Tensor:
    """Return the shape as a tensor of integers."""
    return _constant(np.asarray(tensor(input).shape, dtype=_counting("shape", out_type)))


def size(input: Any, out_type: Any = None, name: str | None = None) -> Tensor:
    """Return the number of elements."""
    return _constant(np.asarray(tensor(input).size, dtype=_counting("size", out_type)))


def _counting(function: str, out_type: Any) -> Any:
    """Return a dtype of sizes; refuse others."""
    found = int32 if out_type is None else dtype_of(out_type)
    check(f"{function} as a tensor", found, "ilq")
    return found


def rank(input: Any, name: str | None = None) -> Tensor:
    """Return the number of axes."""
    return _constant(np.asarray(tensor(input).ndim, dtype=int32))


@_checked(shape=_is.sizes_but_one)
def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """Give the elements another shape; one size may be -1."""
    x, wanted = convert_to_tensor(tensor), as_shape(shape)
    if not x.size and wanted.count(-1) == 1:
        wanted = _filled(x.shape, wanted)
    return ops.reshape(x, wanted)  # type: ignore[no-any-return]


def _filled(old: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the new shape of no elements, with a size for -1: as if sizes of 0 were not there."""
    rest = int(np.prod([size for size in old if size], dtype=np.int64))
    given = int(np.prod([size for size in wanted if size > 0], dtype=np.int64))
    size = rest // given if 0 in wanted else 0
    return tuple(size if each == -1 else each for each in wanted)


@_checked(axis=_is.only_axis)
def expand_dims(input: Any, axis: Any, name: str | None = None) -> Tensor:
    """Insert an axis of size 1."""
    return ops.expand_dims(tensor(input), axis=static(axis))  # type: ignore[no-any-return]


@_checked(axis=_is.axes)
def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """Remove axes of size 1, all of them if none are named."""
    x = tensor(input)
    if axis is None or axis == ():
        axis = tuple(k for k, size in enumerate(x.shape) if size == 1)
    return ops.squeeze(x, axis=static(axis))  # type: ignore[no-any-return]


@_checked(shape=_is.sizes_but_one)
def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """Broadcast to a shape."""
    return ops.broadcast_to(tensor(input), as_shape(shape))  # type: ignore[no-any-return]


@_checked(axis=_is.only_axis)
def concat(values: Any, axis: Any, name: str | None = None) -> Tensor:
    """Join tensors along an axis; a tensor alone, in a list or not, stays as it is."""
    if type(values) is Tensor or type(values) is _variable.Variable:
        return identity(values)
    parts = alike(values)
    if len(parts) == 1:
        return identity(parts[0])
    return ops.concat(parts, axis=axis)  # type: ignore[no-any-return]


@_checked(axis=_is.axis)
def stack(values: Any, axis: int = 0, name: str | None = None) -> Tensor:
    """Join tensors along a new axis."""
    return ops.stack(alike(values), axis=axis)  # type: ignore[no-any-return]


@_checked(num=_is.positive, axis=_is.axis)
def unstack(
    value: Any, num: int | None = None, axis: int = 0, name: str | None = None
) -> list[Tensor]:
    """Take a tensor apart along an axis; `num` says how many parts there are."""
    parts = list(ops.unstack(tensor(value), axis=axis))
    _check_number(num, parts)
    return parts


def _check_number(num: int | None, parts: list[Tensor]) -> None:
    """Refuse a number of parts that is another than that of the parts."""
    if num is not None and static(num) != len(parts):
        raise ValueError(f"num={num} for {len(parts)} parts; give the right number, or none")


@_checked(num_or_size_splits=_parts, axis=_is.axis, num=_is.positive)
def split(
    value: Any, num_or_size_splits: Any, axis: Any = 0, num: Any = None, name: str | None = None
) -> list[Tensor]:
    """Split along an axis into so many equal parts, or into parts of given sizes."""
    x, parts, axis = tensor(value), static(num_or_size_splits), static(axis)
    if not isinstance(parts, int) and -1 in parts:
        rest = x.shape[axis] - sum(part for part in parts if part >= 0)
        parts = [rest if part == -1 else part for part in parts]
    found = list(ops.split(x, parts, axis=axis))
    _check_number(num, found)
    return found


@_checked(perm=(_is.order, "a"), conjugate=_is.truth)
def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str | None = None) -> Tensor:
    """Permute the axes, or reverse them if no order is given."""
    x = tensor(a)
    order = tuple(reversed(range(x.ndim))) if perm is None else static(perm)
    moved = ops.permute_dims(x, order)
    return ops.conj(moved) if conjugate else moved  # type: ignore[no-any-return]


@_checked(multiples=(_is.per_axis, "input"))
def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """Repeat a tensor along each axis."""
    return ops.tile(tensor(input), static(multiples))  # type: ignore[no-any-return]


@_checked(repeats=_repeats, axis=_is.axis)
def repeat(input: Any, repeats: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """Repeat elements along an axis."""
    return ops.repeat(tensor(input), static(repeats), axis=axis)  # type: ignore[no-any-return]


@_checked(axis=_is.some_axes, shift=(_is.shifts, "axis"))
def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Tensor:
    """Shift elements along axes, around the end."""
    return ops.roll(tensor(input), static(shift), axis=static(axis))  # type: ignore[no-any-return]


@_checked(axis=_is.some_axes)
def reverse(tensor: Any, axis: Any, name: str | None = None) -> Tensor:
    """Reverse the order of elements along axes."""
    return ops.flip(convert_to_tensor(tensor), axis=static(axis))  # type: ignore[no-any-return]


@_checked(mode=_mode, paddings=(_is.paddings, "tensor", "mode"), constant_values=_is.real)
def pad(
    tensor: Any,
    paddings: Any,
    mode: str = "CONSTANT",
    constant_values: Any = 0,
    name: str | None = None,
) -> Tensor:
    """Pad each axis at its start and end."""
    widths = paddings
    x = convert_to_tensor(tensor)
    if not x.ndim and not widths:
        return identity(x)
    if is_tensor(constant_values):
        outside = np.pad(np.zeros(x.shape, np.bool_), widths, constant_values=True)
        return ops.where(_constant(outside), constant_values, ops.pad(x, widths))  # type: ignore[no-any-return]
    return ops.pad(x, widths, mode=mode, value=constant_values)  # type: ignore[no-any-return]
