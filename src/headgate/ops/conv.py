"""Convolution and pooling, over one to three axes of space.

**Convolution** is bilinear, so its calculus closes over three rows. Input `x`, weights `w` and
result `y` meet in products x[p] w[k] y[o], where p = o * stride + k * dilation - padding. Each row
is given two of the three factors and adds up their products for the third:

    convolution             y[o] = sum over k of x[p] w[k]
    transposed_convolution  x[p] = sum over k of y[o] w[k]
    convolution_weights     w[k] = sum over o of x[p] y[o]

The rules of each row are the other two: the gradient of a convolution for its input *is* the
transposed convolution, and derivatives of any order follow. The public functions turn their options
into a `Plan`, once; the rows and their rules only pass it on.

On NumPy a convolution is a matrix product: the windows of `x` are copied side by side (a strided
view tells NumPy where they lie), some examples at a time so that they stay in the cache. The
transposed one is as many plain convolutions as the stride has phases: positions p of one phase all
meet the same taps of the kernel, so that nothing is multiplied by inserted zeros. Everything runs
channels last; channels first is a transposed view of argument and result.

On JAX the compiler has its own convolution, and the other two rows are its linear transposes. On a
CPU it is slow in four cases, up to a hundredfold, and these are written otherwise. If a filter sees
only one channel, a convolution is a sum of shifted copies of x, each times one tap. Few channels
and few filters get more filters of zeros, whose results are dropped: XLA's fast convolution takes
no less. The gradient for a small or grouped kernel is one matrix product for each tap, and with few
channels one product for all.

**Pooling** is separable: the maximum (or mean) over a box is that over one axis after the other, so
its rows work along one axis. The gradient of a maximum goes to the first largest element of the box
in row-major order, as in TensorFlow; that is why the last axis comes first.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from headgate.core.namespace import Array
from headgate.core.op import as_tensor, op, public
from headgate.core.tensor import Tensor
from headgate.record.site import caller

Shape = tuple[int, ...]
Pair = tuple[int, int]

# -- where the windows lie ------------------------------------------------------------------------


class Window(NamedTuple):
    """How windows lie along one axis: `number` of them, `size` taps each, `dilation` apart."""

    length: int
    size: int
    stride: int
    dilation: int
    pad: Pair
    number: int


class Plan(NamedTuple):
    """A convolution's options, resolved for the shapes at hand: windows per axis of space."""

    windows: tuple[Window, ...]
    groups: int
    channel: int  # the axis of x and y that has the channels

    def each(self, field: str) -> tuple[Any, ...]:
        """Return one field of every window."""
        return tuple(getattr(window, field) for window in self.windows)


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember what a function returned for the same arguments; lists count as tuples."""
    remember = functools.lru_cache(maxsize=1024, typed=True)(function)
    return lambda *arguments: remember(*map(_frozen, arguments))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple | np.ndarray) else value


def _refusal(name: str, text: str) -> ValueError:
    """Return the error for options that make no sense, with the user's line."""
    site = caller()
    return ValueError(f"{name}: {text}\n  at {site}: {site.text}")


def _axes(name: str, shape: Shape, layout: str | None) -> tuple[Shape, int]:
    """Return the axes of space and the axis of channels in an array of this shape."""
    rank = len(shape)
    if not 3 <= rank <= 5:
        raise _refusal(
            name,
            "x must have a batch axis, one to three axes of space and a channel axis, got shape "
            f"{shape}; add a missing axis with headgate.expand_dims(x, axis)",
        )
    space = "DHW"[5 - rank :]
    if layout is None or layout == f"N{space}C":
        return tuple(range(1, rank - 1)), rank - 1
    if layout == f"NC{space}":
        return tuple(range(2, rank)), 1
    raise _refusal(
        name, f"layout for x of shape {shape} must be 'N{space}C' or 'NC{space}', got {layout!r}"
    )


