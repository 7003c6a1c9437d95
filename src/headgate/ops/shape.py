"""Ops that move elements about, repeat them or put arrays together, and change no number.

All of them are linear. The gradient of a rearrangement is the rearrangement back; that of an op
that shows an element more than once is the sum over its appearances.

NumPy's own functions of these names are written in Python, and on a small array they cost more than
the work. So some have a shorter way here, through the methods of an array.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate.core.checks import (
    WrongType,
    affordable,
    choice,
    per_axis,
    refused,
    whole,
    wholes,
)
from headgate.core.lift import as_tensor, shape_of
from headgate.core.namespace import Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops.rules import normal_axes

Shape = tuple[int, ...]


def sizes(shape: Any) -> Shape:
    """Return a shape, or any other number or sequence of whole numbers, as a tuple of ints."""
    if isinstance(shape, Tensor | np.ndarray):
        shape = shape.tolist()
    if isinstance(shape, Sequence):
        return tuple(map(operator.index, shape))
    return (operator.index(shape),)


# -- the same elements in another shape -----------------------------------------------------------


def _expand_dims_numpy(xp: Any, x: Array, axis: int | Sequence[int]) -> Array:
    if axis == -1:
        return np.asarray(x)[..., None]
    return np.asarray(x)[None] if axis == 0 else np.expand_dims(x, axis)


reshape = op(
    "reshape(x, *, shape, copy=None)",
    """Give an array another shape with the same number of elements; one size may be -1.

    With `copy=False` the result shares memory, or it is an error.

    >>> hg.reshape([1.0, 2.0, 3.0, 4.0], (2, -1))
    Tensor([[1., 2.],
            [3., 4.]], shape=(2, 2), dtype=float64)
    """,
    lambda g, xp, x_shape: xp.reshape(g, x_shape),
    impl_numpy=lambda xp, x, shape, copy=None: np.asarray(x).reshape(sizes(shape), copy=copy),
    keeps_shape=True,
    views=True,
)

expand_dims = op(
    "expand_dims(x, *, axis=0)",
    """Put in an axis of size 1, or several.

    >>> hg.expand_dims([1.0, 2.0], axis=1).shape
    (2, 1)
    """,
    lambda g, xp, x_shape: xp.reshape(g, x_shape),
    impl_numpy=_expand_dims_numpy,
    keeps_shape=True,
    views=True,
)

squeeze = op(
    "squeeze(x, *, axis=None)",
    """Remove axes of size 1: those given, or all.

    >>> hg.squeeze([[1.0], [2.0]], axis=1)
    Tensor([1., 2.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x_shape: xp.reshape(g, x_shape),
    impl_numpy=lambda xp, x, axis: np.asarray(x).squeeze(axis),
    keeps_shape=True,
    views=True,
)


# -- the same elements in another order -----------------------------------------------------------


def _inverse(axes: Sequence[int] | None, ndim: int) -> Shape | None:
    """Return the order of axes that undoes another one."""
    return None if axes is None else tuple(np.argsort(normal_axes(axes, ndim)).tolist())


def _shifts(whose: str, name: str, shift: Any) -> int | Shape:
    """Return a step, or one for each of some axes."""
    found = wholes(whose, name, shift)
    return found if isinstance(shift, list | tuple) else found[0]


def _negated(shift: int | Sequence[int]) -> Any:
    return [-step for step in shift] if isinstance(shift, Sequence) else -shift


permute_dims = op(
    "permute_dims(x, *, axes=None)",
    """Put the axes into another order; into the reverse one if none is given.

    >>> hg.permute_dims([[1.0, 2.0], [3.0, 4.0]], (1, 0))
    Tensor([[1., 3.],
            [2., 4.]], shape=(2, 2), dtype=float64)
    """,
    lambda g, xp, axes: xp.permute_dims(g, axes=_inverse(axes, g.ndim)),
    impl_numpy=lambda xp, x, axes: np.asarray(x).transpose(axes),
    keeps_shape=True,
    views=True,
    lists=("axes",),
)

matrix_transpose = op(
    "matrix_transpose(x)",
    """Exchange the last two axes.

    >>> hg.matrix_transpose([[1.0, 2.0], [3.0, 4.0]])
    Tensor([[1., 3.],
            [2., 4.]], shape=(2, 2), dtype=float64)
    """,
    lambda g, xp: xp.matrix_transpose(g),
    impl_numpy=lambda xp, x: np.asarray(x).swapaxes(-1, -2),
    keeps_shape=True,
    views=True,
)

moveaxis = op(
    "moveaxis(x, *, source, destination)",
    """Move axes to other places; the others keep their order.

    >>> hg.moveaxis(hg.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """,
    lambda g, xp, source, destination: xp.moveaxis(g, destination, source),
    keeps_shape=True,
    views=True,
    lists=("source", "destination"),
)

flip = op(
    "flip(x, *, axis=None)",
    """Reverse the order of elements along an axis, several, or all.

    >>> hg.flip([1.0, 2.0, 3.0])
    Tensor([3., 2., 1.], shape=(3,), dtype=float64)
    """,
    lambda g, xp, axis: xp.flip(g, axis=axis),
    keeps_shape=True,
    views=True,
    lists=("axis",),
)

roll = op(
    "roll(x, *, shift, axis=None)",
    """Shift elements along axes; what leaves at the end comes in at the beginning.

    >>> hg.roll([1.0, 2.0, 3.0], 1)
    Tensor([3., 1., 2.], shape=(3,), dtype=float64)
    """,
    lambda g, xp, shift, axis: xp.roll(g, shift=_negated(shift), axis=axis),
    keeps_shape=True,
    checks={"shift": (_shifts,)},
    lists=("shift", "axis"),
)


# -- elements that appear more than once ----------------------------------------------------------

_SMALL = 4096
"""So many elements are written out sooner than NumPy makes a view that shows them."""


def _broadcast_to_numpy(xp: Any, x: Array, shape: Any) -> Array:
    x = np.asarray(x)
    shape = sizes(shape)
    if math.prod(shape) > _SMALL or x.ndim > len(shape):
        return np.broadcast_to(x, shape)
    made = np.empty(shape, x.dtype)
    made[...] = x
    return made


def _sum_of_tiles(g: Any, xp: Any, x_shape: Shape, repetitions: Any) -> Any:
    counts = sizes(repetitions)
    ndim = max(len(counts), len(x_shape))
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - len(x_shape)) + x_shape
    tiles = tuple(itertools.chain(*zip(counts, shape, strict=True)))
    summed = xp.sum(xp.reshape(g, tiles), axis=tuple(range(0, 2 * ndim, 2)))
    return xp.reshape(summed, x_shape)


