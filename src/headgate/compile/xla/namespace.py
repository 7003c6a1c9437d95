"""JAX's namespace, made when the first of its arrays is met, and what it computes in its own way.

Most rows run on JAX's arrays as they are, or name a function that `jax.numpy` has. The others are
written for NumPy, which writes into arrays and has views of them; here are the same for programs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headgate.compile.xla import conv, index, places, random, special
from headgate.compile.xla.dtypes import cast, typed
from headgate.core.namespace import OPERATORS, Array, Namespace, implementations
from headgate.core.traced import is_traced
from headgate.ops.linalg.contract import parsed_subscripts
from headgate.ops.linalg.factors import PackedLU
from headgate.ops.linalg.matrices import as_matrices
from headgate.ops.rules import refuse_complex
from headgate.ops.shape import checked_widths, sizes


class _Typed(Namespace):
    """A namespace whose operations have NumPy's dtypes (`headgate.compile.xla.dtypes`)."""

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if callable(found) and not isinstance(found, type):
            found = typed(name, found)
        self.__dict__[name] = found
        return found


@functools.cache
def namespace() -> Namespace:
    """Return JAX's namespace."""
    import jax

    own = {name: typed(name, function) for name, function in OPERATORS.items()}
    own["block_gradient"] = jax.lax.stop_gradient
    own["look"] = index.look
    overrides = {**_OVERRIDES, **conv.OVERRIDES, **index.OVERRIDES, **special.OVERRIDES}
    return _Typed("jax", jax.numpy, own, overrides)


def _erf(xp: Any, x: Array) -> Array:
    from jax.scipy.special import erf

    return erf(x)


def _pad(xp: Any, x: Array, widths: Any, mode: str, value: Any) -> Array:
    options = {"constant_values": value} if mode == "constant" else {}
    return xp.array_module.pad(x, checked_widths(x, widths, mode), mode, **options)


def _einsum(xp: Any, operands: Sequence[Array], *, subscripts: str) -> Array:
    parsed_subscripts(subscripts, tuple(map(np.ndim, operands)))  # which refuses what NumPy does
    return xp.array_module.einsum(subscripts, *operands)


def _matrix_rank(xp: Any, x: Array, *, rtol: Any) -> Array:
    x = as_matrices(xp, x)
    if not x.size:
        return xp.zeros(x.shape[:-2], int)
    return xp.array_module.linalg.matrix_rank(x, rtol=rtol)


def _whole(xp: Any, x: Array, y: Array) -> bool:
    return all(xp.asarray(each).dtype.kind in "iu" for each in (x, y))


def _floor_divide(xp: Any, x: Array, y: Array) -> Array:
    if not _whole(xp, x, y):
        return xp.array_module.floor_divide(x, y)
    return xp.where(y == 0, 0, xp.array_module.floor_divide(x, xp.where(y == 0, 1, y)))


def _remainder(xp: Any, x: Array, y: Array) -> Array:
    if not _whole(xp, x, y):
        return xp.array_module.remainder(x, y)
    return xp.where(y == 0, 0, xp.array_module.remainder(x, xp.where(y == 0, 1, y)))


def _astype(xp: Any, x: Array, dtype: Any) -> Array:
    return cast(xp.asarray(x), np.dtype(dtype))


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


def _expm(xp: Any, x: Array) -> Array:
    from jax.scipy.linalg import expm

    return expm(as_matrices(xp, x, square=True))


def _complex_of(xp: Any, x: Array, y: Array) -> Array:
    import jax

    for part in (x, y):
        refuse_complex(part)
    ns = xp.array_module
    parts = [np.empty(0, part.dtype) if hasattr(part, "dtype") else part for part in (x, y)]
    dtype = np.result_type(*parts, np.complex64).type(0).real.dtype
    x, y = ns.broadcast_arrays(cast(xp.asarray(x), dtype), cast(xp.asarray(y), dtype))
    return jax.lax.complex(x, y)


def _lu(xp: Any, x: Array) -> PackedLU:
    from jax.lax.linalg import lu

    packed, _, order = lu(as_matrices(xp, x))
    return PackedLU(packed, order.astype(np.int64))


def _solve_triangle(xp: Any, x: Array, y: Array, lower: bool, unit_diagonal: bool) -> Array:
    from jax.lax.linalg import triangular_solve

    x, y = as_matrices(xp, x, square=True), xp.asarray(y)
    columns = as_matrices(xp, y[:, None] if y.ndim == 1 else y)
    ns = xp.array_module
    if x.shape[-1] != columns.shape[-2]:
        return ns.matmul(x, columns)  # which says what does not fit
    batch = ns.broadcast_shapes(x.shape[:-2], columns.shape[:-2])
    solved = triangular_solve(
        ns.broadcast_to(x, (*batch, *x.shape[-2:])),
        ns.broadcast_to(columns, (*batch, *columns.shape[-2:])),
        left_side=True,
        lower=lower,
        unit_diagonal=unit_diagonal,
    )
    return solved[..., 0] if y.ndim == 1 else solved


def _repeated(xp: Any, going_on: Any, step: Any, first: Any) -> Any:
    import jax

    return jax.lax.while_loop(going_on, step, first)


_OVERRIDES: dict[str, Callable[..., Any]] = {
    "astype_inexact": _astype,
    "astype_integer": _astype,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "reshape": lambda xp, x, shape, copy=None: xp.array_module.reshape(x, sizes(shape)),
    "permute_dims": lambda xp, x, axes: x.transpose(axes),
    "broadcast_to": lambda xp, x, shape: xp.array_module.broadcast_to(x, sizes(shape)),
    "pad": _pad,
    "repeat": places.repeat,
    "diagonal": places.diagonal,
    "erf": _erf,
    "draws": random.draws,
    "einsum": _einsum,
    "matrix_rank": _matrix_rank,
    "expm": _expm,
    "complex_of": _complex_of,
    "lu": _lu,
    "solve_triangle": _solve_triangle,
    "repeated": _repeated,
    "inherit": lambda xp, x, other: xp.asarray(x),
    "for_units": _for_units,
    "relu": lambda xp, x: xp.maximum(x, xp.zeros((), x.dtype)),
    "round": lambda xp, x: xp.array_module.round(x.astype("float16") if x.dtype == bool else x),
}
