"""Eigenvalues and singular values, and their vectors.

The values alone have rows of their own, whose gradients are rows again (`svdvals_slope`,
`eigvalsh_slope`): the weighted sum of projections that they are stays defined where values are
equal. What the vectors ask for there is in `headgate.ops.linalg.ties`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from headgate.core.namespace import NUMPY, Array
from headgate.core.op import op, sees_missing
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.ops.linalg.matrices import (
    adjoint,
    as_matrices,
    by_adjoint,
    by_column,
    diagonal_matrix,
    from_lower,
    hermitian,
    of_numbers,
    onto_basis,
    or_spoilt,
    raw_of,
    real_part,
    spoilt,
    to_read,
)
from headgate.ops.linalg.ties import (
    Singular,
    differences,
    is_fixed,
    lengths_of,
    quotient,
    rounding,
    touched,
    weighed,
)
from headgate.ops.rules import conj
from headgate.record.errors import warn_undefined


@by_adjoint
@sees_missing
def _svd_rule(g: Any, xp: Any, ans: Any) -> Any:
    """See Townsend; for complex values Wan and Zhang.

    With p and q the parts m - m* of u* g_u and of v* g_v, the gradient is, in the bases u and v,
    (p + q) / (s[j] - s[i]) / 2 + (p - q) / (s[j] + s[i]) / 2 + diag(g_s). On the diagonal, p - q is
    the one phase of u and v that x fixes, that of u v*. What of g_u lies outside of u's span adds
    to that.
    """
    u, s, vh = ans
    g_u, g_s, g_vh = g
    rank = s.shape[-1]
    if g_u is None and g_vh is None:
        return (u[..., :rank] * by_column(xp, g_s)) @ vh[..., :rank, :]
    g_u = xp.zeros_like(u) if g_u is None else g_u
    g_vh = xp.zeros_like(vh) if g_vh is None else g_vh
    u, g_u = onto_basis(xp, u, g_u, rank)
    v, g_v = onto_basis(xp, adjoint(xp, vh), adjoint(xp, g_vh), rank)
    u_adjoint, v_adjoint = adjoint(xp, u), adjoint(xp, v)
    in_u, in_v = u_adjoint @ g_u, v_adjoint @ g_v
    p, q = in_u - adjoint(xp, in_u), in_v - adjoint(xp, in_v)
    lengths = lengths_of(raw_of(g_u)), lengths_of(raw_of(g_v))
    valued = raw_of(s) != raw_of(s) if g_s is None else raw_of(g_s) != 0
    singular = Singular(xp, "svd", s, max(u.shape[-2], v.shape[-2]), sum(lengths), valued)
    inner = (singular.by_differences(p + q) + singular.by_sums(p - q)) / 2
    if g_s is not None:
        inner = inner + diagonal_matrix(xp, g_s)
    c = u @ inner @ v_adjoint
    if u.shape[-2] > rank:
        c = c + singular.by_values(g_u - u @ in_u, lengths[0]) @ v_adjoint
    if v.shape[-2] > rank:
        c = c + u @ adjoint(xp, singular.by_values(g_v - v @ in_v, lengths[1]))
    return c


def _svd(xp: Any, x: Array, *, full_matrices: bool) -> Any:
    svd = partial(xp.array_module.linalg.svd, full_matrices=full_matrices)
    return or_spoilt(xp, svd, as_matrices(xp, x))


svd = op(
    "svd(x, *, full_matrices=True)",
    """Compute singular value decompositions: `x = u @ diag(s) @ vh`, `s` in descending order.

    Without `full_matrices`, `u` and `vh` have as many columns, and rows, as there are singular
    values. Where singular values are equal, or zero, the gradient of what uses their vectors is NaN
    (see the head of `headgate.ops.linalg.ties`).

    >>> hg.linalg.svd([[3.0, 0.0], [0.0, 4.0]]).S
    Tensor([4., 3.], shape=(2,), dtype=float64)
    """,
    _svd_rule,
    impl=_svd,
    outputs=True,
)


def _svdvals(xp: Any, x: Array) -> Array:
    return or_spoilt(xp, xp.array_module.linalg.svdvals, as_matrices(xp, x))


@by_adjoint
def _svdvals_rule(g: Any, xp: Any, x: Any) -> Any:
    return xp.svdvals_slope(x, g, fixed=is_fixed(g))


svdvals = op(
    "svdvals(x)",
    """Compute the singular values of matrices, in descending order.

    Where some are equal, functions that treat them alike have a gradient; their second derivative
    is NaN unless they are linear.

    >>> hg.linalg.svdvals([[3.0, 0.0], [0.0, 4.0]])
    Tensor([4., 3.], shape=(2,), dtype=float64)
    """,
    _svdvals_rule,
    impl=_svdvals,
)


def _svdvals_slope(xp: Any, x: Array, weights: Array, *, fixed: bool) -> Array:
    u, _, vh = _svd(xp, x, full_matrices=False)
    return (u * by_column(xp, weights)) @ vh


@by_adjoint
def _svdvals_slope_x(g: Any, xp: Any, x: Any, weights: Any, fixed: bool) -> Any:
    """As for `svd`, with k = u* g v in place of the cotangents: g_u = g v w, g_v = g* u w."""
    u, s, vh = xp.svd(x, full_matrices=False)
    v, u_adjoint = adjoint(xp, vh), adjoint(xp, u)
    k = u_adjoint @ g @ v
    values = raw_of(s)
    near = rounding(values, max(x.shape[-2:]))[..., None]
    whole = k + adjoint(xp, k)
    numerator, noise, used = weighed(xp, whole, weights, -1, fixed)
    apart = ~np.eye(s.shape[-1], dtype=bool)
    gaps = differences(xp, s)
    inner = quotient(xp, "svdvals", s, numerator, gaps, near, noise, used & apart)
    numerator, noise, used = weighed(xp, k - adjoint(xp, k), weights, 1, fixed)
    sums = xp.expand_dims(s, axis=-2) + xp.expand_dims(s, axis=-1)
    inner = (inner + quotient(xp, "svdvals", s, numerator, sums, near, noise, used)) / 2
    c = u @ inner @ vh
    for outside, is_u in (
        (g @ v - u @ k, True),
        (adjoint(xp, g) @ u - v @ adjoint(xp, k), False),
    ):
        if (u if is_u else v).shape[-2] > s.shape[-1]:
            size = lengths_of(raw_of(outside))[..., None, :]
            part = quotient(
                xp,
                "svdvals",
                s,
                outside * by_column(xp, weights),
                by_column(xp, s),
                near,
                0 * size,
                size != 0,
                size * abs(raw_of(weights))[..., None, :],
            )
            c = c + (part @ vh if is_u else u @ adjoint(xp, part))
    return c


@by_adjoint
def _svdvals_slope_weights(g: Any, xp: Any, x: Any) -> Any:
    u, _, vh = xp.svd(x, full_matrices=False)
    return xp.sum(real_part(xp, conj(xp, u) * (g @ adjoint(xp, vh))), axis=-2)


svdvals_slope = op(
    "svdvals_slope(x, weights, *, fixed=False)",
    """Compute `u @ diag(weights) @ vh` of singular value decompositions: the gradient of `svdvals`.

    `fixed` says that the weights do not depend on `x`.

    >>> from headgate.ops.linalg.spectra import svdvals_slope
    >>> svdvals_slope([[3.0, 0.0], [0.0, 4.0]], [1.0, 0.0])
    Tensor([[0., 0.],
            [0., 1.]], shape=(2, 2), dtype=float64)
    """,
    _svdvals_slope_x,
    _svdvals_slope_weights,
    impl=_svdvals_slope,
)


def _eigh(xp: Any, x: Array) -> Any:
    return _of_hermitian(xp, xp.array_module.linalg.eigh, x)


def _of_hermitian(xp: Any, compute: Callable[[Any], Any], x: Array) -> Any:
    """Compute with the lower triangles of matrices; NumPy and JAX read no more than these."""
    x = as_matrices(xp, x, square=True)
    if xp is NUMPY and np.isfinite(x).all():
        return compute(x)
    x, nothing = of_numbers(xp, from_lower(xp, x))
    return spoilt(compute(x), nothing)


@by_adjoint
@sees_missing
def _eigh_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    """With f[i, j] = 1 / (w[j] - w[i]), in the basis v:  diag(g_w) + f (v* g_v). (Giles, 3.1)"""
    w, v = ans
    g_w, g_v = g
    v_adjoint = adjoint(xp, v)
    if g_v is None:
        return to_read(xp, x, (v * by_column(xp, g_w)) @ v_adjoint)
    turned = v_adjoint @ g_v
    skew = (turned - adjoint(xp, turned)) / 2  # f times this is Hermitian
    values, lengths = raw_of(w), lengths_of(raw_of(g_v))
    near = rounding(values, w.shape[-1])[..., None]
    precision = w.shape[-1] * np.finfo(values.dtype).eps
    noise = precision * (lengths[..., :, None] + lengths[..., None, :])
    valued = values != values if g_w is None else raw_of(g_w) != 0
    used = touched(values, (lengths != 0, valued))
    inner = quotient(xp, "eigh", w, skew, differences(xp, w), near, noise, used)
    if g_w is not None:
        inner = inner + diagonal_matrix(xp, g_w)
    return to_read(xp, x, v @ inner @ v_adjoint)


eigh = op(
    "eigh(x)",
    """Compute eigenvalues, in ascending order, and eigenvectors of Hermitian matrices.

    Only the lower triangle of `x` is read. The gradient of a Hermitian matrix is Hermitian; any
    other's is zero above the diagonal. Where eigenvalues are equal, the gradient of what uses their
    vectors is NaN, with a warning; that of functions of the values that treat equal ones alike is
    right.

    >>> hg.linalg.eigh([[2.0, 1.0], [1.0, 2.0]]).eigenvalues
    Tensor([1., 3.], shape=(2,), dtype=float64)
    """,
    _eigh_rule,
    impl=_eigh,
    outputs=True,
)


@by_adjoint
def _eigvalsh_rule(g: Any, xp: Any, x: Any) -> Any:
    return to_read(xp, x, xp.eigvalsh_slope(x, g, fixed=is_fixed(g)))


eigvalsh = op(
    "eigvalsh(x)",
    """Compute the eigenvalues of Hermitian matrices, in ascending order.

    Only the lower triangle of `x` is read. The gradient of a Hermitian matrix is Hermitian; any
    other's is zero above the diagonal. Where eigenvalues are equal, functions that treat them alike
    have a gradient; their second derivative is NaN unless they are linear.

    >>> hg.linalg.eigvalsh([[2.0, 1.0], [1.0, 2.0]])
    Tensor([1., 3.], shape=(2,), dtype=float64)
    """,
    _eigvalsh_rule,
    impl=lambda xp, x: _of_hermitian(xp, xp.array_module.linalg.eigvalsh, x),
)


def _eigvalsh_slope(xp: Any, x: Array, weights: Array, *, fixed: bool) -> Array:
    _, v = _eigh(xp, x)
    return (v * by_column(xp, weights)) @ adjoint(xp, v)


@by_adjoint
def _eigvalsh_slope_x(g: Any, xp: Any, x: Any, weights: Any, fixed: bool) -> Any:
    """With k = v* g v, in the basis v:  k[i, j] (weights[j] - weights[i]) / (w[j] - w[i])."""
    w, v = xp.eigh(x)
    v_adjoint = adjoint(xp, v)
    k = hermitian(xp, v_adjoint @ g @ v)
    numerator, noise, used = weighed(xp, k, weights, -1, fixed)
    used = used & ~np.eye(w.shape[-1], dtype=bool)
    near = rounding(raw_of(w), w.shape[-1])[..., None]
    gaps = differences(xp, w)
    inner = quotient(xp, "eigvalsh", w, numerator, gaps, near, noise, used)
    return to_read(xp, x, v @ inner @ v_adjoint)


@by_adjoint
def _eigvalsh_slope_weights(g: Any, xp: Any, x: Any) -> Any:
    _, v = xp.eigh(x)
    return xp.sum(real_part(xp, conj(xp, v) * (g @ v)), axis=-2)


eigvalsh_slope = op(
    "eigvalsh_slope(x, weights, *, fixed=False)",
    """Compute `v @ diag(weights) @ v*` with eigenvectors v: what `eigvalsh` has for a gradient.

    `fixed` says that the weights do not depend on `x`.

    >>> from headgate.ops.linalg.spectra import eigvalsh_slope
    >>> eigvalsh_slope([[3.0, 0.0], [0.0, 4.0]], [1.0, 0.0])
    Tensor([[1., 0.],
            [0., 0.]], shape=(2, 2), dtype=float64)
    """,
    _eigvalsh_slope_x,
    _eigvalsh_slope_weights,
    impl=_eigvalsh_slope,
)


class Eig(NamedTuple):
    """What `eig` returns."""

    eigenvalues: Any
    eigenvectors: Any


def _eig(xp: Any, x: Array) -> Eig:
    """Compute complex eigenvalues, of real matrices too; NumPy has real ones if all are."""
    x = as_matrices(xp, x, square=True)
    x = x.astype(np.result_type(x.dtype, np.complex64))
    return Eig(*or_spoilt(xp, xp.array_module.linalg.eig, x))


@by_adjoint
@sees_missing
def _eig_rule(g: Any, xp: Any, ans: Any) -> Any:
    """In the basis v:  diag(g_w) + (v* g_v - v* v Re diag(v* g_v)) / conj(w[j] - w[i]).

    The subtrahend keeps each vector at length 1. (Boeddeker, Hanebrink, Drude, Heymann, Haeb-Umbach
    2017, "On the computation of complex-valued gradients with application to beamforming")
    """
    w, v = ans
    g_w, g_v = g
    v_adjoint = adjoint(xp, v)
    inner = None if g_w is None else diagonal_matrix(xp, g_w)
    if g_v is not None:
        turned = v_adjoint @ g_v
        own = xp.real(xp.diagonal(turned, offset=0))
        turned = turned - (v_adjoint @ v) * by_column(xp, own)
        gaps = xp.conj(differences(xp, w))
        apart = ~np.eye(w.shape[-1], dtype=bool)
        equal = (raw_of(gaps) == 0) & apart & (raw_of(turned) != 0)
        if not is_traced(equal) and equal.any():
            warn_undefined("eig", "two eigenvalues are equal, and their vectors are used")
        quotients = xp.where(apart & ~equal, turned / xp.where(raw_of(gaps) == 0, 1, gaps), 0)
        quotients = xp.where(equal, math.nan, quotients)
        inner = quotients if inner is None else inner + quotients
    return xp.solve(v_adjoint, inner @ v_adjoint)


eig = op(
    "eig(x)",
    """Compute eigenvalues and eigenvectors, columns of length 1, of any square matrices; complex.

    A vector is known up to its phase, so only what does not depend on that has a gradient by it.
    It is NaN, with a warning, where eigenvalues are equal and their vectors are used; compute
    functions of a matrix by `expm`, `sqrtm`, `logm` or `funm`. Use `eigh` if x is Hermitian.

    >>> hg.linalg.eig([[0.0, 1.0], [0.0, 2.0]]).eigenvalues
    Tensor([0.+0.j, 2.+0.j], shape=(2,), dtype=complex128)
    """,
    _eig_rule,
    impl=_eig,
    outputs=True,
)


def eigvals(x: Any) -> Tensor:
    """Compute the eigenvalues of square matrices, complex ones.

    >>> hg.linalg.eigvals([[0.0, 1.0], [0.0, 2.0]])
    Tensor([0.+0.j, 2.+0.j], shape=(2,), dtype=complex128)
    """
    found: Tensor = eig(x)[0]
    return found
