"""Reductions, cumulative sums and products, sorting and searching.

A reduction's rule spreads the cotangent over the axes that were reduced, and weights it. For NumPy
the reductions are the `reduce` methods of ufuncs: `numpy.sum` and its like add two microseconds of
Python to them, more than a small array takes to add up.

Three rules are not obvious.

* **Maximum and minimum** share the cotangent evenly among all elements that attain them.
* **Products** never divide, so zeros are nothing special, at any order: the derivative for one
  element is the product of those before it times the product of those after it.
* **Cumulative products**: element j is a factor of all results from j on, so its derivative is the
  product of those before it times s[j], where s[j] = g[j] + x[j + 1] s[j + 1]. That recurrence is
  solved by doubling: each round joins stretches of twice the length, log2(n) rounds in all.

Sorting moves elements, so its gradient moves them back: by the inverse permutation, which is the
order of the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from headgate.core.checks import flag, number
from headgate.core.namespace import Array
from headgate.core.op import op
from headgate.ops.rules import Axis, by_float32, divided, is_half, normal_axes, scaled

# -- helpers of the rules -------------------------------------------------------------------------


def keep(g: Any, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Any:
    """Put the axes that a reduction of `shape` removed back, with size 1."""
    if axis is None or keepdims:  # for `None` g is 0-d, or was kept: it broadcasts as it is
        return g
    if type(axis) is int:
        return g[(slice(None),) * (axis if axis >= 0 else axis + len(shape)) + (None,)]
    axes = normal_axes(axis, len(shape))
    return g[tuple(None if k in axes else slice(None) for k in range(len(shape)))]


def _count(shape: tuple[int, ...], axis: Axis) -> int:
    """Return how many elements of an array of this shape go into one of the reduction."""
    return math.prod(shape[k] for k in normal_axes(axis, len(shape)))


def _freedom(shape: tuple[int, ...], axis: Axis, correction: float) -> float:
    """Return the divisor of a variance."""
    left = _count(shape, axis) - correction
    return left if left > 0 else 0.0


def _part(x: Any, axis: int, start: int | None, stop: int | None, step: int = 1) -> Any:
    """Return a slice along one axis, numbered from 0."""
    return x[(slice(None),) * axis + (slice(start, stop, step),)]


def _single_axis(axis: int | None, ndim: int) -> int:
    """Return the axis of a cumulative op, from 0; one dimension needs none."""
    return 0 if axis is None else normal_axes(axis, ndim)[0]


# -- implementations ------------------------------------------------------------------------------


def plain(axis: Axis) -> Any:
    """Return axes as the array libraries want them: a list, usual in TensorFlow, as a tuple."""
    return tuple(axis) if type(axis) is list else axis


def _by_ufunc(ufunc: Any) -> Callable[..., Array]:
    def reduce(xp: Any, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        return ufunc.reduce(x, plain(axis), None, None, keepdims)

    return reduce


_HALVES = "eE"
"""The characters of float16 and bfloat16: in them 2048 + 1 is 2048, or 256 + 1 is 256."""


def _by_ufunc_typed(ufunc: Any) -> Callable[..., Array]:
    def reduce(
        xp: Any, x: Array, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Array:
        if type(axis) is list:  # `plain`, without a call
            axis = tuple(axis)
        if type(x) is np.ndarray and x.dtype.char in _HALVES and dtype in (None, x.dtype):
            return ufunc.reduce(x, axis, np.float32, None, keepdims).astype(x.dtype)
        return ufunc.reduce(x, axis, dtype, None, keepdims)

    return reduce


def _cumulative(function: Callable[..., Array], ufunc: Any) -> Callable[..., Array]:
    """Return a cumulative sum or product; halves are added or multiplied up in float32."""

    def accumulate(
        xp: Any,
        x: Array,
        axis: int | None = None,
        dtype: Any = None,
        include_initial: bool = False,
    ) -> Array:
        if type(x) is np.ndarray and x.dtype.char in _HALVES and dtype in (None, x.dtype):
            wide = x.astype(np.float32)
            return function(wide, axis=axis, include_initial=include_initial).astype(x.dtype)
        if type(x) is np.ndarray and x.ndim == 1 and not include_initial:
            return ufunc.accumulate(x, 0 if axis is None else axis, dtype)  # quicker
        return function(x, axis=axis, dtype=dtype, include_initial=include_initial)

    return accumulate


def _by_name(name: str) -> Callable[..., Array]:
    def reduce(xp: Any, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
        keepdims = flag(name, "keepdims", keepdims)  # JAX would take a text for True
        return getattr(xp.array_module, name)(x, axis=plain(axis), keepdims=keepdims)

    return reduce


def _by_name_typed(name: str) -> Callable[..., Array]:
    def reduce(
        xp: Any, x: Array, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Array:
        function = getattr(xp.array_module, name)
        keepdims = flag(name, "keepdims", keepdims)
        return function(x, axis=plain(axis), dtype=dtype, keepdims=keepdims)

    return reduce


def _mean(xp: Any, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    if x.dtype == bool:
        x = x.astype(int)  # JAX's mean of booleans would be float32 whatever the default
    keepdims = flag("mean", "keepdims", keepdims)
    return xp.array_module.mean(x, axis=plain(axis), keepdims=keepdims)


_add_up: Any = np.add.reduce  # by position: its types want keywords, which take longer


def _mean_numpy(xp: Any, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    axis = plain(axis)
    if type(x) is np.ndarray and x.dtype.char in "fdFD":
        total = _add_up(x, axis, None, None, keepdims)
        return total / (x.size // total.size if total.size else 1)
    if is_half(x):
        return np.mean(x, axis=axis, dtype=np.float32, keepdims=keepdims).astype(x.dtype)
    return np.mean(x, axis=axis, keepdims=keepdims)  # integers and single numbers


@by_float32
def _var(
    xp: Any, x: Array, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    x = xp.asarray(x)
    apart = x - xp.mean(x, axis=axis, keepdims=True)
    if apart.dtype.kind == "c":
        squares = apart.real * apart.real + apart.imag * apart.imag
    else:
        squares = apart * apart
    return xp.sum(squares, axis=axis, keepdims=keepdims) / _freedom(x.shape, axis, correction)


@by_float32
def _std(
    xp: Any, x: Array, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Array:
    return xp.sqrt(_var(xp, x, axis, correction, keepdims))


def _sort(
    xp: Any, x: Array, axis: int = -1, descending: bool = False, stable: bool = True
) -> Array:
    # Equal values cannot be told apart, so that the fastest way is stable enough.
    ordered = xp.array_module.sort(x, axis=axis)
    return xp.flip(ordered, axis=axis) if descending else ordered


def _argsort(
    xp: Any, x: Array, axis: int = -1, descending: bool = False, stable: bool = True
) -> Array:
    argsort = xp.array_module.argsort
    if not descending:
        return argsort(x, axis=axis, stable=stable)
    # Turned around before and after, so that equal elements stay in their order.
    order = xp.flip(argsort(xp.flip(x, axis=axis), axis=axis, stable=stable), axis=axis)
    return x.shape[axis] - 1 - order


class TopK(NamedTuple):
    """The largest elements along an axis, in descending order, and where they were."""

    values: Any
    indices: Any


def _top_k(xp: Any, x: Array, k: int, axis: int = -1) -> TopK:
    axis = normal_axes(axis, x.ndim)[0]
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"k is {k}, and there are {x.shape[axis]} elements along the axis")
    order = _part(_argsort(xp, x, axis, descending=True), axis, 0, k)
    return TopK(xp.array_module.take_along_axis(x, order, axis=axis), order)


def _searchsorted(
    xp: Any, x1: Array, x2: Array, sorter: Array | None = None, side: str = "left"
) -> Array:
    found = xp.array_module.searchsorted(x1, x2, side=side, sorter=sorter)
    return xp.asarray(found, dtype=int)  # JAX counts in 32 bits as long as they suffice


# -- rules ----------------------------------------------------------------------------------------


def _extreme_rule(g: Any, xp: Any, x: Any, ans: Any, axis: Axis, keepdims: bool) -> Any:
    attained = x == keep(ans, x.shape, axis, keepdims)
    ties = xp.sum(attained, axis=axis, dtype=ans.dtype, keepdims=True)
    # Nothing attains a NaN: no ties, and infinity times nothing.
    return xp.multiply(keep(g, x.shape, axis, keepdims) / ties, attained)


def _apart(xp: Any, x: Any, axis: Axis) -> Any:
    """Return the distances from the mean, conjugated if they are complex."""
    apart = x - xp.mean(x, axis=axis, keepdims=True)
    return xp.conj(apart) if apart.dtype.kind == "c" else apart


def _var_rule(g: Any, xp: Any, x: Any, axis: Axis, correction: float, keepdims: bool) -> Any:
    weight = divided(2.0 * keep(g, x.shape, axis, keepdims), _freedom(x.shape, axis, correction))
    return weight * _apart(xp, x, axis)


def _std_rule(
    g: Any, xp: Any, x: Any, ans: Any, axis: Axis, correction: float, keepdims: bool
) -> Any:
    weight = divided(keep(g, x.shape, axis, keepdims), _freedom(x.shape, axis, correction))
    return scaled(weight, _apart(xp, x, axis) / keep(ans, x.shape, axis, keepdims))


def _prod_rule(g: Any, xp: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    reduced = normal_axes(axis, x.ndim)
    kept = tuple(k for k in range(x.ndim) if k not in reduced)
    order = kept + reduced
    shape = tuple(x.shape[k] for k in order)
    flat = xp.reshape(xp.permute_dims(x, order), (*shape[: len(kept)], _count(x.shape, axis)))
    before = xp.cumulative_prod(flat, axis=-1, include_initial=True)[..., :-1]
    after = xp.cumulative_prod(flat[..., ::-1], axis=-1, include_initial=True)[..., :-1][..., ::-1]
    back = tuple(order.index(k) for k in range(x.ndim))
    others = xp.permute_dims(xp.reshape(before * after, shape), back)
    return keep(g, x.shape, axis, keepdims) * others


def _cumulative_sum_rule(
    g: Any, xp: Any, x_shape: tuple[int, ...], axis: int | None, include_initial: bool
) -> Any:
    axis = _single_axis(axis, len(x_shape))
    if include_initial:
        g = _part(g, axis, 1, None)
    return _part(xp.cumulative_sum(_part(g, axis, None, None, -1), axis=axis), axis, None, None, -1)


def _cumulative_prod_rule(g: Any, xp: Any, x: Any, axis: int | None, include_initial: bool) -> Any:
    axis = _single_axis(axis, x.ndim)
    if include_initial:
        g = _part(g, axis, 1, None)
    before = xp.cumulative_prod(x, axis=axis, include_initial=True)
    count = x.shape[axis]
    factor = _part(x, axis, 1, None)
    length = 1
    while length < count:
        joined = _part(g, axis, None, -length) + factor * _part(g, axis, length, None)
        g = xp.concat([joined, _part(g, axis, -length, None)], axis=axis)
        factor = _part(factor, axis, None, -length) * _part(factor, axis, length, None)
        length *= 2
    return g * _part(before, axis, None, count)


def _sort_rule(g: Any, xp: Any, x: Any, axis: int, descending: bool) -> Any:
    order = xp.argsort(x, axis=axis, descending=descending)
    return xp.permute_along_axis(g, xp.argsort(order, axis=axis), order, axis=axis)


def _top_k_rule(g: Any, xp: Any, x: Any, k: int, axis: int) -> Any:
    axis = normal_axes(axis, x.ndim)[0]
    rest = (*x.shape[:axis], x.shape[axis] - k, *x.shape[axis + 1 :])
    ordered = xp.concat([g[0], xp.zeros(rest, dtype=x.dtype)], axis=axis)
    return _sort_rule(ordered, xp, x, axis, True)


# -- sums, products and extremes ------------------------------------------------------------------

sum = op(
    "sum(x, *, axis=None, dtype=None, keepdims=False)",
    """Add up the elements over one axis, several (a tuple) or all of them (`None`).

    Integers are added as integers of at least 64 bits, booleans are counted.

    >>> hg.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    Tensor([4., 6.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x_shape, axis, keepdims: xp.broadcast_to(
        keep(g, x_shape, axis, keepdims), x_shape
    ),
    impl=_by_name_typed("sum"),
    impl_numpy=_by_ufunc_typed(np.add),
    lists=("axis",),
)

mean = op(
    "mean(x, *, axis=None, keepdims=False)",
    """Compute the arithmetic mean over one axis, several or all of them.

    >>> hg.mean([[1.0, 2.0], [3.0, 4.0]], axis=1)
    Tensor([1.5, 3.5], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x_shape, axis, keepdims: xp.broadcast_to(
        keep(g / (_count(x_shape, axis) or 1), x_shape, axis, keepdims), x_shape
    ),
    impl=_mean,
    impl_numpy=_mean_numpy,
    lists=("axis",),
)

prod = op(
    "prod(x, *, axis=None, dtype=None, keepdims=False)",
    """Multiply the elements over one axis, several or all of them; the gradient is exact at zeros.

    >>> hg.prod([2.0, 3.0, 4.0])
    Tensor(24., shape=(), dtype=float64)
    """,
    _prod_rule,
    impl=_by_name_typed("prod"),
    impl_numpy=_by_ufunc_typed(np.multiply),
    lists=("axis",),
)

var = op(
    "var(x, *, axis=None, correction=0.0, keepdims=False)",
    """Compute the variance: the sum of squared distances from the mean, by n - correction.

    >>> hg.var([1.0, 3.0]), hg.var([1.0, 3.0], correction=1)
    (Tensor(1., shape=(), dtype=float64), Tensor(2., shape=(), dtype=float64))
    """,
    _var_rule,
    impl=_var,
    lists=("axis",),
    checks={"correction": (number,)},
)

std = op(
    "std(x, *, axis=None, correction=0.0, keepdims=False)",
    """Compute the standard deviation, the square root of `var`.

    Where it is zero, it has a kink and its gradient is NaN, as TensorFlow's.

    >>> hg.std([1.0, 3.0])
    Tensor(1., shape=(), dtype=float64)
    """,
    _std_rule,
    impl=_std,
    lists=("axis",),
    checks={"correction": (number,)},
)

max = op(
    "max(x, *, axis=None, keepdims=False)",
    """Find the largest element over one axis, several or all of them.

    Elements that tie for it share the gradient evenly. An empty array has none: `ValueError`.

    >>> hg.max([[1.0, 5.0], [7.0, 2.0]], axis=1)
    Tensor([5., 7.], shape=(2,), dtype=float64)
    """,
    _extreme_rule,
    impl=_by_name("max"),
    impl_numpy=_by_ufunc(np.maximum),
    lists=("axis",),
)

min = op(
    "min(x, *, axis=None, keepdims=False)",
    """Find the smallest element over one axis, several or all of them.

    Elements that tie for it share the gradient evenly. An empty array has none: `ValueError`.

    >>> hg.min([[1.0, 5.0], [7.0, 2.0]], axis=1)
    Tensor([1., 2.], shape=(2,), dtype=float64)
    """,
    _extreme_rule,
    impl=_by_name("min"),
    impl_numpy=_by_ufunc(np.minimum),
    lists=("axis",),
)

# -- reductions without a gradient ----------------------------------------------------------------

any = op(
    "any(x, *, axis=None, keepdims=False)",
    "Tell whether any element is true (or not zero), over one axis, several or all of them.",
    None,
    impl=_by_name("any"),
    impl_numpy=_by_ufunc(np.logical_or),
)

all = op(
    "all(x, *, axis=None, keepdims=False)",
    "Tell whether all elements are true (or not zero), over one axis, several or all of them.",
    None,
    impl=_by_name("all"),
    impl_numpy=_by_ufunc(np.logical_and),
)

nonzero = op(
    "nonzero(x)",
    """Return the places of what is not zero: an array of indices for each axis.

    >>> hg.nonzero([0.0, 3.0, 4.0])
    (Tensor([1, 2], shape=(2,), dtype=int64),)
    """,
    None,
    impl=lambda xp, x: tuple(xp.array_module.nonzero(_with_axes(xp.asarray(x)))),
    outputs=True,
)


def _with_axes(x: Array) -> Array:
    if not x.ndim:
        raise ValueError("there are no places in an array without axes")
    return x


count_nonzero = op(
    "count_nonzero(x, *, axis=None, keepdims=False)",
    "Count the elements that are not zero, over one axis, several or all of them.",
    None,
    impl=_by_name("count_nonzero"),
    checks={"keepdims": (flag,)},
)

argmax = op(
    "argmax(x, *, axis=None, keepdims=False)",
    """Find where the largest element is along an axis; the first of equals.

    Without an axis the array is flattened.

    >>> hg.argmax([[1.0, 5.0], [7.0, 2.0]], axis=1)
    Tensor([1, 0], shape=(2,), dtype=int64)
    """,
    None,
    checks={"keepdims": (flag,)},
)

argmin = op(
    "argmin(x, *, axis=None, keepdims=False)",
    """Find where the smallest element is along an axis; the first of equals.

    Without an axis the array is flattened.

    >>> hg.argmin([[1.0, 5.0], [7.0, 2.0]], axis=1)
    Tensor([0, 1], shape=(2,), dtype=int64)
    """,
    None,
    checks={"keepdims": (flag,)},
)

# -- cumulative ops -------------------------------------------------------------------------------

cumulative_sum = op(
    "cumulative_sum(x, *, axis=None, dtype=None, include_initial=False)",
    """Add up the elements along an axis, with all sums on the way.

    In one dimension the axis may be left out. With `include_initial` the result starts with a zero.

    >>> hg.cumulative_sum([1.0, 2.0, 3.0])
    Tensor([1., 3., 6.], shape=(3,), dtype=float64)
    """,
    _cumulative_sum_rule,
    impl_numpy=_cumulative(np.cumulative_sum, np.add),
    checks={"include_initial": (flag,)},
)

cumulative_prod = op(
    "cumulative_prod(x, *, axis=None, dtype=None, include_initial=False)",
    """Multiply the elements along an axis, with all products on the way.

    In one dimension the axis may be left out. With `include_initial` the result starts with a one.
    The gradient is exact at zeros.

    >>> hg.cumulative_prod([1.0, 2.0, 3.0])
    Tensor([1., 2., 6.], shape=(3,), dtype=float64)
    """,
    _cumulative_prod_rule,
    impl_numpy=_cumulative(np.cumulative_prod, np.multiply),
    checks={"include_initial": (flag,)},
)

# -- sorting and searching ------------------------------------------------------------------------

sort = op(
    "sort(x, *, axis=-1, descending=False, stable=True)",
    """Sort the elements along an axis; gradient goes back to where each element was.

    >>> hg.sort([2.0, 3.0, 1.0], descending=True)
    Tensor([3., 2., 1.], shape=(3,), dtype=float64)
    """,
    _sort_rule,
    impl=_sort,
    checks={"descending": (flag,), "stable": (flag,)},
)

permute_along_axis = op(
    "permute_along_axis(x, order, back, *, axis)",
    """Put the elements along an axis into another order; `back` is the order that undoes it.

    The gradient is put back, and nothing has to be added up.
    """,
    lambda g, xp, order, back, axis: xp.permute_along_axis(g, back, order, axis=axis),
    None,
    None,
    impl=lambda xp, x, order, back, *, axis: xp.array_module.take_along_axis(x, order, axis=axis),
    keeps_shape=True,
)

argsort = op(
    "argsort(x, *, axis=-1, descending=False, stable=True)",
    """Return the indices that sort an array along an axis.

    >>> hg.argsort([2.0, 3.0, 1.0])
    Tensor([2, 0, 1], shape=(3,), dtype=int64)
    """,
    None,
    impl=_argsort,
    checks={"descending": (flag,), "stable": (flag,)},
)

top_k = op(
    "top_k(x, *, k, axis=-1)",
    """Find the k largest elements along an axis, the largest first, as (values, indices).

    Of equal elements the first comes first. The values have a gradient, the indices have none.

    >>> hg.top_k([2.0, 3.0, 1.0], 2).values
    Tensor([3., 2.], shape=(2,), dtype=float64)
    """,
    _top_k_rule,
    impl=_top_k,
    outputs=True,
    lists=("axis",),
)

searchsorted = op(
    "searchsorted(x1, x2, sorter=None, *, side='left')",
    """Find where to insert the elements of `x2` into the sorted `x1` so that it stays sorted.

    >>> hg.searchsorted([1.0, 2.0, 3.0], [2.0, 2.5])
    Tensor([1, 2], shape=(2,), dtype=int64)
    """,
    None,
    None,
    None,
    impl=_searchsorted,
)

unique_values = op(
    "unique_values(x)",
    """Return the distinct elements in ascending order; a NaN is distinct from every other.

    >>> hg.unique_values([5, 7, 5])
    Tensor([5, 7], shape=(2,), dtype=int64)
    """,
    None,
    impl=lambda xp, x: xp.array_module.unique(x, equal_nan=False),
)

unique_counts = op(
    "unique_counts(x)",
    "Return the distinct elements and how often each occurs, as (values, counts).",
    None,
    outputs=True,
)

unique_inverse = op(
    "unique_inverse(x)",
    "Return the distinct elements and which of them each element is, as (values, inverse_indices).",
    None,
    outputs=True,
)

unique_all = op(
    "unique_all(x)",
    """Return the distinct elements with all that is known of them.

    The result is (values, indices, inverse_indices, counts): where each occurs first, which of them
    each element of `x` is, and how often each occurs.

    >>> hg.unique_all([5, 7, 5]).counts
    Tensor([2, 1], shape=(2,), dtype=int64)
    """,
    None,
    outputs=True,
)