def _sum_of_repeats(g: Any, xp: Any, x_shape: Shape, repeats: Any, axis: int | None) -> Any:
    shape = (math.prod(x_shape),) if axis is None else x_shape
    axis = 0 if axis is None else axis % len(shape)
    counts = sizes(repeats)
    if len(counts) == 1:
        runs = (*shape[: axis + 1], counts[0], *shape[axis + 1 :])
        summed = xp.sum(xp.reshape(g, runs), axis=axis + 1)
    else:
        places = np.repeat(np.arange(shape[axis]), counts)
        summed = xp.scatter_rows(g, places, axis=axis, shape=shape)
    return xp.reshape(summed, x_shape)


def _repeat(xp: Any, x: Array, repeats: Any, axis: int | None) -> Array:
    counts = sizes(repeats)
    affordable("repeat", "repeats", (*shape_of(x), max(counts, default=0)))
    return xp.array_module.repeat(x, np.asarray(counts), axis=axis)


def _tile(xp: Any, x: Array, repetitions: Any) -> Array:
    affordable("tile", "repetitions", (*shape_of(x), *repetitions))
    return xp.array_module.tile(x, repetitions)


broadcast_to = op(
    "broadcast_to(x, *, shape)",
    """Repeat an array, without a copy where possible, so that it has a shape.

    >>> hg.broadcast_to([1.0, 2.0], (3, 2)).shape
    (3, 2)
    """,
    lambda g: g,
    impl_numpy=_broadcast_to_numpy,
    views=True,
)

tile = op(
    "tile(x, *, repetitions)",
    """Repeat a whole array along each axis.

    >>> hg.tile([1.0, 2.0], 2)
    Tensor([1., 2., 1., 2.], shape=(4,), dtype=float64)
    """,
    _sum_of_tiles,
    impl=_tile,
    keeps_shape=True,
    checks={"repetitions": (wholes, 0)},
    lists=("repetitions",),
)

repeat = op(
    "repeat(x, *, repeats, axis=None)",
    """Repeat each element along an axis, or of the flattened array.

    `repeats` is one number for all, or one for each.

    >>> hg.repeat([1.0, 2.0], 2)
    Tensor([1., 1., 2., 2.], shape=(4,), dtype=float64)
    """,
    _sum_of_repeats,
    impl=_repeat,
    keeps_shape=True,
    checks={"repeats": (wholes, 0)},
    lists=("repeats",),
)


