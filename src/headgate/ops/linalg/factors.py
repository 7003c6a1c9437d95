"""Factorisations by elimination: `cholesky` and `qr`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from headgate.core.namespace import NUMPY, Array, owner
from headgate.core.op import op, sees_missing
from headgate.core.traced import is_traced
from headgate.ops.linalg.matrices import (
    adjoint,
    as_matrices,
    by_adjoint,
    from_lower,
    hermitian,
    onto_basis,
    raw_of,
    real_part,
    to_read,
)
from headgate.record.errors import warn_undefined


def _cholesky(xp: Any, x: Array, *, upper: bool) -> Array:
    x = as_matrices(xp, x, square=True)
    x = adjoint(xp, x) if upper else x
    lower = xp.array_module.linalg.cholesky(x if xp is NUMPY else from_lower(xp, x))
    return adjoint(xp, lower) if upper else lower


@by_adjoint
def _cholesky_rule(g: Any, xp: Any, x: Any, ans: Any, upper: bool) -> Any:
    """With half(m) the lower triangle, its diagonal halved:  dl = l half(l^-1 dx l^-*). (Murray)"""
    lower, g = (adjoint(xp, ans), adjoint(xp, g)) if upper else (ans, g)
    triangle = xp.tril(adjoint(xp, lower) @ g)
    half = triangle - triangle * xp.eye(lower.shape[-1], dtype=lower.dtype) / 2
    inverse = xp.inv(lower)
    if upper:
        x = raw_of(x)
        x = adjoint(owner[type(x)], x)
    c = to_read(xp, x, hermitian(xp, adjoint(xp, inverse) @ half @ inverse))
    return adjoint(xp, c) if upper else c


cholesky = op(
    "cholesky(x, *, upper=False)",
    """Factorise positive definite matrices: `x = l @ l*` with `l` lower triangular.

    Only the lower triangle of `x` is read, with `upper` only the upper one, and the result is l*.
    The gradient of a Hermitian matrix is Hermitian; any other's is zero where nothing is read.

    >>> hg.linalg.cholesky([[4.0, 2.0], [2.0, 2.0]])
    Tensor([[2., 0.],
            [1., 1.]], shape=(2, 2), dtype=float64)
    """,
    _cholesky_rule,
    impl=_cholesky,
)


@by_adjoint
def _qr_rule(g: Any, xp: Any, ans: Any) -> Any:
    """See Walter and Lehmann; Roberts and Roberts for more columns than rows."""
    rank = min(ans[1].shape[-1], ans[0].shape[-2])
    q, g_q = onto_basis(xp, ans[0], g[0], rank)
    r, g_r = ans[1][..., :rank, :], g[1][..., :rank, :]
    if r.shape[-1] == rank:
        return _qr_tall(xp, q, r, g_q, g_r)
    # x = q [r, s]: the columns on the right depend on those on the left through q alone.
    r, s = r[..., :rank], r[..., rank:]
    g_r, g_s = g_r[..., :rank], g_r[..., rank:]
    left = _qr_tall(xp, q, r, g_q + q @ (s @ adjoint(xp, g_s)), g_r)
    return xp.concat([left, q @ g_s], axis=-1)


def _qr_tall(xp: Any, q: Any, r: Any, g_q: Any, g_r: Any) -> Any:
    inner = g_r @ adjoint(xp, r) - adjoint(xp, q) @ g_q
    upper = xp.triu(inner, k=1)
    diagonal = real_part(xp, inner) * xp.eye(q.shape[-1], dtype=r.dtype)
    whole = g_q + q @ (upper + adjoint(xp, upper) + diagonal)
    pivots = owner[type(raw_of(r))].diagonal(raw_of(r), offset=0)
    lost = (pivots == 0).any(axis=-1)
    if is_traced(lost) or lost.any():
        if not is_traced(lost):
            warn_undefined("qr", "the first columns of the matrix are not linearly independent")
        r = xp.where(lost[..., None, None], math.nan, r)
    return adjoint(xp, xp.solve(r, adjoint(xp, whole)))


qr = op(
    "qr(x, *, mode='reduced')",
    """Factorise matrices: `x = q @ r`, the columns of `q` orthonormal, `r` upper triangular.

    With mode "complete", `q` is square. The first columns of `x`, as many as `r` has rows, must be
    linearly independent for the gradient to exist; if they are not, it is NaN.

    >>> hg.linalg.qr([[3.0, 1.0], [4.0, 2.0]]).R.shape
    (2, 2)
    """,
    _qr_rule,
    impl=lambda xp, x, *, mode: _checked_mode(xp, x, mode),
    outputs=True,
)


def _checked_mode(xp: Any, x: Array, mode: str) -> Any:
    if mode not in ("reduced", "complete"):
        raise ValueError(f"mode must be 'reduced' or 'complete', got {mode!r}")
    return xp.array_module.linalg.qr(as_matrices(xp, x), mode=mode)


class PackedLU(NamedTuple):
    """What `lu` returns: both factors in one matrix, and which row of the matrix is where."""

    factors: Any
    permutation: Any


def _lu(xp: Any, x: Array) -> PackedLU:
    """Eliminate by columns, all matrices at once; a pivot of zero leaves its column as it is."""
    packed = np.array(as_matrices(xp, x))
    rows, columns = packed.shape[-2:]
    order = np.broadcast_to(np.arange(rows), packed.shape[:-1]).copy()
    for k in range(min(rows, columns)):
        pivot = k + np.argmax(np.abs(packed[..., k:, k]), axis=-1)[..., None]
        for array in (packed, order[..., None]):
            here = np.take_along_axis(array, np.full_like(pivot, k)[..., None], axis=-2)
            there = np.take_along_axis(array, pivot[..., None], axis=-2)
            np.put_along_axis(array, pivot[..., None], here, axis=-2)
            array[..., k : k + 1, :] = there
        divisor = packed[..., k, k][..., None]
        packed[..., k + 1 :, k] /= np.where(divisor == 0, 1, divisor)
        column, row = packed[..., k + 1 :, k, None], packed[..., k, None, k + 1 :]
        packed[..., k + 1 :, k + 1 :] -= column * row
    return PackedLU(packed, order)


@by_adjoint
@sees_missing
def _lu_rule(g: Any, xp: Any, ans: Any) -> Any:
    """With x[p] = l u:  l^-* (strictly lower part of l* g_l + upper part of g_u u*) u^-*."""
    packed, order = ans
    if packed.shape[-1] != packed.shape[-2]:
        raise NotImplementedError(
            f"the gradient of lu is there for square matrices; their shape is {packed.shape[-2:]}"
        )
    one = xp.eye(packed.shape[-1], dtype=packed.dtype)
    lower, upper = adjoint(xp, xp.tril(packed, k=-1) + one), adjoint(xp, xp.triu(packed))
    inner = xp.tril(lower @ xp.tril(g[0], k=-1), k=-1) + xp.triu(xp.triu(g[0]) @ upper)
    solved = xp.solve_triangle(lower, inner, lower=False, unit_diagonal=True)
    turned = xp.solve_triangle(upper.mT, solved.mT, lower=False, unit_diagonal=False)
    back = owner[type(raw_of(order))].array_module.argsort(raw_of(order), axis=-1)
    return xp.take_along_axis(turned.mT, back[..., None], axis=-2)


lu = op(
    "lu(x)",
    """Factorise matrices by elimination: `x[permutation] = l @ u`.

    Both factors come in one matrix: `l` is what is below its diagonal, with ones on it.

    >>> hg.linalg.lu([[1.0, 2.0], [4.0, 4.0]]).factors
    Tensor([[4.  , 4.  ],
            [0.25, 1.  ]], shape=(2, 2), dtype=float64)
    """,
    _lu_rule,
    impl_numpy=_lu,
    outputs=True,
)
