"""Convolution and pooling in XLA's programs: what JAX's namespace has in place of NumPy's.

The compiler has its own convolution, and the other two rows (`headgate.ops.conv`) are its linear
transposes. On a CPU it is slow in four cases, up to a hundredfold, and these are written otherwise.
If a filter sees only one channel, a convolution is a sum of shifted copies of x, each times one
tap. Few channels and few filters get more filters of zeros, whose results are dropped: XLA's fast
convolution takes no less. The gradient for a small or grouped kernel is one matrix product for each
tap, and with few channels one product for all.

The rows of pooling (`headgate.ops.pool`) that spread a value over its window pad with zeros between
elements here, for a program has no arrays to write into; or, if windows follow each other without a
gap, join them.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from headgate.compile.xla.dtypes import cast
from headgate.core.namespace import Array
from headgate.ops.conv_numpy import same_dtype
from headgate.ops.pool import firsts, lowest, padded, population, taps_of
from headgate.ops.rules import is_half
from headgate.ops.windows import Plan, Shape, Window

# -- convolution ----------------------------------------------------------------------------------


def _convolve(x: Array, w: Array, plan: Plan) -> Array:
    """Return y[o], the sum over k of x[p] w[k]."""
    from jax import lax

    space = "DHW"[5 - x.ndim :]
    layout = f"NC{space}" if plan.channel == 1 else f"N{space}C"
    return lax.conv_general_dilated(
        x,
        w,
        plan.each("stride"),
        plan.each("pad"),
        rhs_dilation=plan.each("dilation"),
        dimension_numbers=(layout, f"{space}IO", layout),
        feature_group_count=plan.groups,
    )


_FEW = 4
"""With up to so many channels, the gradient for the kernel is one product of copied windows."""

_SOME = 8
"""With up to so many channels, filters of zeros cost less than XLA's slow convolution."""

_WIDE = 32
"""XLA's fast convolution on a CPU is for at least so many channels or filters."""

_SMALL = 9
"""For more taps, XLA's gradient for the kernel is faster than a product for each."""


def _on_cpu() -> bool:
    import jax

    return bool(jax.default_backend() == "cpu")


def _kept(x: Array) -> Array:
    """Return x, as an array that XLA computes once.

    XLA computes anew, in each loop that reads it, what is cheap to compute for one element; but an
    element of a convolution, or of x under a kernel, is read many times. A division it never
    repeats. This one is by 1, which XLA cannot tell and LLVM can, so that it costs nothing: no
    number has twice as many bits set as it has bits.
    """
    from jax import lax

    if x.dtype.kind != "f":
        return x
    width = 8 * x.dtype.itemsize
    bits = lax.bitcast_convert_type(x, f"uint{width}")
    none = lax.population_count(bits) >> np.array(width.bit_length(), bits.dtype)
    return x / (1 + none).astype(x.dtype)


def _shifted(x: Array, plan: Plan, first: int) -> Iterator[Array]:
    """Yield, for each tap, the elements of x that it meets; `first` is the first axis of space."""
    from jax import lax

    pads = [(0, 0, 0)] * x.ndim
    steps, spans = [1] * x.ndim, list(x.shape)
    for axis, window in enumerate(plan.windows, first):
        pads[axis] = (*window.pad, 0)
        steps[axis] = window.stride
        spans[axis] = (window.number - 1) * window.stride + 1
    x = _kept(lax.pad(x, x.dtype.type(0), pads))
    for tap in itertools.product(*map(range, plan.each("size"))):
        starts = [0] * x.ndim
        starts[first : first + len(tap)] = map(operator.mul, tap, plan.each("dilation"))
        yield lax.slice(x, starts, list(map(operator.add, starts, spans)), steps)