# -- margins --------------------------------------------------------------------------------------

Widths = list[tuple[int, int]]


def _widths(widths: Any, ndim: int) -> Widths:
    """Return how many elements go before and after each axis."""
    if isinstance(widths, Tensor | np.ndarray):
        widths = widths.tolist()
    if not isinstance(widths, list | tuple):
        return [(_width(widths),) * 2] * ndim
    if not any(isinstance(width, list | tuple) for width in widths) and len(widths) <= 2:
        ends = [_width(width) for width in widths]
        return [(ends[0], ends[-1])] * ndim
    if len(widths) not in (1, ndim):
        words = f"a number, a pair, or what can be broadcast to a pair for each of {ndim} axes"
        raise refused("pad", "widths", words, widths)
    pairs = [_ends(pair) for pair in widths]
    return pairs * ndim if len(pairs) == 1 else pairs


def _width(width: Any) -> int:
    if type(width) is int and width >= 0:
        return width
    found = whole("pad", "widths", width)
    if found < 0:
        raise refused("pad", "widths", "no negative numbers, cut with x[...] instead", width)
    return found


def _ends(pair: Any) -> tuple[int, int]:
    if isinstance(pair, list | tuple) and len(pair) == 1:
        pair = pair[0]
    before, after = per_axis("pad", "widths", pair, 2, None)
    return _width(before), _width(after)


_MODES = ("constant", "reflect", "symmetric", "edge", "wrap")


def _pad_numpy(xp: Any, x: Array, widths: Any, mode: Any, value: Any) -> Array:
    x = np.asarray(x)
    pairs = checked_widths(x, widths, mode)
    if mode != "constant":
        return np.pad(x, pairs, mode)
    shape = tuple(
        before + size + after for size, (before, after) in zip(x.shape, pairs, strict=True)
    )
    made = np.full(shape, value, x.dtype)
    made[_inside(x.shape, pairs)] = x
    return made


def checked_widths(x: Array, widths: Any, mode: str) -> Widths:
    choice("pad", "mode", mode, _MODES)
    pairs = _widths(widths, x.ndim)
    affordable("pad", "widths", tuple(sum(pair) + size for pair, size in zip(pairs, x.shape)))
    return pairs


def _inside(shape: Shape, pairs: Widths) -> tuple[slice, ...]:
    return tuple(slice(pair[0], pair[0] + size) for size, pair in zip(shape, pairs, strict=True))


def _sum_of_margins(g: Any, xp: Any, x_shape: Shape, widths: Any, mode: Any) -> Any:
    """Return what was inside, plus what came from the margins if they show elements of `x`."""
    pairs = _widths(widths, len(x_shape))
    if mode == "constant":
        return g[_inside(x_shape, pairs)]
    for axis, (size, pair) in enumerate(zip(x_shape, pairs, strict=True)):
        if any(pair):
            shown = np.pad(np.arange(size), pair, mode)
            shape = (*g.shape[:axis], size, *g.shape[axis + 1 :])
            g = xp.scatter_rows(g, shown, axis=axis, shape=shape)
    return g


def filling(whose: str, name: str, value: Any) -> Any:
    """Return what something is to be filled with."""
    if value is None:  # NumPy would make NaN of it
        raise refused(whose, name, "a number", value, WrongType)
    return value


pad = op(
    'pad(x, *, widths, mode="constant", value=0)',
    """Add margins: `widths` is one number, a pair (before, after), or a pair per axis.

    The margins hold `value`, or with the modes "reflect", "symmetric", "edge" and "wrap" what NumPy
    puts there.

    >>> hg.pad([1.0, 2.0, 3.0], 1)
    Tensor([0., 1., 2., 3., 0.], shape=(5,), dtype=float64)
    >>> hg.pad([1.0, 2.0, 3.0], (2, 0), mode="reflect")
    Tensor([3., 2., 1., 2., 3.], shape=(5,), dtype=float64)
    """,
    _sum_of_margins,
    impl_numpy=_pad_numpy,
    checks={"value": (filling,)},
    keeps_shape=True,
    lists=("widths",),
)


# -- several arrays into one, and one into several ------------------------------------------------