def _of_space(values: tuple[Any, ...], axes: Shape, neutral: Any) -> tuple[Any, ...]:
    """Return the entries for the axes of space: all, or in TensorFlow's form all but two."""
    others = [value for axis, value in enumerate(values) if axis not in axes]
    if len(values) == len(axes) + 2 and others == [neutral, neutral]:
        return tuple(values[axis] for axis in axes)
    return values


def _sizes(name: str, what: str, value: Any, axes: Shape, least: int = 1) -> Shape:
    """Return one integer per axis of space, given one for all or one each."""
    values = _of_space(value, axes, 1) if isinstance(value, tuple) else (value,) * len(axes)
    if len(values) != len(axes) or not all(
        isinstance(v, int | np.integer) and v >= least for v in values
    ):
        raise _refusal(
            name,
            f"{what} must be an integer of at least {least}, or one for each of the {len(axes)} "
            f"axes of space, got {what}={value!r}",
        )
    return tuple(map(int, values))


def _is_pair(pad: Any) -> bool:
    pair = isinstance(pad, tuple) and len(pad) == 2
    return pair and all(isinstance(size, int | np.integer) and size >= 0 for size in pad)


def _pads(name: str, padding: Any, axes: Shape) -> tuple[Pair | None, ...]:
    """Return a pair of sizes per axis of space; None stands for "SAME"."""
    if isinstance(padding, str) and padding.upper() in ("SAME", "VALID"):
        return (None if padding.upper() == "SAME" else (0, 0),) * len(axes)
    pads = _of_space(padding, axes, (0, 0)) if isinstance(padding, tuple) else ()
    if len(pads) != len(axes) or not all(map(_is_pair, pads)):
        raise _refusal(
            name,
            "padding must be 'SAME', 'VALID', or a (low, high) pair of sizes, zero or more, for "
            f"each of the {len(axes)} axes of space, got padding={padding!r}",
        )
    return pads


