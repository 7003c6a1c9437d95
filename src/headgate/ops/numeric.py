"""What users of NumPy reach for and what is a few rows: differences, means between, products.

Nothing here has a rule of its own but `convolve`: gradient flows through the rows that a function
is made of. They take NumPy's arguments, in its order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headgate.core.checks import choice, flag, number, refused, whole
from headgate.core.lift import as_tensor
from headgate.core.namespace import NUMPY, TENSORS, Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops.creation import eye, linspace
from headgate.ops.elementwise import (
    add,
    astype,
    conj,
    floor,
    imag,
    isclose,
    isnan,
    multiply,
    not_equal,
    pow,
    real,
    subtract,
    where,
)
from headgate.ops.index import take
from headgate.ops.linalg.contract import tensordot
from headgate.ops.linalg.diagonals import diagonal
from headgate.ops.linalg.products import matmul
from headgate.ops.reduce import all, searchsorted, sort, sum
from headgate.ops.rules import is_half, normal_axes
from headgate.ops.shape import concat, expand_dims, flip, permute_dims, reshape
from headgate.record.errors import refusal

# -- differences and areas -------------------------------------------------------------------------


def _axis(axis: Any, ndim: int) -> int:
    return normal_axes(axis, ndim)[0]


def _slices(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return all but the first elements along an axis, and all but the last."""
    before = (slice(None),) * axis
    return x[(*before, slice(1, None))], x[(*before, slice(None, -1))]


