"""What rows about matrices share: conjugates, triangles, what LAPACK is given and what it gives.

`cholesky`, `eigh` and `eigvalsh` read the lower triangle of their argument and take the rest from
there, as LAPACK does. That is the function that is differentiated: of a matrix that is not
Hermitian the gradient is zero above the diagonal, and below it is what a change of both elements
makes. A Hermitian matrix is taken to change as one. Its gradient is Hermitian, each element having
half of that, so that a step along it stays among these matrices; JAX and PyTorch have the same
(`to_read`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from headgate.core.checks import number
from headgate.core.namespace import NUMPY, owner
from headgate.core.tensor import Tensor
from headgate.ops.rules import conj, floats


def adjoint(xp: Any, x: Any) -> Any:
    """Return x*, the conjugate transpose."""
    return conj(xp, x.mT)


def hermitian(xp: Any, x: Any) -> Any:
    """Return the Hermitian part of a matrix."""
    return (x + adjoint(xp, x)) / 2


def is_hermitian(xp: Any, x: Any) -> Any:
    """Tell which of raw matrices are Hermitian, in a shape that broadcasts against them."""
    return (x == adjoint(xp, x)).all((-2, -1), keepdims=True)


def from_lower(xp: Any, x: Any) -> Any:
    """Return the Hermitian matrix that has the lower triangle of a matrix."""
    below = xp.tril(x, k=-1)
    own = xp.where(np.eye(x.shape[-1], dtype=bool), real_part(xp, x), 0)
    return below + adjoint(xp, below) + own


def to_read(xp: Any, x: Any, c: Any) -> Any:
    """Return the gradient for a matrix of which only the lower triangle is read.

    `c` is the gradient for the Hermitian matrix that is made of it.
    """
    array = raw_of(x)
    both = is_hermitian(owner[type(array)], array)
    if type(array) is np.ndarray and both.all():
        return c
    own = xp.where(np.eye(c.shape[-1], dtype=bool), real_part(xp, c), 0)
    return xp.where(both, c, xp.tril(c + adjoint(xp, c), k=-1) + own)


def real_part(xp: Any, x: Any) -> Any:
    return xp.real(x) if x.dtype.kind == "c" else x


def by_column(xp: Any, x: Any) -> Any:
    """Return one factor per column: x as a row that broadcasts against matrices."""
    return xp.expand_dims(x, axis=-2)


def diagonal_matrix(xp: Any, x: Any) -> Any:
    """Return the diagonal matrix of a vector."""
    return by_column(xp, x) * xp.eye(x.shape[-1], dtype=x.dtype)


def reciprocal(xp: Any, x: Any) -> Any:
    """Return 1 / x, and 0 where x is 0."""
    zero = x == 0
    return xp.where(zero, 0, 1 / xp.where(zero, 1, x))


def raw_of(x: Any) -> Any:
    return x.value if type(x) is Tensor else x


def tolerance(whose: str, name: str, value: Any) -> Any:
    """Return a tolerance, 0 or more: a number for all matrices or one for each, or None."""
    shape: Any = getattr(value, "shape", None)
    if value is None or shape:
        return value
    return number(whose, name, value, "[0, inf)")


def as_matrices(xp: Any, x: Any, square: bool = False) -> Any:
    """Return matrices that LAPACK computes with; refuse what it does not know, by name."""
    x = floats(xp.asarray(x))
    if x.ndim < 2:
        raise ValueError(f"x must be matrices, with two axes or more; its shape is {x.shape}")
    if square and x.shape[-1] != x.shape[-2]:
        raise ValueError(f"x must be square matrices; its shape is {x.shape}")
    if x.dtype.itemsize == 2:
        raise TypeError(
            f"there is no linear algebra in {x.dtype}, neither here nor in NumPy and JAX; convert "
            "the matrices with headgate.astype(x, 'float32')"
        )
    return x


def of_numbers(xp: Any, x: Any) -> tuple[Any, Any]:
    """Return matrices for LAPACK, which goes astray at NaN, and what to add to all that it finds.

    Matrices with something else than numbers in them become identities; NaN is to be added to their
    results, and 0 to those of the others.
    """
    ns = xp.array_module
    bad = ~ns.all(ns.isfinite(x), axis=(-2, -1))
    if xp is NUMPY and not bad.any():
        return x, None
    nothing = ns.where(bad, math.nan, 0.0).astype(x.real.dtype)
    return ns.where(bad[..., None, None], ns.eye(*x.shape[-2:], dtype=x.dtype), x), nothing


def spoilt(ans: Any, nothing: Any) -> Any:
    """Add to each result of each matrix what `of_numbers` says."""
    if nothing is None:
        return ans
    if type(ans) is tuple or hasattr(ans, "_fields"):
        parts = [spoilt(part, nothing) for part in ans]
        return type(ans)(*parts) if hasattr(ans, "_fields") else tuple(parts)
    return ans + nothing.reshape(nothing.shape + (1,) * (ans.ndim - nothing.ndim))


def or_spoilt(xp: Any, compute: Callable[[Any], Any], x: Any) -> Any:
    """Compute a decomposition; NaN, as in JAX, where NumPy gives up for NaN in the matrix."""
    try:
        return compute(x)
    except np.linalg.LinAlgError:
        x, nothing = of_numbers(xp, x)
        if nothing is None:
            raise
        return spoilt(compute(x), nothing)


def by_library(name: str) -> Callable[..., Any]:
    """Return an implementation by the array library's own `linalg` function of square matrices."""

    def compute(xp: Any, x: Any) -> Any:
        return getattr(xp.array_module.linalg, name)(as_matrices(xp, x, square=True))

    return compute


def by_adjoint(rule: Callable[..., Any]) -> Callable[..., Any]:
    """Return a rule that is stated for conjugated cotangents as one for those of a walk."""

    @wraps(rule)
    def turned(g: Any, xp: Any, *args: Any) -> Any:
        if type(g) is tuple:
            g = tuple(part if part is None else conj(xp, part) for part in g)
        else:
            g = conj(xp, g)
        return conj(xp, rule(g, xp, *args))

    return turned


def onto_basis(xp: Any, basis: Any, g: Any, rank: int) -> tuple[Any, Any]:
    """Return the first `rank` columns of a unitary matrix, with the cotangent for them alone.

    Columns that only complete the basis turn against those: with [a, b] the two parts, db = -a da*
    b.
    """
    if basis.shape[-1] == rank:
        return basis, g
    a, b = basis[..., :rank], basis[..., rank:]
    g_a, g_b = g[..., :rank], g[..., rank:]
    return a, g_a - b @ (adjoint(xp, g_b) @ a)