class Option(NamedTuple):
    """A window's options along one axis of space; `pad` is None for "SAME"."""

    size: int
    stride: int
    dilation: int
    pad: Pair | None

    @property
    def span(self) -> int:
        return (self.size - 1) * self.dilation + 1

    def over(self, length: int) -> Window:
        """Return how windows lie on an axis of this length."""
        pad = self.pad
        if pad is None:
            needed = (-(-length // self.stride) - 1) * self.stride + self.span
            total = max(needed - length, 0)
            pad = (total // 2, total - total // 2)
        count = (length + sum(pad) - self.span) // self.stride + 1
        return Window(length, self.size, self.stride, self.dilation, pad, count)

    def least(self, count: int) -> int:
        """Return the shortest length with so many windows; the longest is stride - 1 more."""
        if self.pad is None:
            return (count - 1) * self.stride + 1
        return (count - 1) * self.stride + self.span - sum(self.pad)

    def grown(self, count: int, extra: int | None) -> int:
        """Return the length that a transposed convolution makes of `count`, as Keras does.

        `extra` is its output_padding.
        """
        if self.pad is None:
            odd = (count - 1) * self.stride + self.span % 2
            return count * self.stride if extra is None else odd + extra
        return self.least(count) + (max(self.stride - self.span, 0) if extra is None else extra)


def _options(name: str, axes: Shape, padding: Any, **sizes: Any) -> list[Option]:
    """Return the options along each axis of space, checked."""
    pads = _pads(name, padding, axes)
    per_axis = (_sizes(name, what, value, axes) for what, value in sizes.items())
    return list(map(Option, *per_axis, pads))


def _windows(name: str, shape: Shape, axes: Shape, options: list[Option]) -> tuple[Window, ...]:
    """Return how windows lie along the axes of space of an array of this shape."""
    windows = tuple(option.over(shape[axis]) for axis, option in zip(axes, options))
    for axis, option, window in zip(axes, options, windows):
        if window.number < 1 and option.pad is not None:
            raise _refusal(
                name,
                f"a window of size {option.size} with dilation {option.dilation} is larger than "
                f"axis {axis} of x of shape {shape} with padding {option.pad}; use a smaller "
                "window, or padding='SAME'",
            )
    return windows


# -- convolution on NumPy: x (n, *space, channels), w (*kernel, channels / groups, filters) -------

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


def _convolve(x: Array, w: Array, plan: Plan) -> Array:
    """Return y[o], the sum over k of x[p] w[k]."""
    groups, counts, filters = plan.groups, plan.each("number"), w.shape[-1]
    weights = w.reshape(-1, groups, filters // groups).swapaxes(0, 1)
    y = np.empty((groups, len(x) * math.prod(counts), filters // groups), x.dtype)
    for rows, columns in _columns(x, plan):
        np.matmul(columns, weights, out=y[:, rows])
    return y.swapaxes(0, 1).reshape(len(x), *counts, filters)


def _convolve_weights(x: Array, y: Array, plan: Plan) -> Array:
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
    for start in range(min(stride, length)):
        q, r = divmod(start + low, stride)
        taps = [k for k in range(size) if (k * dilation - r) % stride == 0]
        if taps:
            reach = [(k * dilation - r) // stride for k in taps]
            spacing = reach[1] - reach[0] if len(reach) > 1 else 1
            positions = slice(start, length, stride)
            number = len(range(length)[positions])
            pad = (reach[-1] - q, q + number - reach[0] - count)
            yield Phase(positions, taps[::-1], Window(count, len(taps), 1, spacing, pad, number))


def _convolve_transposed(y: Array, w: Array, plan: Plan) -> Array:
    """Return x[p], the sum over k of y[o] w[k]."""
    groups, (*kernel, depth, filters) = plan.groups, w.shape
    turned = w.reshape(*kernel, depth, groups, filters // groups).swapaxes(-3, -1)
    turned = turned.reshape(*kernel, filters // groups, groups * depth)

    def part(phases: Sequence[Phase]) -> Array:
        _, taps, windows = zip(*phases)
        return _convolve(y, turned[np.ix_(*taps)], plan._replace(windows=windows))

    combined = list(itertools.product(*map(_phases, plan.windows)))
    if combined and max(plan.each("stride")) == 1:
        return part(combined[0])
    x = np.zeros((len(y), *plan.each("length"), groups * depth), y.dtype)
    for phases in combined:
        x[:, *(phase.positions for phase in phases)] = part(phases)
    return x


# -- convolution on JAX ---------------------------------------------------------------------------


def _convolve_jax(x: Array, w: Array, plan: Plan) -> Array:
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
    return _convolve_jax(x, wide, plan)[..., :filters]


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


def _transpose_jax(function: Callable[[Array], Array], shape: Shape, y: Array) -> Array:
    """Return the linear transpose of a function, whose argument has this shape, at y."""
    import jax

    return jax.linear_transpose(function, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]


def _forward_jax(x: Array, w: Array, plan: Plan) -> Array:
    depth, filters = w.shape[-2:]
    if _on_cpu() and x.size:
        if depth == 1 and (plan.groups > 1 or filters < _WIDE):
            return _channels_last(_depthwise, x, w, plan)
        if plan.groups == 1 and depth <= _SOME and filters < _WIDE:
            return _channels_last(_few_channels, x, w, plan)
    return _convolve_jax(x, w, plan)


def _transposed_jax(y: Array, w: Array, plan: Plan) -> Array:
    if _on_cpu() and y.size and plan.groups > 1 == w.shape[-2]:
        return _channels_last(_depthwise_transposed, y, w, plan)
    shape = [len(y), *plan.each("length")]
    shape.insert(plan.channel, w.shape[-2] * plan.groups)
    return _transpose_jax(lambda x: _convolve_jax(x, w, plan), tuple(shape), y)


def _weight_gradient_jax(x: Array, y: Array, plan: Plan) -> Array:
    import jax.numpy as jnp

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
        return _transpose_jax(lambda w: _convolve_jax(x, w, plan), shape, y)
    x, y = (jnp.moveaxis(array, plan.channel, -1) for array in (x, y))
    return form(x, y, plan).reshape(shape)


def _channels_last(function: Callable[..., Array], x: Array, w: Array, plan: Plan) -> Array:
    """Apply a function of arrays whose channels are last."""
    import jax.numpy as jnp

    last = function(jnp.moveaxis(x, plan.channel, -1), w, plan._replace(channel=x.ndim - 1))
    return jnp.moveaxis(last, -1, plan.channel)


# -- convolution: the rows ------------------------------------------------------------------------


def _same_dtype(xp: Any, x: Array, y: Array) -> tuple[Array, Array]:
    dtype = xp.result_type(x, y)
    return x.astype(dtype, copy=False), y.astype(dtype, copy=False)


def _last(x: Array, plan: Plan) -> Array:
    """Return x with its channels last, in a block: what is spread out multiplies slowly."""
    return np.ascontiguousarray(np.moveaxis(x, plan.channel, -1))


def _forward(xp: Any, x: Array, w: Array, plan: Plan) -> Array:
    x, w = _same_dtype(xp, x, w)
    if xp.name == "jax":
        return _forward_jax(x, w, plan)
    return np.moveaxis(_convolve(_last(x, plan), w, plan), -1, plan.channel)


def _transposed(xp: Any, y: Array, w: Array, plan: Plan) -> Array:
    y, w = _same_dtype(xp, y, w)
    if xp.name == "jax":
        return _transposed_jax(y, w, plan)
    return np.moveaxis(_convolve_transposed(_last(y, plan), w, plan), -1, plan.channel)


def _weight_gradient(xp: Any, x: Array, y: Array, plan: Plan) -> Array:
    x, y = _same_dtype(xp, x, y)
    if xp.name == "jax":
        return _weight_gradient_jax(x, y, plan)
    return _convolve_weights(_last(x, plan), _last(y, plan), plan)


convolution = op(
    "convolution(x, w, *, plan)",
    "Convolve x with weights w; `conv` makes the plan.",
    lambda g, xp, w, plan: xp.transposed_convolution(g, w, plan=plan),
    lambda g, xp, x, plan: xp.convolution_weights(x, g, plan=plan),
    impl=_forward,
)

transposed_convolution = op(
    "transposed_convolution(y, w, *, plan)",
    "Send each element of a convolution's result back to the elements it was computed from.",
    lambda g, xp, w, plan: xp.convolution(g, w, plan=plan),
    lambda g, xp, y, plan: xp.convolution_weights(g, y, plan=plan),
    impl=_transposed,
)

convolution_weights = op(
    "convolution_weights(x, y, *, plan)",
    "Add up, for each weight of a convolution, the products of the x and y that it connects.",
    lambda g, xp, y, plan: xp.transposed_convolution(y, g, plan=plan),
    lambda g, xp, x, plan: xp.convolution(x, g, plan=plan),
    impl=_weight_gradient,
)


def _plan_axes(
    name: str, x: Shape, w: Shape, groups: Any, layout: str | None, transposed: bool
) -> tuple[Shape, int]:
    """Return the axes of space and that of channels, once shapes and groups are known to fit."""
    axes, channel = _axes(name, x, layout)
    if len(w) != len(x):
        raise _refusal(
            name,
            f"weights for x of shape {x} must have {len(x)} axes, one of kernel for each axis of "
            f"space and then two of channels, got shape {w}",
        )
    if not isinstance(groups, int | np.integer) or groups < 1 or w[-1] % groups:
        raise _refusal(
            name,
            "groups must be a positive integer that divides the last axis of the weights, of "
            f"shape {w}, got groups={groups!r}",
        )
    takes = w[-1] if transposed else w[-2] * groups
    if x[channel] != takes:
        raise _refusal(
            name,
            f"weights of shape {w} with groups={groups} take {takes} channels, but x of shape {x} "
            f"has {x[channel]}, on axis {channel}; if its channels are on another axis, say so "
            "with layout=",
        )
    return axes, channel


@_remembered
def _plan(
    x: Shape, w: Shape, stride: Any, padding: Any, dilation: Any, groups: Any, layout: str | None
) -> Plan:
    """Return the plan of a convolution of arrays of these shapes."""
    axes, channel = _plan_axes("conv", x, w, groups, layout, transposed=False)
    options = _options("conv", axes, padding, size=w[:-2], stride=stride, dilation=dilation)
    return Plan(_windows("conv", x, axes, options), int(groups), channel)


@_remembered
def _plan_transposed(
    x: Shape,
    w: Shape,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    layout: str | None,
    output_shape: Any,
    output_padding: Any,
) -> Plan:
    """Return the plan of the convolution whose transpose is to be applied to x."""
    name = "conv_transpose"
    axes, channel = _plan_axes(name, x, w, groups, layout, transposed=True)
    options = _options(name, axes, padding, size=w[:-2], stride=stride, dilation=dilation)
    counts = [x[axis] for axis in axes]
    channels = w[-2] * groups
    extra: Sequence[int | None] = [None] * len(axes)
    if output_padding is not None:
        extra = _sizes(name, "output_padding", output_padding, axes, least=0)
    space = list(map(Option.grown, options, counts, extra))
    if output_shape is not None:
        given = [int(size) for size in output_shape]
        whole = len(given) == len(x) and (given[0], given[channel]) == (x[0], channels)
        space = [given[axis] for axis in axes] if whole else given
    windows = tuple(map(Option.over, options, space))
    fits = len(space) == len(axes) and min(space) > 0
    if not fits or [window.number for window in windows] != counts:
        least = list(map(Option.least, options, counts))
        raise _refusal(
            name,
            f"x of shape {x} and weights of shape {w} with strides "
            f"{[option.stride for option in options]} give {x[0]} examples of {channels} channels "
            f"with a space of {least}, or up to stride - 1 more; they cannot give "
            f"output_shape={output_shape}, output_padding={output_padding} (space {space})",
        )
    return Plan(windows, int(groups), channel)


@public
def conv(
    x: Any,
    w: Any,
    *,
    stride: int | Sequence[int] = 1,
    padding: str | Sequence[Pair] = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    layout: str | None = None,
) -> Tensor:
    """Convolve over the axes of space, without flipping the kernel (as neural networks do).

    Args:
        x: (batch, *space, channels) with one to three axes of space, or (batch, channels, *space)
            if `layout` says so.
        w: weights (*kernel, channels / groups, filters), for either layout.
        stride: steps between windows: one for all axes of space, or one for each.
        padding: "VALID" for none, "SAME" for ceil(space / stride) windows (what is odd goes to the
            end), or a (low, high) pair for each axis of space.
        dilation: steps between the elements of a window.
        groups: in how many parts channels and filters are split; each part sees only its own.
        layout: "NWC", "NCW", "NHWC", "NCHW", "NDHWC" or "NCDHW"; channels are last if left out.

    Returns:
        (batch, *positions, filters), or with the filters on axis 1, as in `x`.

    Raises:
        ValueError: if shapes or options do not fit each other.

    >>> import headgate as hg
    >>> images, weights = hg.ones((32, 28, 28, 1)), hg.ones((3, 3, 1, 16))
    >>> hg.conv(images, weights, stride=2, padding="SAME").shape
    (32, 14, 14, 16)
    """
    x, w = as_tensor(x), as_tensor(w)
    plan = _plan(x.shape, w.shape, stride, padding, dilation, groups, layout)
    return convolution(x, w, plan=plan)  # type: ignore[no-any-return]


@public
def conv_transpose(
    x: Any,
    w: Any,
    *,
    stride: int | Sequence[int] = 1,
    padding: str | Sequence[Pair] = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    layout: str | None = None,
    output_shape: Sequence[int] | None = None,
    output_padding: int | Sequence[int] | None = None,
) -> Tensor:
    """Apply the transpose of a convolution: what `conv` does to gradients, done to values.

    Args:
        x: (batch, *space, filters), or (batch, filters, *space) if `layout` says so.
        w: weights (*kernel, channels / groups, filters): those of the convolution to transpose.
        stride: by how much the space grows: one for all of its axes, or one for each.
        padding, dilation, groups, layout: those of the convolution to transpose; see `conv`.
        output_shape: shape of the result, or of its space only: a stride of more than one leaves a
            choice. Left out, it is what Keras chooses: space * stride for "SAME" padding, else the
            least that is possible, but no less than space * stride minus the padding.
        output_padding: in place of `output_shape`, what is added to the least size, as in Keras.

    Returns:
        (batch, *space of the result, channels), or with the channels on axis 1, as in `x`.

    Raises:
        ValueError: if shapes or options do not fit each other.

    >>> import headgate as hg
    >>> codes, weights = hg.ones((8, 7, 7, 64)), hg.ones((3, 3, 32, 64))
    >>> hg.conv_transpose(codes, weights, stride=2, padding="SAME").shape
    (8, 14, 14, 32)
    """
    x, w = as_tensor(x), as_tensor(w)
    options = (stride, padding, dilation, groups, layout, output_shape, output_padding)
    plan = _plan_transposed(x.shape, w.shape, *options)
    return transposed_convolution(x, w, plan=plan)  # type: ignore[no-any-return]


# -- pooling: windows along one axis --------------------------------------------------------------


def _taps(x: Array, axis: int, window: Window) -> list[Array]:
    """Return views of x: the first elements of all windows, their second elements, and so on."""
    before = (slice(None),) * axis
    reach = window.number * window.stride
    return [x[(*before, slice(tap, tap + reach, window.stride))] for tap in range(window.size)]


def _padded(xp: Any, x: Array, axis: int, window: Window, value: Any) -> Array:
    if not any(window.pad):
        return x
    pads = [(0, 0)] * x.ndim
    pads[axis] = window.pad
    return xp.pad(x, pads, "constant", value)


def _lowest(xp: Any, dtype: Any) -> Any:
    """Return the number that is never the largest."""
    return xp.iinfo(dtype).min if xp.isdtype(dtype, "integral") else -xp.inf


def _spread(xp: Any, y: Array, shares: Iterable[Any], axis: int, window: Window) -> Array:
    """Give the elements of each window their shares of its y; the transpose of summing `_taps`."""
    if xp.name == "jax":
        placed = (_place(y * share, tap, axis, window) for tap, share in enumerate(shares))
        return functools.reduce(operator.add, placed)
    low, high = window.pad
    shape = [*y.shape]
    shape[axis] = low + window.length + high
    tiled = window.size == window.stride and window.number * window.size == shape[axis]
    x = (np.empty if tiled else np.zeros)(shape, y.dtype)
    for target, share in zip(_taps(x, axis, window), shares):
        if tiled:
            np.multiply(y, share, out=target)
        else:
            target += y * share
    return x[(slice(None),) * axis + (slice(low, low + window.length),)]


def _place(part: Array, tap: int, axis: int, window: Window) -> Array:
    """Return zeros with what element `tap` of all windows gets in its place (on JAX)."""
    from jax import lax

    start = tap - window.pad[0]
    end = start + (window.number - 1) * window.stride + 1
    edges = [(0, 0, 0)] * part.ndim
    edges[axis] = (start, window.length - end, window.stride - 1)
    return lax.pad(part, part.dtype.type(0), edges)


def _tile(xp: Any, tiles: Array, axis: int, window: Window) -> Array:
    """Join windows that follow each other without a gap to an axis (on JAX).

    `tiles` has an axis more, after the axis of windows: that of their elements. What is beyond the
    windows is zero.
    """
    from jax import lax

    low, covered = window.pad[0], window.number * window.size
    joined = tiles.reshape(*tiles.shape[:axis], covered, *tiles.shape[axis + 2 :])
    edges = [(0, 0, 0)] * joined.ndim
    edges[axis] = (-low, window.length + low - covered, 0)
    return lax.pad(joined, joined.dtype.type(0), edges)


def _firsts(xp: Any, x: Array, top: Array, axis: int, window: Window) -> Iterator[Array]:
    """Yield, for each element of a window, where it is the first one that equals the maximum."""
    taps = _taps(_padded(xp, x, axis, window, _lowest(xp, x.dtype)), axis, window)
    free = xp.ones_like(top, dtype=bool)
    for tap in taps[:-1]:
        first = free & (tap == top)
        yield first
        free = free ^ first
    yield free


def _max(xp: Any, x: Array, axis: int, window: Window) -> Array:
    taps = _taps(_padded(xp, x, axis, window, _lowest(xp, x.dtype)), axis, window)
    return functools.reduce(xp.maximum, taps)


def _max_spread(xp: Any, y: Array, x: Array, top: Array, axis: int, window: Window) -> Array:
    if xp.name == "jax" and window.size == window.stride:
        return _max_tiles(xp, y, x, top, axis, window)
    return _spread(xp, y, _firsts(xp, x, top, axis, window), axis, window)


def _max_tiles(xp: Any, y: Array, x: Array, top: Array, axis: int, window: Window) -> Array:
    """Do that on JAX, if windows follow each other: one comparison for each element of x."""
    taps = _taps(_padded(xp, x, axis, window, _lowest(xp, x.dtype)), axis, window)
    place = window.size - 1
    for number, tap in reversed(list(enumerate(taps[:-1]))):
        place = xp.where(tap == top, number, place)
    numbers = np.arange(window.size).reshape(-1, *(1,) * (y.ndim - axis - 1))
    here = xp.expand_dims(xp.broadcast_to(place, y.shape), axis + 1) == numbers
    return _tile(xp, xp.where(here, xp.expand_dims(y, axis + 1), 0), axis, window)


def _max_pick(xp: Any, y: Array, x: Array, top: Array, axis: int, window: Window) -> Array:
    taps = _taps(_padded(xp, y, axis, window, 0), axis, window)
    firsts = _firsts(xp, x, top, axis, window)
    return functools.reduce(operator.add, map(operator.mul, taps, firsts))


def _population(x: Array, axis: int, window: Window) -> Any:
    """Return how many elements of each window are not padding, shaped to go with x."""
    length, size, stride, _, (low, _), count = window
    starts = [k * stride - low for k in range(count)]
    counts = [min(start + size, length) - max(start, 0) for start in starts]
    if min(counts, default=size) == size:
        return size
    return np.array(counts, x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))


def _mean(xp: Any, x: Array, axis: int, window: Window) -> Array:
    taps = _taps(_padded(xp, x, axis, window, 0), axis, window)
    return functools.reduce(operator.add, taps) / _population(x, axis, window)


def _mean_spread(xp: Any, y: Array, axis: int, window: Window) -> Array:
    shares = y / _population(y, axis, window)
    if xp.name == "jax" and window.size == window.stride:
        return _tile(xp, xp.stack([shares] * window.size, axis + 1), axis, window)
    return _spread(xp, shares, [1] * window.size, axis, window)


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
    None,
    None,
    impl=_max_spread,
)

window_max_pick = op(
    "window_max_pick(y, x, top, *, axis, window)",
    "Take from each window the element of y where x first equals its maximum, top.",
    lambda g, xp, x, top, axis, window: xp.window_max_spread(g, x, top, axis=axis, window=window),
    None,
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


@_remembered
def _plan_pool(
    name: str, x: Shape, size: Any, stride: Any, padding: Any, layout: str | None
) -> list[tuple[int, Window]]:
    """Return the windows along each axis of space."""
    axes, _ = _axes(name, x, layout)
    stride = size if stride is None else stride
    options = _options(name, axes, padding, size=size, stride=stride, dilation=1)
    windows = _windows(name, x, axes, options)
    for window in windows:
        if max(window.pad) >= window.size:
            raise _refusal(
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
