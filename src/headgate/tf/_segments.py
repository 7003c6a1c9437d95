"""Segments: rows that have a number of a group each are reduced by group.

The groups of `segment_*` are sorted and counted from 0, those of `unsorted_segment_*` come in any
order, with their number; a row of a negative group is left out. Compiled code cannot look at group
numbers, so there only the unsorted ones are possible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor, constant
from headgate.core.traced import is_traced, refused_trace
from headgate.record.errors import refusal
from headgate.tf._adapt import static, tensor
from headgate.tf._dtypes import FIELD, NUMBERS, REAL, check


def _rows(name: str, data: Any, segment_ids: Any, allowed: str) -> tuple[Tensor, Tensor]:
    """Return the elements as rows, one for each group number, and these."""
    x, ids = tensor(data, allowed, name), tensor(segment_ids)
    if ids.dtype.kind not in "iu":
        raise refusal(TypeError, f"tf.{name}: segment_ids must be integers, not {ids.dtype}")
    if x.shape[: ids.ndim] != ids.shape:
        raise refusal(
            ValueError,
            f"tf.{name}: segment_ids must have the shape of data or the first part of it: they are "
            f"{ids.shape} and {x.shape}",
        )
    return ops.reshape(x, (-1, *x.shape[ids.ndim :])), ops.reshape(ids, (-1,))


def _groups(name: str, ids: Tensor, num_segments: Any) -> int:
    """Return the number of groups; refuse numbers that no group has."""
    if num_segments is not None:
        count = static(num_segments)
        if not is_traced(ids.value) and ids.size and int(np.max(ids.value)) >= count:
            raise refusal(
                ValueError, f"tf.{name}: segment_ids must be below {count}, the number of segments"
            )
        return int(count)
    if is_traced(ids.value):
        raise refused_trace(f"tf.{name}: the number of segments", ids.value)
    given = np.asarray(ids.value)
    if (np.diff(given) < 0).any() or (given < 0).any():
        raise refusal(
            ValueError,
            f"tf.{name}: segment_ids must be sorted and not negative; "
            "tf.math.unsorted_segment_sum and its kin take any order",
        )
    return int(given.max(initial=-1)) + 1


def _membership(ids: Tensor, count: int, dtype: Any) -> Any:
    """Return the matrix that has 1 where a row (column) is in a group (row)."""
    return ops.matrix_transpose(ops.one_hot(ids, count, dtype=dtype))


def _sum(x: Tensor, ids: Tensor, count: int) -> Any:
    """Add up rows by group; what is in no group goes to one row more, which is cut off."""
    place = ops.where((ids < 0) | (ids >= count), count, ids)
    zeros = constant(np.zeros((count + 1, *x.shape[1:]), x.dtype))
    return ops.scatter_add(zeros, x, place)[:count]


def _mean(x: Tensor, ids: Tensor, count: int) -> Any:
    return _sum(x, ids, count) / ops.maximum(_sizes(x, ids, count), 1)


def _sqrt_n(x: Tensor, ids: Tensor, count: int) -> Any:
    return _sum(x, ids, count) / ops.sqrt(ops.maximum(_sizes(x, ids, count), 1))


def _sizes(x: Tensor, ids: Tensor, count: int) -> Any:
    real = np.zeros((), x.dtype).real.dtype
    sizes = _sum(constant(np.ones(ids.shape, real)), ids, count)
    return ops.reshape(sizes, (count, *[1] * (x.ndim - 1)))


def _over_groups(function: Callable[..., Any], nothing: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a reduction of each group, of rows among as many as there are, the others neutral."""

    def reduce(x: Tensor, ids: Tensor, count: int) -> Any:
        if not count or not x.shape[0]:
            return constant(np.full((count, *x.shape[1:]), nothing(x.dtype), x.dtype))
        mine = _membership(ids, count, bool)
        mine = ops.reshape(mine, (*mine.shape, *[1] * (x.ndim - 1)))
        return function(ops.where(mine, x[None], constant(nothing(x.dtype))), axis=1)

    return reduce


def _least(dtype: Any) -> Any:
    return np.asarray((np.iinfo if dtype.kind in "iu" else np.finfo)(dtype).min, dtype)


def _most(dtype: Any) -> Any:
    return np.asarray((np.iinfo if dtype.kind in "iu" else np.finfo)(dtype).max, dtype)


def _prod(x: Any, axis: int) -> Any:
    return ops.prod(x, axis=axis, dtype=x.dtype if x.dtype.kind in "iu" else None)


_max = _over_groups(lambda x, axis: ops.max(x, axis=axis), _least)
_min = _over_groups(lambda x, axis: ops.min(x, axis=axis), _most)
_product = _over_groups(_prod, lambda dtype: np.ones((), dtype))


def _sorted(name: str, reduce: Callable[..., Any], allowed: str, empty: Any = None) -> Any:
    """Return `segment_...`: groups that nothing is in are `empty`, as TensorFlow has them."""

    def call(data: Any, segment_ids: Any, name: str | None = None) -> Any:
        x, ids = _rows(whose, data, segment_ids, allowed)
        count = _groups(whose, ids, None)
        found = reduce(x, ids, count)
        if empty is None:
            return found
        there = np.isin(np.arange(count), np.asarray(ids.value))
        return ops.where(there.reshape(-1, *[1] * (x.ndim - 1)), found, empty)

    whose = f"math.segment_{name}"
    call.__name__ = f"segment_{name}"
    call.__doc__ = f"Reduce rows by sorted group numbers: the {name} of each group."
    return call


def _unsorted(name: str, reduce: Callable[..., Any], allowed: str) -> Any:
    """Return `unsorted_segment_...`."""

    def call(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
        x, ids = _rows(whose, data, segment_ids, allowed)
        return reduce(x, ids, _groups(whose, ids, num_segments))

    whose = f"math.unsorted_segment_{name}"
    call.__name__ = f"unsorted_segment_{name}"
    call.__doc__ = f"Reduce rows by group numbers in any order: the {name} of each group."
    return call


segment_max = _sorted("max", _max, REAL, 0)
segment_mean = _sorted("mean", _mean, FIELD)
segment_min = _sorted("min", _min, REAL, 0)
segment_prod = _sorted("prod", _product, NUMBERS)
segment_sum = _sorted("sum", _sum, NUMBERS)
unsorted_segment_max = _unsorted("max", _max, REAL)
unsorted_segment_mean = _unsorted("mean", _mean, FIELD)
unsorted_segment_min = _unsorted("min", _min, REAL)
unsorted_segment_prod = _unsorted("prod", _product, NUMBERS)
unsorted_segment_sqrt_n = _unsorted("sqrt_n", _sqrt_n, FIELD)
unsorted_segment_sum = _unsorted("sum", _sum, NUMBERS)


def invert_permutation(x: Any, name: str | None = None) -> Tensor:
    """Return the permutation that undoes another one."""
    order = tensor(x)
    check("math.invert_permutation", order.dtype, "ilq")
    return ops.astype(ops.argsort(order), order.dtype)  # type: ignore[no-any-return]
