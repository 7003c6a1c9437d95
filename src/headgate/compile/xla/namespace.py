"""JAX's namespace, made when the first of its arrays is met, and what it computes in its own way.

Most rows run on JAX's arrays as they are, or name a function that `jax.numpy` has. The others are
written for NumPy, which writes into arrays and has views of them; here are the same for programs.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from headgate.compile.xla import conv, places, random
from headgate.core.namespace import OPERATORS, Array, Namespace, implementations
from headgate.core.traced import is_traced
from headgate.ops.index import counting, in_dtype_of, take_rows, whole_numbers
from headgate.ops.rules import normal_axes
from headgate.ops.shape import Shape, checked_widths, sizes


@functools.cache
def namespace() -> Namespace:
    """Return JAX's namespace."""
    import jax

    own = {**OPERATORS, "block_gradient": jax.lax.stop_gradient}
    return Namespace("jax", jax.numpy, own, {**_OVERRIDES, **conv.OVERRIDES})


def _erf(xp: Any, x: Array) -> Array:
    from jax.scipy.special import erf

    return erf(x)


def _pad(xp: Any, x: Array, widths: Any, mode: str, value: Any) -> Array:
    options = {"constant_values": value} if mode == "constant" else {}
    return xp.array_module.pad(x, checked_widths(x, widths, mode), mode, **options)


def _index(xp: Any, x: Array, key: Any) -> Array:
    spans = places.spans(key, x.shape)
    return x[key] if spans is None else spans.picked(x)


def _take(xp: Any, x: Array, indices: Array, axis: int | None) -> Array:
    x = xp.asarray(x)
    if axis is not None or x.ndim == 1:
        found = places.runs(indices, 0 if axis is None else normal_axes(axis, x.ndim)[0], x.shape)
        if found is not None:
            return found.picked(x)
    return take_rows(xp, x, indices, axis)


def _scatter(xp: Any, updates: Array, key: Any, shape: Shape) -> Array:
    updates = xp.asarray(updates)
    spans = places.spans(key, shape)
    if spans is not None:
        return spans.put(updates)
    return xp.zeros(shape, updates.dtype).at[key].add(updates)


def _scatter_each(xp: Any, updates: Sequence[Array], keys: Sequence[Any], shape: Shape) -> Array:
    pieces, others = [], []
    for part, key in zip(map(xp.asarray, updates), keys, strict=True):
        spans = places.spans(key, shape)
        if spans is None:
            others.append(_scatter(xp, part, key, shape))
        else:
            pieces.append(spans.piece(part))
    return functools.reduce(operator.add, [*others, *places.joined(pieces, shape)])


def _index_add(xp: Any, x: Array, updates: Array, key: Any) -> Array:
    x = xp.asarray(x)
    updates, spans = in_dtype_of(xp, x, updates), places.spans(key, x.shape)
    return x.at[key].add(updates) if spans is None else spans.added(x, updates)


def _index_update(xp: Any, x: Array, updates: Array, key: Any) -> Array:
    x = xp.asarray(x)
    updates, spans = in_dtype_of(xp, x, updates), places.spans(key, x.shape)
    return x.at[key].set(updates) if spans is None else spans.updated(x, updates)


def _scatter_rows(xp: Any, updates: Array, indices: Array, axis: int | None, shape: Shape) -> Array:
    axis = 0 if axis is None else axis % len(shape)
    found = places.runs(indices, axis, shape)
    if found is not None:
        return found.put(updates, shape)
    key = (*[slice(None)] * axis, whole_numbers(indices))
    return xp.zeros(shape, updates.dtype).at[key].add(updates)


def _scatter_along_axis(xp: Any, updates: Array, indices: Array, axis: int, size: int) -> Array:
    axis %= updates.ndim
    shape = (*updates.shape[:axis], size, *updates.shape[axis + 1 :])
    key = counting(shape, updates.ndim)
    key[axis] = xp.broadcast_to(whole_numbers(indices), updates.shape)
    return xp.zeros(shape, updates.dtype).at[tuple(key)].add(updates)


def _for_units(
    xp: Any, function: Callable[[Array], list[Array]], value: Array, batch: int, size: int
) -> list[Array]:
    """Call a function once, for the cotangents of all elements of a traced array."""
    if not is_traced(value):
        return implementations["for_units"]["any"](xp, function, value, batch, size)  # type: ignore[no-any-return]
    import jax

    numpy = xp.array_module
    ones = numpy.broadcast_to(numpy.eye(size, dtype=value.dtype)[:, None], (size, batch, size))
    found: list[Array] = jax.vmap(lambda unit: list(map(numpy.asarray, function(unit))))(
        ones.reshape(size, *value.shape)
    )
    return found


_OVERRIDES: dict[str, Callable[..., Any]] = {
    "reshape": lambda xp, x, shape: xp.array_module.reshape(x, sizes(shape)),
    "permute_dims": lambda xp, x, axes: x.transpose(axes),
    "broadcast_to": lambda xp, x, shape: xp.array_module.broadcast_to(x, sizes(shape)),
    "pad": _pad,
    "take": _take,
    "repeat": places.repeat,
    "diagonal": places.diagonal,
    "erf": _erf,
    "draws": random.draws,
    "einsum": lambda xp, operands, *, subscripts: xp.array_module.einsum(subscripts, *operands),
    "index": _index,
    "inherit": lambda xp, x, other: xp.asarray(x),
    "index_add": _index_add,
    "index_update": _index_update,
    "scatter": _scatter,
    "scatter_each": _scatter_each,
    "for_units": _for_units,
    "scatter_rows": _scatter_rows,
    "scatter_along_axis": _scatter_along_axis,
}
