"""Norms of vectors and of matrices, and the rank."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headgate.core.lift import as_tensor
from headgate.core.namespace import Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops.elementwise import abs as magnitude
from headgate.ops.linalg.matrices import as_matrices, reciprocal, tolerance
from headgate.ops.linalg.spectra import svdvals
from headgate.ops.reduce import keep
from headgate.ops.reduce import max as largest
from headgate.ops.reduce import min as smallest
from headgate.ops.reduce import sum as total
from headgate.ops.rules import by_float32, normal_axes, scaled
from headgate.ops.shape import expand_dims, permute_dims, reshape


@by_float32
def _vector_norm(xp: Any, x: Array, *, axis: Any, keepdims: bool, ord: float) -> Array:
    size = xp.abs(xp.asarray(x))
    if size.dtype.kind != "f":
        size = size * 1.0
    if ord == math.inf:
        return xp.max(size, axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return xp.min(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return xp.sum((size != 0).astype(size.dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return xp.sum(size, axis=axis, keepdims=keepdims)
    if ord == 2:
        return xp.sqrt(xp.sum(size * size, axis=axis, keepdims=keepdims))
    return xp.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def _direction(xp: Any, x: Any) -> Any:
    """Return x / |x|, and 0 where x is 0."""
    return xp.sign(x) if x.dtype.kind != "c" else x * reciprocal(xp, xp.abs(x))


def _vector_norm_rule(
    g: Any, xp: Any, x: Any, ans: Any, axis: Any, keepdims: bool, ord: float
) -> Any:
    """At zero the result is NaN, as in TensorFlow, unless the norm is a sum or a maximum."""
    g = keep(g, x.shape, axis, keepdims)
    ans = keep(ans, x.shape, axis, keepdims)
    if x.dtype.kind == "c":
        x = xp.conj(x)
    if ord == 0:
        return xp.zeros_like(x) * g
    if ord == 2:
        return scaled(g, x / ans)
    if ord == 1:
        return g * _direction(xp, x)
    if abs(ord) == math.inf:
        attained = xp.astype(xp.abs(x) == ans, ans.dtype)
        share = attained / xp.sum(attained, axis=axis, keepdims=True)
        return g * share * _direction(xp, x)
    return scaled(g, _direction(xp, x) * (xp.abs(x) / ans) ** (ord - 1))


vector_norm = op(
    "vector_norm(x, *, axis=None, keepdims=False, ord=2)",
    """Compute vector norms: the root of order `ord` of the sum of |x| to that power.

    `ord` may be any number: 1, 2, `math.inf` (the largest |x|), `-math.inf` (the smallest), 0 (how
    many are not zero). `axis` may be several; all of them if None.

    >>> hg.linalg.vector_norm([3.0, 4.0])
    Tensor(5., shape=(), dtype=float64)
    """,
    _vector_norm_rule,
    impl=_vector_norm,
    lists=("axis",),
)


@public
def matrix_norm(x: Any, *, keepdims: bool = False, ord: int | float | str = "fro") -> Tensor:
    """Compute norms of matrices.

    `ord` is "fro" (root of the sum of squares), "nuc" (sum of singular values), 2 and -2 (largest
    and smallest singular value), 1 and -1 (largest and smallest sum of a column's |x|), inf and
    -inf (the same for rows).

    >>> import headgate as hg
    >>> hg.linalg.matrix_norm([[3.0, 0.0], [0.0, 4.0]], ord=2)
    Tensor(4., shape=(), dtype=float64)
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ValueError(f"matrix_norm: x must be matrices, got shape {x.shape}")
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ValueError(f"matrix_norm: ord must be 'fro', 'nuc', ±1, ±2 or ±inf, got {ord!r}")
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
        extreme = total if ord == "nuc" else largest if ord == 2 else smallest
        result = extreme(values, axis=-1)
    else:
        sums = total(magnitude(x), axis=-2 if ord in (1, -1) else -1)
        result = (largest if ord > 0 else smallest)(sums, axis=-1)  # type: ignore[operator]
    return expand_dims(expand_dims(result, axis=-1), axis=-1) if keepdims else result


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Compute a norm of vectors or of matrices, as `numpy.linalg.norm` does.

    An integer `axis` has vectors, a pair of them matrices. Without `axis`, all of `x` is one vector
    if `ord` is None too, and else `x` must be one vector or one matrix.

    >>> import headgate as hg
    >>> hg.linalg.norm([[1.0, 2.0], [2.0, 4.0]])
    Tensor(5., shape=(), dtype=float64)
    """
    x = as_tensor(x)
    if axis is None and ord is not None:
        if x.ndim not in (1, 2):
            raise ValueError(f"norm: with ord={ord!r} x of shape {x.shape} needs an axis")
        axis = tuple(range(x.ndim))
    if ord is None or isinstance(axis, int) or len(axis) == 1:
        return vector_norm(x, axis=axis, keepdims=keepdims, ord=2 if ord is None else ord)
    axes = normal_axes(axis, x.ndim)
    if len(axes) != 2:
        raise ValueError(f"norm: axis must be one number or two, got {axis!r}")
    rest = tuple(k for k in range(x.ndim) if k not in axes)
    result = matrix_norm(permute_dims(x, (*rest, *axes)), ord=ord)
    return reshape(result, _kept(x.shape, axes)) if keepdims else result


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if k in axes else size for k, size in enumerate(shape))


def _matrix_rank(xp: Any, x: Array, *, rtol: Any) -> Array:
    x = as_matrices(xp, x)
    if not x.size:
        return xp.zeros(x.shape[:-2], np.int64)
    return xp.array_module.linalg.matrix_rank(x, rtol=rtol)


matrix_rank = op(
    "matrix_rank(x, *, rtol=None)",
    """Count the singular values of matrices above `rtol` times the largest; it has no gradient.

    >>> hg.linalg.matrix_rank([[1.0, 1.0], [1.0, 1.0]])
    Tensor(1, shape=(), dtype=int64)
    """,
    None,
    impl=_matrix_rank,
    checks={"rtol": (tolerance,)},
)