@public
def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Subtract from each element the one before it along an axis, `n` times over.

    `prepend` and `append` are arrays, or numbers, to put at the ends first.

    >>> hg.diff([1.0, 4.0, 9.0])
    Tensor([3., 5.], shape=(2,), dtype=float64)
    """
    n = whole("diff", "n", n, 0)
    x = as_tensor(x)
    if not x.ndim:
        raise refusal(ValueError, "diff: x must have an axis to go along, and has none")
    axis = _axis(axis, x.ndim)
    ends = []
    for end in (prepend, append):
        end = None if end is None else as_tensor(end)
        if end is not None and not end.ndim:
            one = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
            end = TENSORS.broadcast_to(end, one)
        ends.append(end)
    parts = [part for part in (ends[0], x, ends[1]) if part is not None]
    x = concat(parts, axis=axis) if len(parts) > 1 else x
    for _ in range(n):
        after, before = _slices(x, axis)
        x = not_equal(after, before) if x.dtype == bool else subtract(after, before)
    differences: Tensor = x
    return differences


@public
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """Integrate along an axis by trapezoids, at places `x` or at a distance `dx`.

    >>> hg.trapezoid([1.0, 2.0, 3.0], dx=2.0)
    Tensor(8., shape=(), dtype=float64)
    """
    y = as_tensor(y)
    axis = _axis(axis, y.ndim)
    if x is not None:
        x = as_tensor(x)
        dx = diff(x) if x.ndim == 1 else diff(x, axis=axis)
        if x.ndim == 1:
            dx = reshape(dx, (-1, *[1] * (y.ndim - axis - 1)))
    after, before = _slices(y, axis)
    return sum(dx * (after + before) / 2.0, axis=axis)


@public
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Tensor:
    """Go along straight lines from point to point: `xp`, in ascending order, and values `fp`.

    Outside of the points the result is `left` and `right`, by default the first and last value;
    with a `period` there is no outside. Gradient flows to x, xp and fp.

    >>> hg.interp([0.5, 3.0], [0.0, 1.0, 2.0], [0.0, 10.0, 30.0])
    Tensor([ 5., 30.], shape=(2,), dtype=float64)
    """
    x, points, values = as_tensor(x), as_tensor(xp), as_tensor(fp)
    if points.ndim != 1 or values.ndim != 1 or points.shape != values.shape or not points.size:
        raise refusal(
            ValueError,
            "interp: xp and fp must be 1-d, of one length and not empty, and have the shapes "
            f"{points.shape} and {values.shape}",
        )
    if period is not None:
        period = abs(number("interp", "period", period))
        x, points = x % period, points % period
        order = TENSORS.argsort(points)
        points, values = take(points, order, axis=0), take(values, order, axis=0)
        points = concat([points[-1:] - period, points, points[:1] + period])
        values = concat([values[-1:], values, values[:1]])
    elif points.size == 1:
        points, values = concat([points, points + 1.0]), concat([values, values])
    count = points.shape[0]
    above = TENSORS.clip(searchsorted(points, x, side="right"), 1, count - 1)
    low, high = (take(points, place, axis=0) for place in (above - 1, above))
    first, last = (take(values, place, axis=0) for place in (above - 1, above))
    wide = high - low
    share = where(wide == 0, 0.0, (x - low) / where(wide == 0, 1.0, wide))
    found = first + (last - first) * share
    if period is None:
        found = where(x < points[0], values[0] if left is None else left, found)
        end = points[-1] if as_tensor(xp).shape[0] > 1 else points[0]
        found = where(x > end, values[-1] if right is None else right, found)
    return found


# -- products --------------------------------------------------------------------------------------


@public
def dot(x: Any, y: Any) -> Tensor:
    """Sum products over the last axis of `x` and the last but one of `y`, or its only one.

    >>> hg.dot([1.0, 2.0], [3.0, 4.0])
    Tensor(11., shape=(), dtype=float64)
    """
    x, y = as_tensor(x), as_tensor(y)
    if not x.ndim or not y.ndim:
        return multiply(x, y)
    if x.ndim <= 2 and y.ndim <= 2:
        return matmul(x, y)
    return tensordot(x, y, axes=((-1,), (max(-2, -y.ndim),)))


@public
def vdot(x: Any, y: Any) -> Tensor:
    """Sum the products of all elements, those of `x` conjugated.

    >>> hg.vdot([1j, 2.0], [1j, 2.0])
    Tensor(5.+0.j, shape=(), dtype=complex128)
    """
    return matmul(reshape(conj(as_tensor(x)), (-1,)), reshape(as_tensor(y), (-1,)))


@public
def inner(x: Any, y: Any) -> Tensor:
    """Sum products over the last axes.

    >>> hg.inner([[1.0, 2.0], [0.0, 1.0]], [3.0, 4.0])
    Tensor([11.,  4.], shape=(2,), dtype=float64)
    """
    x, y = as_tensor(x), as_tensor(y)
    return tensordot(x, y, axes=((-1,), (-1,))) if x.ndim and y.ndim else multiply(x, y)


def _convolve_whole(xp: Any, x: Array, y: Array) -> Array:
    x, y = xp.asarray(x), xp.asarray(y)
    if x.ndim != 1 or y.ndim != 1 or not x.size or not y.size:
        raise ValueError("convolves two arrays of one axis that are not empty")
    wide: Any = xp.array_module.result_type(x.dtype, y.dtype)
    dtype = wide
    if is_half(np.empty(0, dtype)):
        wide = np.dtype(np.float32)
    if xp is not NUMPY and dtype.kind in "biu":  # JAX makes floats of them, of single precision
        wide = np.dtype(float)
    found = xp.array_module.convolve(x.astype(wide), y.astype(wide), "full")
    if wide != dtype and dtype.kind in "iu":
        found = found.astype(np.int64)  # what is too large for bytes wraps around
    return found.astype(dtype)


convolution_1d = op(
    "convolve_whole(x, y)",
    "Convolve two arrays of one axis, wherever one of their elements meets (`convolve`).",
    lambda g, xp, x_shape, y: xp.convolve_whole(g, y[::-1])[
        y.shape[0] - 1 : y.shape[0] - 1 + x_shape[0]
    ],
    lambda g, xp, y_shape, x: xp.convolve_whole(g, x[::-1])[
        x.shape[0] - 1 : x.shape[0] - 1 + y_shape[0]
    ],
    impl=_convolve_whole,
)


@public
def convolve(x: Any, y: Any, mode: str = "full") -> Tensor:
    """Convolve two arrays of one axis; with `mode` "valid" where they overlap wholly, or "same".

    >>> hg.convolve([1.0, 2.0, 3.0], [1.0, 1.0])
    Tensor([1., 3., 5., 3.], shape=(4,), dtype=float64)
    """
    choice("convolve", "mode", mode, ("full", "same", "valid"))
    x, y = as_tensor(x), as_tensor(y)
    found = convolution_1d(x, y)
    if mode == "full":
        return found
    small, large = sorted((x.shape[0], y.shape[0]))
    if mode == "valid":
        return found[small - 1 : large]
    return found[(small - 1) // 2 : (small - 1) // 2 + large]


@public
def correlate(x: Any, y: Any, mode: str = "valid") -> Tensor:
    """Correlate two arrays of one axis: `convolve` with `y` conjugated and in reverse.

    >>> hg.correlate([1.0, 2.0, 3.0], [0.0, 1.0])
    Tensor([2., 3.], shape=(2,), dtype=float64)
    """
    return convolve(x, flip(conj(as_tensor(y))), mode)


# -- order statistics ------------------------------------------------------------------------------


@public
def quantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return what a share q of the elements lies below, between two of them in proportion.

    Gradient flows to the two elements, and to q. An axis of q comes first in the result. `method`
    is "linear", "lower", "higher", "midpoint" or "nearest".

    >>> hg.quantile([1.0, 2.0, 4.0], 0.75)
    Tensor(3., shape=(), dtype=float64)
    """
    choice("quantile", "method", method, ("linear", "lower", "higher", "midpoint", "nearest"))
    keepdims = flag("quantile", "keepdims", keepdims)
    x, q = as_tensor(x), as_tensor(q)
    if q.ndim > 1:
        raise refused("quantile", "q", "a number, or an array of one axis", q)
    axes = normal_axes(axis, x.ndim)
    kept = [1 if k in axes else size for k, size in enumerate(x.shape)]
    others = [k for k in range(x.ndim) if k not in axes]
    count = math.prod(x.shape[k] for k in axes)
    if not count:
        raise refusal(ValueError, f"quantile: there is nothing to look at in the shape {x.shape}")
    if x.dtype.kind in "biu":
        x = astype(x, float)
    lines = reshape(permute_dims(x, (*axes, *others)), (count, *[x.shape[k] for k in others]))
    lines = sort(lines, axis=0)
    place = q * float(count - 1)
    if method in _PLACES:
        place = _PLACES[method](place)
    low = floor(place)
    first, last = (
        take(lines, astype(reshape(k, (-1,)), int), axis=0) for k in (low, TENSORS.ceil(place))
    )
    share: Any = 0.5 * astype(place != low, x.dtype) if method == "midpoint" else place - low
    share = reshape(astype(share, x.dtype), (-1, *[1] * len(others)))
    found = first + (last - first) * share
    found = where(isnan(lines[-1:]), lines[-1:], found)
    return reshape(found, (*q.shape, *(kept if keepdims else [x.shape[k] for k in others])))


