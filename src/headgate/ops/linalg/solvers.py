"""Solving, inverses, determinants, pseudo-inverses.

The gradient of `det` is its cofactors, computed without dividing by what may be zero.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from headgate.core.checks import WrongType, choice, flag, refused
from headgate.core.lift import as_tensor
from headgate.core.namespace import NUMPY, TENSORS, Array, owner
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.ops.linalg.diagonals import trace
from headgate.ops.linalg.matrices import (
    adjoint,
    as_matrices,
    by_adjoint,
    by_column,
    by_library,
    of_numbers,
    or_spoilt,
    raw_of,
    tolerance,
)
from headgate.ops.linalg.products import matmul
from headgate.ops.rules import conj
from headgate.ops.shape import matrix_transpose
from headgate.record.errors import warn_undefined


def _solve(xp: Any, x: Array, y: Array) -> Array:
    x, y = as_matrices(xp, x, square=True), xp.asarray(y)
    if y.ndim == 1:
        return xp.array_module.linalg.solve(x, as_matrices(xp, y[:, None])[:, 0])
    return xp.array_module.linalg.solve(x, as_matrices(xp, y))


# dx = A^-1 (db - dA x), hence gradients A^-T g for b and -(A^-T g) x^T for A. (Giles, 2.3.1)


def _solve_transposed(g: Any, xp: Any, x: Any, y_shape: Any) -> Any:
    """Return x^-T g as columns."""
    return xp.solve(x.mT, xp.expand_dims(g, axis=-1) if len(y_shape) == 1 else g)


def _solve_x(g: Any, xp: Any, x: Any, ans: Any, y_shape: Any) -> Any:
    solved = _solve_transposed(g, xp, x, y_shape)
    return -solved @ (xp.expand_dims(ans, axis=-1) if len(y_shape) == 1 else ans).mT


def _solve_y(g: Any, xp: Any, x: Any, y_shape: Any) -> Any:
    solved = _solve_transposed(g, xp, x, y_shape)
    return solved[..., 0] if len(y_shape) == 1 else solved


solve = op(
    "solve(x, y)",
    """Solve `x @ result = y` for square `x`; a vector `y` is one right-hand side, a matrix many.

    >>> hg.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0])
    Tensor([0.5 , 0.25], shape=(2,), dtype=float64)
    """,
    _solve_x,
    _solve_y,
    impl=_solve,
)


def _triangle(xp: Any, x: Any, lower: bool, unit_diagonal: bool) -> Any:
    """Return what is read of x: a triangle, with ones on its diagonal if that is not."""
    strict = int(unit_diagonal)
    x = xp.tril(x, k=-strict) if lower else xp.triu(x, k=strict)
    return x + xp.eye(x.shape[-1], dtype=x.dtype) if unit_diagonal else x


def _triangular(xp: Any, x: Array, y: Array, lower: bool, unit_diagonal: bool) -> Array:
    x, y = as_matrices(xp, x, square=True), xp.asarray(y)
    return _solve(xp, _triangle(xp, x, lower, unit_diagonal), y)


def _triangular_transposed(
    g: Any, xp: Any, x: Any, y_shape: Any, lower: bool, unit_diagonal: bool
) -> Any:
    """Return x^-T g as columns."""
    columns = xp.expand_dims(g, axis=-1) if len(y_shape) == 1 else g
    return xp.solve_triangle(x.mT, columns, lower=not lower, unit_diagonal=unit_diagonal)


def _triangular_x(
    g: Any, xp: Any, x: Any, ans: Any, y_shape: Any, lower: bool, unit_diagonal: bool
) -> Any:
    solved = _triangular_transposed(g, xp, x, y_shape, lower, unit_diagonal)
    c = -solved @ (xp.expand_dims(ans, axis=-1) if len(y_shape) == 1 else ans).mT
    strict = int(unit_diagonal)
    return xp.tril(c, k=-strict) if lower else xp.triu(c, k=strict)


def _triangular_y(g: Any, xp: Any, x: Any, y_shape: Any, lower: bool, unit_diagonal: bool) -> Any:
    solved = _triangular_transposed(g, xp, x, y_shape, lower, unit_diagonal)
    return solved[..., 0] if len(y_shape) == 1 else solved


solve_triangle = op(
    "solve_triangle(x, y, *, lower, unit_diagonal)",
    "Solve `x @ result = y` for triangular `x`; nothing else of `x` is read.",
    _triangular_x,
    _triangular_y,
    impl=_triangular,
)


@public
def solve_triangular(
    x: Any, y: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False
) -> Tensor:
    """Solve `x @ result = y` for triangular `x`, of which the other half is not read.

    With `trans` 1 or "T" the matrix is transposed, with 2 or "C" conjugated as well. With
    `unit_diagonal` its diagonal counts as ones.

    >>> hg.linalg.solve_triangular([[2.0, 9.0], [1.0, 4.0]], [2.0, 5.0], lower=True)
    Tensor([1., 1.], shape=(2,), dtype=float64)
    """
    trans = choice("solve_triangular", "trans", trans, (0, 1, 2, "N", "T", "C"))
    lower = flag("solve_triangular", "lower", lower)
    unit_diagonal = flag("solve_triangular", "unit_diagonal", unit_diagonal)
    if trans not in (0, "N"):
        x = matrix_transpose(as_tensor(x))
        x, lower = (x if trans in (1, "T") else conj(TENSORS, x)), not lower
    return solve_triangle(x, y, lower=lower, unit_diagonal=unit_diagonal)


@public
def cho_solve(factor: Any, y: Any) -> Tensor:
    """Solve `x @ result = y`, given the factor of `x` by `cholesky` and whether it is lower.

    >>> lower = hg.linalg.cholesky([[4.0, 2.0], [2.0, 2.0]])
    >>> hg.linalg.cho_solve((lower, True), [6.0, 4.0])
    Tensor([1., 1.], shape=(2,), dtype=float64)
    """
    if not isinstance(factor, tuple | list) or len(factor) != 2:
        raise refused("cho_solve", "factor", "a pair: cholesky(x), True", factor, WrongType)
    x, lower = factor
    ways = (0, "C") if flag("cho_solve", "lower", lower) else ("C", 0)
    for trans in ways:
        y = solve_triangular(x, y, trans=trans, lower=lower)
    return as_tensor(y)


inv = op(
    "inv(x)",
    """Invert square matrices.

    >>> hg.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]], shape=(2, 2), dtype=float64)
    """,
    # dy = -y dx y (Giles, 2.2.3)
    lambda g, ans: -ans.mT @ g @ ans.mT,
    impl=by_library("inv"),
)


def _cofactors(xp: Any, x: Array) -> Array:
    """Compute cofactors without a division: products of all singular values but one."""
    u, s, vh = or_spoilt(xp, xp.array_module.linalg.svd, x)
    size = s.shape[-1]
    others = xp.where(xp.eye(size, dtype=bool), 1, by_column(xp, s))
    products = xp.prod(others, axis=-1).astype(x.dtype)
    unitary = xp.array_module.linalg.det(u) * xp.array_module.linalg.det(vh)
    return unitary[..., None, None] * ((conj(xp, u) * by_column(xp, products)) @ conj(xp, vh))


_SMALL, _MOST = 1e-3, 8
"""Singular values below the first, beside the largest, are not divided by, if they are no more than
the second; if they are, derivatives of `det` of that order and below are zero."""


def _smooth_cofactors(x: Tensor) -> Tensor:
    """Compute cofactors by ops that have derivatives at singular matrices too.

    With the unitary u, v of the matrix at hand taken as constants, t = u* x v is a smooth function
    of x, and diagonal here. Split into large (a) and small (b) singular values,
    det t = det(t_aa) det(s) with s = t_bb - t_ba t_aa^-1 t_ab, which is about zero. Its determinant
    is a polynomial, e_k(s) for k small ones, and with m_0 = 1, e_j = trace(s m_{j-1}) / j and
    m_j = e_j - s m_{j-1} (Faddeev and LeVerrier), d e_k = trace(m_{k-1} ds). So nothing small is
    divided by. The blocks have the size of the whole, as masks say which elements are theirs.
    """
    xp = TENSORS
    home = owner[type(x.value)]
    ns = home.array_module
    at, _ = of_numbers(home, home.block_gradient(x.value))
    u, s, vh = ns.linalg.svd(at)
    size = s.shape[-1]
    scale = s[..., :1]
    zero = s <= size * ns.finfo(s.dtype).eps * scale
    last = ns.arange(size) >= size - _MOST
    small = (s <= _SMALL * scale) & last
    good = ~(small | zero)
    count = ns.where(ns.any(zero & ~last, axis=-1), -1, ns.sum(small, axis=-1))
    steps = min(size, _MOST) if is_traced(count) else int(ns.max(count, initial=0))
    u_adjoint, v = adjoint(home, u), adjoint(home, vh)

    def block(t: Any, rows: Any, columns: Any) -> Any:
        return t * (rows[..., :, None] & columns[..., None, :]).astype(s.dtype)

    one = ns.eye(size, dtype=at.dtype)
    t = matmul(matmul(u_adjoint, x), v)
    t_aa = block(t, good, good) + one * (~good)[..., None, :].astype(s.dtype)
    inverse = block(xp.inv(t_aa), good, good)
    core: Any = inverse * (count == 0)[..., None, None].astype(s.dtype)
    if steps:
        t_ba, t_ab = block(t, small, good), block(t, good, small)
        schur = block(t, small, small) - t_ba @ inverse @ t_ab
        kept = one * small[..., None, :].astype(s.dtype)
        left, right = kept - t_ba @ inverse, kept - inverse @ t_ab
        m: Any = one
        for k in range(1, steps + 1):
            mine = (count == k)[..., None, None].astype(s.dtype)
            product = schur @ m
            e = (trace(product) / k)[..., None, None]
            core = core + mine * (e * inverse + right @ m @ left)
            m = e * one - product
    unitary = (ns.linalg.det(u) * ns.linalg.det(vh))[..., None, None]
    c: Tensor = (v @ core @ u_adjoint).mT * xp.det(t_aa)[..., None, None] * unitary
    return c


def _det_rule(g: Any, xp: Any, x: Any) -> Any:
    return g[..., None, None] * (_smooth_cofactors(x) if xp is TENSORS else _cofactors(xp, x))


det = op(
    "det(x)",
    """Compute the determinants of square matrices.

    The gradient is that of a polynomial: it exists at singular matrices as well, to any order.

    >>> hg.linalg.det([[2.0, 0.0], [0.0, 4.0]])
    Tensor(8., shape=(), dtype=float64)
    """,
    _det_rule,
    impl=by_library("det"),
)


def _slogdet(xp: Any, x: Array) -> Any:
    ans = by_library("slogdet")(xp, x)
    lost = ans[1] != ans[1]
    if xp is NUMPY and not lost.any():
        return ans
    return type(ans)(xp.where(lost, math.nan, ans[0]).astype(ans[0].dtype), ans[1])


def _slogdet_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    """With t = trace(x^-1 dx):  d log|det| = Re t,  d sign = i sign Im t (zero if real)."""
    g_sign, g_log = g
    if x.dtype.kind == "c":
        g_log = g_log + xp.imag(g_sign * ans[0]) * 1j
    sign, logarithm = map(raw_of, ans)
    lost = (sign == 0) | (logarithm != logarithm)
    if is_traced(lost) or lost.any():
        if not is_traced(lost) and (lost & (raw_of(g_log) != 0)).any():
            warn_undefined("slogdet", "the matrix is singular, or has NaN in it")
        g_log = xp.where(lost, xp.where(g_log == 0, 0, math.nan), g_log)
        x = xp.where(lost[..., None, None], xp.eye(x.shape[-1], dtype=x.dtype), x)
    return g_log[..., None, None] * xp.inv(x).mT


slogdet = op(
    "slogdet(x)",
    """Compute the signs (complex: the phases) of determinants, and the logarithms of their sizes.

    At a singular matrix the logarithm is minus infinity and its gradient NaN.

    >>> hg.linalg.slogdet([[0.0, 1.0], [1.0, 0.0]]).sign
    Tensor(-1., shape=(), dtype=float64)
    """,
    _slogdet_rule,
    impl=_slogdet,
    outputs=True,
)


def _pinv(xp: Any, x: Array, *, rtol: Any) -> Array:
    pinv = partial(xp.array_module.linalg.pinv, rtol=rtol)
    return or_spoilt(xp, pinv, as_matrices(xp, x))


@by_adjoint
def _pinv_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    """With p = x^+:  dp = -p dx p + p p* dx* (1 - x p) + (1 - p x) dx* p* p. (Golub and Pereyra)"""
    p, p_adjoint, g_adjoint = ans, adjoint(xp, ans), adjoint(xp, g)
    left = g_adjoint @ p @ p_adjoint
    right = p_adjoint @ p @ g_adjoint
    return -p_adjoint @ g @ p_adjoint + left - x @ (p @ left) + right - (right @ p) @ x


pinv = op(
    "pinv(x, *, rtol=None)",
    """Compute Moore-Penrose pseudo-inverses.

    Singular values below `rtol` times the largest count as zero (default: the larger size times the
    dtype's epsilon). The gradient is that among matrices of the same rank.

    >>> hg.linalg.pinv([[2.0, 0.0], [0.0, 0.0]])
    Tensor([[0.5, 0. ],
            [0. , 0. ]], shape=(2, 2), dtype=float64)
    """,
    _pinv_rule,
    impl=_pinv,
    checks={"rtol": (tolerance,)},
)
