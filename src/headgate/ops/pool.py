"""Pooling, over one to three axes of space.

It is separable: the maximum (or mean) over a box is that over one axis after the other, so the rows
work along one axis. The gradient of a maximum goes to the first largest element of the box in
row-major order, as in TensorFlow; that is why the last axis comes first.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from headgate.core.lift import as_tensor
from headgate.core.namespace import Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops.rules import by_float32, floats
from headgate.ops.windows import (
    Pair,
    Shape,
    Window,
    axes_of,
    options_of,
    refused,
    remembered,
    windows_of,
)


def taps_of(x: Array, axis: int, window: Window) -> list[Array]:
    """Return views of x: the first elements of all windows, their second elements, and so on."""
    before = (slice(None),) * axis
    reach = window.number * window.stride
    return [x[(*before, slice(tap, tap + reach, window.stride))] for tap in range(window.size)]


def padded(xp: Any, x: Array, axis: int, window: Window, value: Any) -> Array:
    if not any(window.pad):
        return x
    pads = [(0, 0)] * x.ndim
    pads[axis] = window.pad
    return xp.pad(x, pads, "constant", value)


def lowest(xp: Any, dtype: Any) -> Any:
    """Return the number that is never the largest."""
    kind = np.dtype(dtype).kind  # bfloat16, which NumPy has no name for, is of kind V
    if kind == "b":
        return False
    return xp.iinfo(dtype).min if kind in "iu" else -xp.inf


def _spread(y: Array, shares: Iterable[Any], axis: int, window: Window) -> Array:
    """Give the elements of each window their shares of its y; the transpose of summing `taps`."""
    low, high = window.pad
    shape = [*y.shape]
    shape[axis] = low + window.length + high
    tiled = window.size == window.stride and window.number * window.size == shape[axis]
    x = (np.empty if tiled else np.zeros)(shape, y.dtype)
    for target, share in zip(taps_of(x, axis, window), shares):
        if tiled:
            np.multiply(y, share, out=target)
        else:
            target += y * share
    return x[(slice(None),) * axis + (slice(low, low + window.length),)]


def firsts(xp: Any, x: Array, top: Array, axis: int, window: Window) -> Iterator[Array]:
    """Yield, for each element of a window, where it is the first one that equals the maximum."""
    taps = taps_of(padded(xp, x, axis, window, lowest(xp, x.dtype)), axis, window)
    free = xp.ones_like(top, dtype=bool)
    for tap in taps[:-1]:
        first = free & (tap == top)
        yield first
        free = free ^ first
    yield free


def _max(xp: Any, x: Array, axis: int, window: Window) -> Array:
    taps = taps_of(padded(xp, x, axis, window, lowest(xp, x.dtype)), axis, window)
    return functools.reduce(xp.maximum, taps)


def _max_spread(xp: Any, y: Array, x: Array, top: Array, axis: int, window: Window) -> Array:
    return _spread(y, firsts(xp, x, top, axis, window), axis, window)


def _max_pick(xp: Any, y: Array, x: Array, top: Array, axis: int, window: Window) -> Array:
    taps = taps_of(padded(xp, y, axis, window, 0), axis, window)
    picked = map(xp.multiply, taps, firsts(xp, x, top, axis, window))
    return functools.reduce(operator.add, picked)


def population(x: Array, axis: int, window: Window) -> Any:
    """Return how many elements of each window are not padding, shaped to go with x."""
    length, size, stride, _, (low, _), count = window
    starts = [k * stride - low for k in range(count)]
    counts = [min(start + size, length) - max(start, 0) for start in starts]
    if min(counts, default=size) == size:
        return size
    dtype = np.float64 if x.dtype.kind in "biu" else x.dtype
    return np.array(counts, dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))


@by_float32
def _mean(xp: Any, x: Array, axis: int, window: Window) -> Array:
    x = floats(x)  # in its own dtype the sum of a window may not fit
    taps = taps_of(padded(xp, x, axis, window, 0), axis, window)
    return functools.reduce(operator.add, taps) / population(x, axis, window)


def _mean_spread(xp: Any, y: Array, axis: int, window: Window) -> Array:
    shares = y / population(y, axis, window)
    return _spread(shares, [1] * window.size, axis, window)


window_max = op(
    "window_max(x, *, axis, window)",
    "Return the largest element of each window along an axis.",
    lambda g, xp, x, ans, axis, window: xp.window_max_spread(g, x, ans, axis=axis, window=window),
    impl=_max,
)

window_max_spread = op(
    "window_max_spread(y, x, top, *, axis, window)",
    "Give each window's y to its first element of x that equals its maximum, top.",
    lambda g, xp, x, top, axis, window: xp.window_max_pick(g, x, top, axis=axis, window=window),
    lambda g, xp, x: xp.zeros_like(x),  # which one is largest does not change by a little
    None,
    impl=_max_spread,
)

window_max_pick = op(
    "window_max_pick(y, x, top, *, axis, window)",
    "Take from each window the element of y where x first equals its maximum, top.",
    lambda g, xp, x, top, axis, window: xp.window_max_spread(g, x, top, axis=axis, window=window),
    lambda g, xp, x: xp.zeros_like(x),  # which one is largest does not change by a little
    None,
    impl=_max_pick,
)

window_mean = op(
    "window_mean(x, *, axis, window)",
    "Return the mean of each window along an axis, padding left out.",
    lambda g, xp, axis, window: xp.window_mean_spread(g, axis=axis, window=window),
    impl=_mean,
)

window_mean_spread = op(
    "window_mean_spread(y, *, axis, window)",
    "Share each window's y among its elements.",
    lambda g, xp, axis, window: xp.window_mean(g, axis=axis, window=window),
    impl=_mean_spread,
)


@remembered
def _plan_pool(
    name: str, x: Shape, size: Any, stride: Any, padding: Any, layout: str | None
) -> list[tuple[int, Window]]:
    """Return the windows along each axis of space."""
    axes, _ = axes_of(name, x, layout)
    stride = size if stride is None else stride
    options = options_of(name, axes, padding, size=size, stride=stride, dilation=1)
    windows = windows_of(name, x, axes, options)
    for window in windows:
        if max(window.pad) >= window.size:
            raise refused(
                name,
                f"padding {window.pad} leaves windows of size {window.size} with nothing but "
                "padding in them; pad by less than the size",
            )
    return list(zip(axes, windows))


@public
def max_pool(
    x: Any,
    size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: str | Sequence[Pair] = "VALID",
    layout: str | None = None,
) -> Tensor:
    """Take the largest element of each window over the axes of space.

    Of several equally large ones the first gets the gradient.

    Args:
        x: (batch, *space, channels) with one to three axes of space, or (batch, channels, *space)
            if `layout` says so.
        size: of a window: one for all axes of space, or one for each.
        stride: steps between windows; `size` if left out.
        padding, layout: as for `conv`. Padding never is the largest.

    Returns:
        (batch, *positions, channels), or with the channels on axis 1, as in `x`.

    Raises:
        ValueError: if shapes or options do not fit each other.

    >>> import headgate as hg
    >>> hg.max_pool([[[1.0], [4.0], [2.0], [3.0]]], 2).numpy().tolist()
    [[[4.0], [3.0]]]
    """
    y = as_tensor(x)
    plan = _plan_pool("max_pool", y.shape, size, stride, padding, layout)
    for axis, window in reversed(plan):
        y = window_max(y, axis=axis, window=window)
    return y


@public
def avg_pool(
    x: Any,
    size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: str | Sequence[Pair] = "VALID",
    layout: str | None = None,
) -> Tensor:
    """Take the mean of each window over the axes of space.

    Padding is not counted, as in TensorFlow. Arguments, result and errors are those of `max_pool`.

    >>> import headgate as hg
    >>> hg.avg_pool([[[1.0], [4.0], [2.0]]], 2, padding="SAME").numpy().tolist()
    [[[2.5], [2.0]]]
    """
    y = as_tensor(x)
    plan = _plan_pool("avg_pool", y.shape, size, stride, padding, layout)
    for axis, window in plan:
        y = window_mean(y, axis=axis, window=window)
    return y