def _part(g: Any, xp: Any, index: int, arrays_shapes: Sequence[Shape], axis: int | None) -> Any:
    """Return the part of a concatenation that came from one of its arrays."""
    if axis is None:
        start = sum(map(math.prod, arrays_shapes[:index]))
        part = g[start : start + math.prod(arrays_shapes[index])]
        return xp.reshape(part, arrays_shapes[index])
    start = sum(shape[axis] for shape in arrays_shapes[:index])
    length = arrays_shapes[index][axis]
    return g[(slice(None),) * (axis % g.ndim) + (slice(start, start + length),)]


def _stack_numpy(xp: Any, arrays: Sequence[Array], axis: int) -> Array:
    arrays = _strong(arrays)
    if axis:
        return np.stack(arrays, axis=axis)
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"the arrays must all have the same shape, and there are {sorted(shapes)}")
    made = np.array(arrays)  # many times as fast as np.stack
    if made.dtype.char == "O":  # bfloat16 beside a dtype that it has none in common with
        np.result_type(*arrays)
    return made


def _strong(arrays: Sequence[Array]) -> Sequence[Array]:
    """Return arrays with Python numbers among them made arrays, of the dtype of the others."""
    if all(hasattr(array, "dtype") for array in arrays):
        return arrays
    dtype = np.result_type(*{getattr(array, "dtype", array) for array in arrays})
    return [np.asarray(array, None if hasattr(array, "dtype") else dtype) for array in arrays]


def _split(xp: Any, x: Array, sizes_or_sections: Any, axis: int) -> tuple[Array, ...]:
    (axis,) = normal_axes(axis, x.ndim)
    length = x.shape[axis]
    parts = _lengths(sizes_or_sections, length)
    bounds = itertools.pairwise(itertools.accumulate(parts, initial=0))
    return tuple(x[(slice(None),) * axis + (slice(*pair),)] for pair in bounds)


def _lengths(sizes_or_sections: Any, length: int) -> list[int]:
    """Return the lengths of the parts into which an axis is split."""
    if not hasattr(sizes_or_sections, "__len__"):
        sections = operator.index(sizes_or_sections)
        if sections < 1 or length % sections:
            raise ValueError(
                f"an axis of size {length} cannot be split into {sections} equal parts"
            )
        return [length // sections] * sections
    parts = list(sizes(sizes_or_sections))
    if parts.count(-1) == 1:
        parts[parts.index(-1)] = length - sum(parts) - 1
    if sum(parts) != length or min(parts, default=0) < 0:
        raise ValueError(f"parts of sizes {parts} do not make up an axis of size {length}")
    return parts


concat = op(
    "concat([arrays], *, axis=0)",
    """Join arrays along an axis that they have; with `axis=None` they are flattened first.

    >>> hg.concat([[1.0, 2.0], [3.0]])
    Tensor([1., 2., 3.], shape=(3,), dtype=float64)
    """,
    _part,
)

stack = op(
    "stack([arrays], *, axis=0)",
    """Join arrays of the same shape along a new axis.

    >>> hg.stack([[1.0, 2.0], [3.0, 4.0]])
    Tensor([[1., 2.],
            [3., 4.]], shape=(2, 2), dtype=float64)
    """,
    lambda g, index, axis: g[(slice(None),) * (axis % g.ndim) + (index,)],
    impl_numpy=_stack_numpy,
)

unstack = op(
    "unstack(x, *, axis=0)",
    """Return the slices along an axis, as a tuple.

    >>> first, second = hg.unstack([[1.0, 2.0], [3.0, 4.0]])
    >>> second
    Tensor([3., 4.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, axis: xp.stack(list(g), axis=axis),
    outputs=True,
    views=True,
    lists=("axis",),
)

split = op(
    "split(x, *, sizes_or_sections, axis=0)",
    """Cut an array along an axis into parts of given sizes, or into so many equal parts.

    One of the sizes may be -1: what is left.

    >>> [part.shape for part in hg.split([1.0, 2.0, 3.0, 4.0, 5.0], [2, -1])]
    [(2,), (3,)]
    """,
    lambda g, xp, axis: xp.concat(list(g), axis=axis),
    impl=_split,
    outputs=True,
    views=True,
    lists=("axis",),
)


@public
def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """Return arrays broadcast against each other.

    >>> [x.shape for x in hg.broadcast_arrays([1.0, 2.0], [[1.0], [2.0], [3.0]])]
    [(3, 2), (3, 2)]
    """
    tensors = [as_tensor(array) for array in arrays]
    shape = np.broadcast_shapes(*(tensor.shape for tensor in tensors))
    return [broadcast_to(tensor, shape) for tensor in tensors]