_PLACES = {"lower": floor, "higher": TENSORS.ceil, "nearest": TENSORS.round}


@public
def percentile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """Return what q percent of the elements lie below: `quantile` of `q / 100`.

    >>> hg.percentile([1.0, 2.0, 4.0], 75)
    Tensor(3., shape=(), dtype=float64)
    """
    return quantile(x, as_tensor(q) / 100.0, axis, method, keepdims)


@public
def median(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the middle element, or the mean of the two in the middle.

    >>> hg.median([3.0, 1.0, 2.0, 9.0])
    Tensor(2.5, shape=(), dtype=float64)
    """
    return quantile(x, 0.5, axis, keepdims=keepdims)


# -- the rest --------------------------------------------------------------------------------------


@public
def allclose(
    x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Tell whether `isclose` holds everywhere.

    >>> hg.allclose([1.0, 2.0], [1.0 + 1e-9, 2.0])
    Tensor(True, shape=(), dtype=bool)
    """
    return all(isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan))


@public
def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    """Put numbers in place of NaN and infinities, by default 0 and the largest that there are.

    >>> hg.nan_to_num([1.0, float("nan")])
    Tensor([1., 0.], shape=(2,), dtype=float64)
    """
    given = x = as_tensor(x)
    if x.dtype.kind == "c":
        first, second = (nan_to_num(f(x), nan, posinf, neginf) for f in (real, imag))
        return add(first, multiply(1j, second))
    if x.dtype.kind in "biu":
        return given
    limits = np.finfo(x.dtype)
    high = limits.max.item() if posinf is None else posinf
    low = limits.min.item() if neginf is None else neginf
    x = where(isnan(x), nan, x)
    return where(x == math.inf, high, where(x == -math.inf, low, x))


@public
def diag(x: Any, k: int = 0) -> Tensor:
    """Return the k-th diagonal of a matrix, or the matrix that has a vector for it.

    >>> hg.diag([1.0, 2.0])
    Tensor([[1., 0.],
            [0., 2.]], shape=(2, 2), dtype=float64)
    """
    x, k = as_tensor(x), whole("diag", "k", k)
    if x.ndim == 2:
        return diagonal(x, offset=k)
    if x.ndim != 1:
        raise refusal(ValueError, f"diag: x must have one axis or two; its shape is {x.shape}")
    widths = ((max(-k, 0), max(k, 0)),)
    size = x.shape[0] + abs(k)
    return expand_dims(TENSORS.pad(x, widths), axis=1) * eye(size, k=k, dtype=x.dtype)


@public
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Exchange two axes.

    >>> hg.swapaxes(hg.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = as_tensor(x)
    order = list(range(x.ndim))
    first, second = _axis(axis1, x.ndim), _axis(axis2, x.ndim)
    order[first], order[second] = second, first
    return permute_dims(x, order)


@public
def logspace(start: Any, stop: Any, num: int = 50, base: Any = 10.0, dtype: Any = None) -> Tensor:
    """Return `base` to the powers that `linspace` returns; gradient flows to both ends.

    >>> hg.logspace(0.0, 2.0, 3)
    Tensor([  1.,  10., 100.], shape=(3,), dtype=float64)
    """
    found = pow(base, linspace(start, stop, num))
    return found if dtype is None else astype(found, dtype)