def _depthwise(x: Array, w: Array, plan: Plan) -> Array:
    """Return y[o] where a filter sees only one channel."""
    taps = w.reshape(-1, w.shape[-1])
    seen = (part.repeat(w.shape[-1] // plan.groups, axis=-1) for part in _shifted(x, plan, 1))
    return _kept(functools.reduce(operator.add, map(operator.mul, seen, taps)))


def _depthwise_transposed(y: Array, w: Array, plan: Plan) -> Array:
    """Return x[p] where a filter sees only one channel."""
    spread = (y * tap for tap in w.reshape(-1, w.shape[-1]))
    places = itertools.product(*map(range, plan.each("size")))
    x = functools.reduce(operator.add, map(functools.partial(_placed, plan), places, spread))
    return _kept(x.reshape(*x.shape[:-1], plan.groups, -1).sum(-1))


def _placed(plan: Plan, tap: Shape, part: Array) -> Array:
    """Return zeros with what a tap gives, channels last, in its place."""
    for axis, (k, window) in enumerate(zip(tap, plan.windows), 1):
        part = _place(part, k * window.dilation, axis, window)
    return part


def _few_channels(x: Array, w: Array, plan: Plan) -> Array:
    """Return y[o] where there are too few channels and filters for XLA's fast convolution."""
    import jax.numpy as jnp

    filters = w.shape[-1]
    wide = jnp.pad(w, [(0, 0)] * (w.ndim - 1) + [(0, _WIDE - filters)])
    return _convolve(x, wide, plan)[..., :filters]


def _weights_depthwise(x: Array, y: Array, plan: Plan) -> Array:
    """Return w[k] where a filter sees only one channel."""
    import jax.numpy as jnp

    every = tuple(range(x.ndim - 1))
    x = x.repeat(y.shape[-1] // plan.groups, axis=-1)
    return jnp.stack([(part * y).sum(every) for part in _shifted(x, plan, 1)])


def _weights_of_few(x: Array, y: Array, plan: Plan) -> Array:
    """Return w[k] as one matrix product: rows of windows, channel by channel, with y."""
    import jax.numpy as jnp

    y = y.reshape(-1, y.shape[-1])
    windows = jnp.stack(list(_shifted(jnp.moveaxis(x, -1, 0), plan, 2)))
    return windows.reshape(-1, len(y)) @ y


def _weights_by_taps(x: Array, y: Array, plan: Plan) -> Array:
    """Return w[k] as a matrix product for each k."""
    import jax.numpy as jnp

    y = y.reshape(math.prod(y.shape[:-1]), plan.groups, -1)
    parts = (part.reshape(len(y), plan.groups, -1) for part in _shifted(x, plan, 1))
    if plan.groups == 1:
        return jnp.stack([part[:, 0].T @ y[:, 0] for part in parts])
    return jnp.stack([jnp.einsum("rgd,rgf->dgf", part, y) for part in parts])


def _transpose(function: Callable[[Array], Array], shape: Shape, y: Array) -> Array:
    """Return the linear transpose of a function, whose argument has this shape, at y."""
    import jax

    return jax.linear_transpose(function, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]


def _convolution(xp: Any, x: Array, w: Array, plan: Plan) -> Array:
    x, w = same_dtype(xp, x, w)
    depth, filters = w.shape[-2:]
    if _on_cpu() and x.size:
        if depth == 1 and (plan.groups > 1 or filters < _WIDE):
            return _channels_last(_depthwise, x, w, plan)
        if plan.groups == 1 and depth <= _SOME and filters < _WIDE:
            return _channels_last(_few_channels, x, w, plan)
    return _convolve(x, w, plan)


def _transposed_convolution(xp: Any, y: Array, w: Array, plan: Plan) -> Array:
    y, w = same_dtype(xp, y, w)
    if y.dtype.kind in "biu":  # JAX has no transposes of functions of integers
        found = _transposed_convolution(xp, y.astype("float64"), w.astype("float64"), plan)
        return found.astype("int64").astype(y.dtype)  # too large ones wrap around
    if _on_cpu() and y.size and plan.groups > 1 == w.shape[-2]:
        return _channels_last(_depthwise_transposed, y, w, plan)
    shape = [len(y), *plan.each("length")]
    shape.insert(plan.channel, w.shape[-2] * plan.groups)
    return _transpose(lambda x: _convolve(x, w, plan), tuple(shape), y)


def _convolution_weights(xp: Any, x: Array, y: Array, plan: Plan) -> Array:
    import jax.numpy as jnp

    x, y = same_dtype(xp, x, y)
    depth, filters = x.shape[plan.channel] // plan.groups, y.shape[plan.channel]
    shape = (*plan.each("size"), depth, filters)
    taps = math.prod(plan.each("size"))
    forms = {
        _weights_depthwise: plan.groups > 1 == depth,
        _weights_of_few: plan.groups == 1 and depth <= _FEW,
        _weights_by_taps: plan.groups > 1 or taps == 1 or (taps <= _SMALL and filters >= _WIDE),
    }
    form = next((form for form, suits in forms.items() if suits), None)
    if form is None or not (_on_cpu() and x.size):
        return _transpose(lambda w: _convolve(x, w, plan), shape, y)
    x, y = (jnp.moveaxis(array, plan.channel, -1) for array in (x, y))
    if is_half(x):
        return form(x.astype(np.float32), y.astype(np.float32), plan).reshape(shape).astype(x.dtype)
    return form(x, y, plan).reshape(shape)


def _channels_last(function: Callable[..., Array], x: Array, w: Array, plan: Plan) -> Array:
    """Apply a function of arrays whose channels are last."""
    import jax.numpy as jnp

    x, dtype = jnp.moveaxis(x, plan.channel, -1), x.dtype
    if is_half(x):  # in which sums over many taps soon do not grow any more
        x, w = x.astype(np.float32), w.astype(np.float32)
    last = function(x, w, plan._replace(channel=x.ndim - 1))
    return jnp.moveaxis(last, -1, plan.channel).astype(dtype)


# -- pooling: windows along one axis --------------------------------------------------------------


def _spread(y: Array, shares: Iterable[Any], axis: int, window: Window) -> Array:
    """Give the elements of each window their shares of its y; the transpose of summing taps."""
    parts = (y if type(share) is int else y * cast(share, y.dtype) for share in shares)
    placed = (_place(part, tap, axis, window) for tap, part in enumerate(parts))
    return functools.reduce(operator.add, placed)


def _place(part: Array, tap: int, axis: int, window: Window) -> Array:
    """Return zeros with what element `tap` of all windows gets in its place."""
    from jax import lax

    start = tap - window.pad[0]
    end = start + (window.number - 1) * window.stride + 1
    edges = [(0, 0, 0)] * part.ndim
    edges[axis] = (start, window.length - end, window.stride - 1)
    return lax.pad(part, part.dtype.type(0), edges)


def _tile(tiles: Array, axis: int, window: Window) -> Array:
    """Join windows that follow each other without a gap to an axis.

    `tiles` has an axis more, after the axis of windows: that of their elements. What is beyond the
    windows is zero.
    """
    from jax import lax

    low, covered = window.pad[0], window.number * window.size
    joined = tiles.reshape(*tiles.shape[:axis], covered, *tiles.shape[axis + 2 :])
    edges = [(0, 0, 0)] * joined.ndim
    edges[axis] = (-low, window.length + low - covered, 0)
    return lax.pad(joined, joined.dtype.type(0), edges)


def _max_spread(xp: Any, y: Array, x: Array, top: Array, axis: int, window: Window) -> Array:
    if window.size == window.stride:
        return _max_tiles(xp, y, x, top, axis, window)
    return _spread(y, firsts(xp, x, top, axis, window), axis, window)


def _max_tiles(xp: Any, y: Array, x: Array, top: Array, axis: int, window: Window) -> Array:
    """Do that if windows follow each other: one comparison for each element of x."""
    taps = taps_of(padded(xp, x, axis, window, lowest(xp, x.dtype)), axis, window)
    place = window.size - 1
    for number, tap in reversed(list(enumerate(taps[:-1]))):
        place = xp.where(tap == top, number, place)
    numbers = np.arange(window.size).reshape(-1, *(1,) * (y.ndim - axis - 1))
    here = xp.expand_dims(xp.broadcast_to(place, y.shape), axis + 1) == numbers
    y = xp.expand_dims(y, axis + 1)
    return _tile(xp.where(here, y, y * 0), axis, window)  # NaN stays NaN, as in a product


def _mean_spread(xp: Any, y: Array, axis: int, window: Window) -> Array:
    shares = y / population(y, axis, window)
    if window.size == window.stride:
        return _tile(xp.stack([shares] * window.size, axis + 1), axis, window)
    return _spread(shares, [1] * window.size, axis, window)


OVERRIDES: dict[str, Callable[..., Any]] = {
    "convolution": _convolution,
    "transposed_convolution": _transposed_convolution,
    "convolution_weights": _convolution_weights,
    "window_max_spread": _max_spread,
    "window_mean_spread": _mean_spread,
}
"""Implementations by the name of the row."""
