"""Convolution on NumPy, as matrix products.

The windows of `x` are copied side by side (a strided view tells NumPy where they lie), some
examples at a time so that they stay in the cache. The transposed convolution is as many plain
convolutions as the stride has phases: positions p of one phase all meet the same taps of the
kernel, so that nothing is multiplied by inserted zeros.

Everything runs channels last, `x` (n, *space, channels) and `w` (*kernel, channels / groups,
filters); channels first is a transposed view of argument and result.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from headgate.core.namespace import Array
from headgate.ops.windows import Pair, Plan, Window

_CACHED = 1 << 20
"""So many bytes of windows at most are copied before they are multiplied (not critical)."""

_SHORT = 10
"""Shorter runs of numbers cost more to copy than numbers gathered from afar into long runs."""


def _pad(x: Array, pads: Sequence[Pair]) -> Array:
    """Pad the axes of space with zeros, or crop them where a pad is negative."""
    if not any(map(any, pads)):
        return x
    space = x.shape[1:-1]
    lengths = [low + size + high for (low, high), size in zip(pads, space)]
    source, target = [slice(None)], [slice(None)]
    for (low, high), size in zip(pads, space):
        kept = range(size)[max(-low, 0) : max(size + high, 0) if high < 0 else None]
        source.append(slice(kept.start, kept.stop))
        target.append(slice(kept.start + low, kept.stop + low))
    padded = np.zeros((x.shape[0], *lengths, x.shape[-1]), x.dtype)
    padded[tuple(target)] = x[tuple(source)]
    return padded


def _columns(x: Array, plan: Plan) -> Iterator[tuple[slice, Array]]:
    """Yield all windows as matrices (groups, rows, taps), each with its slice of the rows.

    The rows are the positions of the result, example by example.
    """
    kernel, counts = plan.each("size"), plan.each("number")
    if x.shape[1:-1] != plan.each("length"):  # the view below would reach beyond x
        raise ValueError(f"this is no plan for a space of {x.shape[1:-1]}: {plan}")
    x = _pad(x, plan.each("pad"))
    examples, *space, channel = x.strides
    groups, depth = plan.groups, x.shape[-1] // plan.groups
    strides = map(operator.mul, space, plan.each("stride"))
    dilations = map(operator.mul, space, plan.each("dilation"))
    windows = as_strided(
        x,
        (groups, len(x), *counts, *kernel, depth),
        (depth * channel, examples, *strides, *dilations, channel),
        writeable=False,
    )
    rows, taps = math.prod(counts), math.prod(kernel) * depth
    run = depth * kernel[-1] if plan.windows[-1].dilation == 1 else depth
    first_tap = 2 + len(counts)
    taps_first = (0, *range(first_tap, windows.ndim), *range(1, first_tap))
    portion = max(1, _CACHED // max(1, rows * taps * groups * x.itemsize))
    for start in range(0, len(x), portion):
        part = windows[:, start : start + portion]
        n = part.shape[1]
        if run < _SHORT:
            columns = part.transpose(taps_first).reshape(groups, taps, n * rows).swapaxes(1, 2)
        else:
            columns = part.reshape(groups, n * rows, taps)
        yield slice(start * rows, (start + n) * rows), columns


def convolve(x: Array, w: Array, plan: Plan) -> Array:
    """Return y[o], the sum over k of x[p] w[k]."""
    groups, counts, filters = plan.groups, plan.each("number"), w.shape[-1]
    weights = w.reshape(-1, groups, filters // groups).swapaxes(0, 1)
    y = np.empty((groups, len(x) * math.prod(counts), filters // groups), x.dtype)
    for rows, columns in _columns(x, plan):
        np.matmul(columns, weights, out=y[:, rows])
    return y.swapaxes(0, 1).reshape(len(x), *counts, filters)


def convolve_weights(x: Array, y: Array, plan: Plan) -> Array:
    """Return w[k], the sum over o of x[p] y[o]."""
    groups, filters, depth = plan.groups, y.shape[-1], x.shape[-1] // plan.groups
    y = y.reshape(-1, groups, filters // groups).swapaxes(0, 1)
    taps = math.prod(plan.each("size")) * depth
    w = np.zeros((groups, taps, filters // groups), x.dtype)
    for rows, columns in _columns(x, plan):
        w += columns.swapaxes(1, 2) @ y[:, rows]
    return w.swapaxes(0, 1).reshape(*plan.each("size"), depth, filters)


class Phase(NamedTuple):
    """The positions of x in a phase, the taps they meet, and how windows lie in y for them."""

    positions: slice
    taps: list[int]
    window: Window


def _phases(window: Window) -> Iterator[Phase]:
    """Yield the phases of one axis.

    If p + padding = q * stride + r, p meets those taps k for which k * dilation = m * stride + r
    with a whole m, and then o = q - m.
    """
    length, size, stride, dilation, (low, _), count = window
    met: dict[int, list[int]] = {}
    for k in range(size):
        met.setdefault(k * dilation % stride, []).append(k)
    for r, taps in met.items():
        start = (r - low) % stride
        if start < length:
            q = (start + low) // stride
            reach = [(k * dilation - r) // stride for k in taps]
            spacing = reach[1] - reach[0] if len(reach) > 1 else 1
            positions = slice(start, length, stride)
            number = len(range(length)[positions])
            pad = (reach[-1] - q, q + number - reach[0] - count)
            yield Phase(positions, taps[::-1], Window(count, len(taps), 1, spacing, pad, number))


def convolve_transposed(y: Array, w: Array, plan: Plan) -> Array:
    """Return x[p], the sum over k of y[o] w[k]."""
    groups, (*kernel, depth, filters) = plan.groups, w.shape
    turned = w.reshape(*kernel, depth, groups, filters // groups).swapaxes(-3, -1)
    turned = turned.reshape(*kernel, filters // groups, groups * depth)

    def part(phases: Sequence[Phase]) -> Array:
        _, taps, windows = zip(*phases)
        return convolve(y, turned[np.ix_(*taps)], plan._replace(windows=windows))

    combined = list(itertools.product(*map(_phases, plan.windows)))
    if combined and max(plan.each("stride")) == 1:
        return part(combined[0])
    x = np.zeros((len(y), *plan.each("length"), groups * depth), y.dtype)
    for phases in combined:
        x[:, *(phase.positions for phase in phases)] = part(phases)
    return x


# -- what the rows call: any layout ---------------------------------------------------------------


def _last(x: Array, plan: Plan) -> Array:
    """Return x with its channels last, in a block: what is spread out multiplies slowly."""
    return np.ascontiguousarray(np.moveaxis(x, plan.channel, -1))


def same_dtype(xp: Any, x: Array, y: Array) -> tuple[Array, Array]:
    """Return two arrays in the dtype that they have together."""
    dtype = xp.result_type(x, y)
    return x.astype(dtype, copy=False), y.astype(dtype, copy=False)


def convolution(xp: Any, x: Array, w: Array, plan: Plan) -> Array:
    """Compute the row `convolution`."""
    x, w = same_dtype(xp, x, w)
    return np.moveaxis(convolve(_last(x, plan), w, plan), -1, plan.channel)


def transposed_convolution(xp: Any, y: Array, w: Array, plan: Plan) -> Array:
    """Compute the row `transposed_convolution`."""
    y, w = same_dtype(xp, y, w)
    return np.moveaxis(convolve_transposed(_last(y, plan), w, plan), -1, plan.channel)


def convolution_weights(xp: Any, x: Array, y: Array, plan: Plan) -> Array:
    """Compute the row `convolution_weights`."""
    x, y = same_dtype(xp, x, y)
    return convolve_weights(_last(x, plan), _last(y, plan), plan)
