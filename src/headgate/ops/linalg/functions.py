"""Functions of square matrices: powers, `expm`, `sqrtm`, `logm`, and any `f` of Hermitian ones.

**Primary functions** (`expm`, `sqrtm`, `logm`) are computed by products and inverses alone, so that
equal eigenvalues are nothing special to them: scaling and squaring, the Newton iteration of Denman
and Beavers, inverse scaling and squaring (N. Higham, "Functions of Matrices", 2008, chapters 10, 6
and 11). Values of Hermitian matrices come from `eigh`, which knows roots of singular ones too. The
derivative along e is a block of a function of a larger matrix,

    f([[x, e], [0, x]]) = [[f(x), L(x, e)], [0, f(x)]]    (R. Mathias, 1996),

and the gradient is L(x^T, g). So the rule of each is the row itself again, to any order.

**Functions of eigenvalues** (`funm`) are V f(w) V* with the vectors V and values w at hand. With V
taken as constant, t = V* x V is a smooth function of x, and diagonal here. Around the diagonal,

    f(t)[i, j] = f(w[i]) + f[i, j] d[i, j] + sum over k of f[i, k, j] d[i, k] d[k, j] + ...

where d is the change of t, zero in itself, and f[i, j], f[i, k, j] are divided differences:
quotients where values are apart, derivatives of f where they are equal (Yu. Daleckii and S. Krein,
1965). So equal values are nothing special either. The terms are written with ops; those of the
second order only when a gradient is itself differentiated (`later`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.core.checks import whole
from headgate.core.lift import as_tensor
from headgate.core.namespace import NUMPY, TENSORS, Array, implementations, owner
from headgate.core.op import op, public
from headgate.core.tape import GradientTape
from headgate.core.tensor import Tensor, constant
from headgate.core.traced import is_traced
from headgate.ops.creation import eye
from headgate.ops.linalg.matrices import (
    adjoint,
    as_matrices,
    by_adjoint,
    by_column,
    diagonal_matrix,
    hermitian,
    is_hermitian,
    raw_of,
    to_read,
)
from headgate.ops.linalg.products import matmul
from headgate.ops.linalg.solvers import inv
from headgate.ops.reduce import sum as total
from headgate.ops.rules import scaled
from headgate.ops.shape import broadcast_to
from headgate.record.errors import refusal, warn_undefined


@public
def matrix_power(x: Any, n: int) -> Tensor:
    """Multiply a square matrix by itself `n` times; by its inverse for negative `n`.

    >>> import headgate as hg
    >>> hg.linalg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 5)
    Tensor([[1., 5.],
            [0., 1.]], shape=(2, 2), dtype=float64)
    """
    n = whole("matrix_power", "n", n)
    x = as_tensor(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"matrix_power: x must be square matrices, got the shape {x.shape}")
    if n < 0:
        return matrix_power(inv(x), -n)
    if n == 0:
        return broadcast_to(eye(x.shape[-1], dtype=x.dtype), x.shape)
    result: Tensor | None = None
    while True:
        if n % 2:
            result = x if result is None else matmul(result, x)
        n //= 2
        if not n:
            assert result is not None
            return result
        x = matmul(x, x)


# -- primary functions ----------------------------------------------------------------------------


Step = Callable[[Any], Any]


def _repeated(xp: Any, going_on: Step, step: Step, first: Any) -> Any:
    """Repeat a step while something goes on; in a program as a loop of it."""
    while going_on(first):
        first = step(first)
    return first


implementations["repeated"] = {"numpy": _repeated}


def _by_block(name: str, everywhere: bool = False) -> Callable[..., Any]:
    """Return the rule of a primary function: a block of the same of a larger matrix.

    That is linear in g, which is made as large as a number is usual, or it would spoil the rest.
    If it is not defined `everywhere`, NaN in place of a gradient is told.
    """

    def rule(g: Any, xp: Any, x: Any) -> Any:
        size = x.shape[-1]
        if not size:
            return g
        raw = raw_of(g)
        ns = owner[type(raw)].array_module
        scale = ns.max(abs(raw), axis=(-2, -1), keepdims=True, initial=0)
        scale = ns.where((scale > 0) & ns.isfinite(scale), scale, 1).astype(raw.real.dtype)
        turned = x.mT
        upper = xp.concat([turned, g / scale], axis=-1)
        lower = xp.concat([xp.zeros_like(x), turned], axis=-1)
        large = getattr(xp, name)(xp.concat([upper, lower], axis=-2))
        c = large[..., :size, size:] * scale
        if not everywhere:
            _tell_undefined(name, raw, raw_of(x), raw_of(c))
        return c

    return rule


def _tell_undefined(name: str, g: Any, x: Any, c: Any) -> None:
    """Say that a gradient is NaN, if that is so of numbers."""
    if is_traced(c) or is_traced(x) or is_traced(g):
        return
    if np.isnan(np.asarray(c)).any() and np.isfinite(g).all() and np.isfinite(x).all():
        warn_undefined(
            name,
            "an eigenvalue of the matrix is zero, or is negative; add a small multiple of the "
            "identity, or, for negative ones, convert it with headgate.astype(x, 'complex128')",
        )


_PADE = [
    *(64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000),
    *(10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1),
]
"""Coefficients of the [13/13] Padé approximant of the exponential function."""

_SCALED = 5.371920351148152
"""The norm up to which it has the precision of float64. (Higham, table 10.2)"""


def _norm(ns: Any, x: Any) -> Any:
    """Return the largest sum of a column's |x|, as matrices of one element."""
    return ns.max(ns.sum(abs(x), axis=-2), axis=-1, initial=0)[..., None, None]


def _expm(xp: Any, x: Array) -> Array:
    x = as_matrices(xp, x, square=True)
    norms = _norm(np, x)
    with np.errstate(all="ignore"):
        halvings = np.ceil(np.log2(np.where(np.isfinite(norms), norms, 0) / _SCALED))
        halvings = np.maximum(halvings, 0)
        x = x * np.exp2(-halvings).astype(x.real.dtype)
        one = np.eye(x.shape[-1], dtype=x.dtype)
        square = x @ x
        fourth, sixth = square @ square, square @ square @ square
        b = [x.real.dtype.type(each) for each in _PADE]
        odd = sixth @ (b[13] * sixth + b[11] * fourth + b[9] * square)
        odd = x @ (odd + b[7] * sixth + b[5] * fourth + b[3] * square + b[1] * one)
        even = sixth @ (b[12] * sixth + b[10] * fourth + b[8] * square)
        even = even + b[6] * sixth + b[4] * fourth + b[2] * square + b[0] * one
        ans = np.linalg.solve(even - odd, even + odd)
        for k in range(int(halvings.max(initial=0))):
            ans = np.where(k < halvings, ans @ ans, ans)
    return ans


expm = op(
    "expm(x)",
    """Compute the exponential function of square matrices: the sum of `x @ x @ ... @ x / n!`.

    It has a gradient everywhere, to any order.

    >>> hg.linalg.expm([[0.0, 1.0], [0.0, 0.0]])
    Tensor([[1., 1.],
            [0., 1.]], shape=(2, 2), dtype=float64)
    """,
    _by_block("expm", everywhere=True),
    impl_numpy=_expm,
)


def _inverse(xp: Any, x: Any) -> Any:
    """Return the inverses, of NaN where there is none."""
    try:
        return xp.array_module.linalg.inv(x)
    except np.linalg.LinAlgError:
        lost = np.linalg.det(x) == 0
        return np.linalg.inv(np.where(lost[..., None, None], math.nan, x))


_MOST_STEPS = 50


def _root(xp: Any, x: Any) -> Any:
    """Compute square roots by the product form of the iteration of Denman and Beavers.

    From m = r = x,  m' = (1 + (m + m^-1) / 2) / 2  goes to 1,  r' = r (1 + m^-1) / 2  to the root.
    Before, m is scaled to a determinant of size 1. NaN where that does not come to an end: at
    eigenvalues that are zero, or negative ones.
    """
    ns = xp.array_module
    size = x.shape[-1]
    one = ns.eye(size, dtype=x.dtype)
    epsilon = float(np.finfo(x.dtype).eps)

    def off(m: Any) -> Any:
        return ns.max(abs(m - one), axis=(-2, -1), keepdims=True, initial=0)

    def going_on(state: Any) -> Any:
        m, _, k = state
        return (k < _MOST_STEPS) & ns.any(off(m) > 16 * size * epsilon)

    def step(state: Any) -> Any:
        m, r, k = state
        _, logarithm = ns.linalg.slogdet(m)
        by = ns.exp(-logarithm / size)[..., None, None].astype(m.real.dtype)
        by = ns.where(off(m) > 1e-2, by, 1).astype(m.real.dtype)
        inverse = _inverse(xp, m) / by
        m = (one + (m * by + inverse) / 2) / 2
        return m, ns.sqrt(by) * (r + r @ inverse) / 2, k + 1

    m, r, _ = xp.repeated(going_on, step, (x, x, ns.asarray(0)))
    return ns.where(off(m) < epsilon**0.4, r, math.nan).astype(x.dtype)


def _of_values(xp: Any, f: Callable[[Any], Any], x: Any) -> Any:
    """Compute a function of Hermitian matrices by eigenvalues, rounding to zero those near it."""
    ns = xp.array_module
    w, v = xp.eigh(x)
    largest = ns.max(abs(w), axis=-1, initial=0, keepdims=True)
    w = ns.where(abs(w) <= w.shape[-1] * ns.finfo(w.dtype).eps * largest, 0, w).astype(x.dtype)
    return (v * by_column(xp, f(w))) @ adjoint(xp, v)


def _by_either(
    of_value: Callable[[Any, Any], Any], of_matrix: Callable[[Any, Any], Any]
) -> Callable[..., Any]:
    """Return an implementation by eigenvalues of Hermitian matrices, by iterations of others."""

    def compute(xp: Any, x: Array) -> Array:
        x = as_matrices(xp, x, square=True)
        if not x.size:
            return x
        ns = xp.array_module
        with np.errstate(all="ignore"):
            by_values = is_hermitian(xp, x)
            if xp is NUMPY and not by_values.any():  # as what a gradient is a block of
                return of_matrix(xp, x)
            values = _of_values(xp, lambda w: of_value(ns, w), x)
            if xp is NUMPY and by_values.all():
                return values
            one = ns.eye(x.shape[-1], dtype=x.dtype)
            others = of_matrix(xp, ns.where(by_values, one, x))
            return ns.where(by_values, values, others)

    return compute


_NEAR = 0.25
"""How far from 1 the logarithm is computed by its approximant."""


def _logarithm(xp: Any, x: Any) -> Any:
    """Compute logarithms by inverse scaling and squaring: log x = 2^k log x^(1 / 2^k).

    Near 1 it is the integral of (x - 1) (1 + t (x - 1))^-1 from 0 to 1, by Gauss and Legendre, and
    that a Padé approximant. (Higham, 11.18)
    """
    ns = xp.array_module
    one = ns.eye(x.shape[-1], dtype=x.dtype)

    def far(x: Any) -> Any:
        return _norm(ns, x - one) > _NEAR

    def step(state: Any) -> Any:
        x, factor, k = state
        again = far(x)
        return ns.where(again, _root(xp, x), x), ns.where(again, 2 * factor, factor), k + 1

    first = x, ns.ones((*x.shape[:-2], 1, 1), x.real.dtype), ns.asarray(0)
    near, factor, _ = xp.repeated(lambda s: (s[2] < _MOST_STEPS) & ns.any(far(s[0])), step, first)
    found = ns.zeros_like(x)
    for node, weight in zip(*np.polynomial.legendre.leggauss(8), strict=True):
        t, share = float(node + 1) / 2, float(weight) / 2
        found = found + share * ((near - one) @ _inverse(xp, one + t * (near - one)))
    return ns.where(far(near), math.nan, found * factor).astype(x.dtype)


sqrtm = op(
    "sqrtm(x)",
    """Compute the principal square roots of square matrices: those with `result @ result = x`.

    A real matrix with a negative eigenvalue has none that is real, and the result is NaN: convert
    it to complex. So is that of a matrix that is not Hermitian and has an eigenvalue of zero, or a
    negative one. At an eigenvalue of zero there is no gradient: it is NaN, with a warning.

    >>> hg.linalg.sqrtm([[5.0, 4.0], [4.0, 5.0]])
    Tensor([[2., 1.],
            [1., 2.]], shape=(2, 2), dtype=float64)
    """,
    _by_block("sqrtm"),
    impl=_by_either(lambda ns, w: ns.sqrt(w), _root),
)

logm = op(
    "logm(x)",
    """Compute the principal logarithms of square matrices, of which `expm` is the inverse.

    A real matrix with a negative eigenvalue has none that is real, and the result is NaN: convert
    it to complex. So is that of a matrix that is not Hermitian and has an eigenvalue of zero, or a
    negative one; of a Hermitian matrix with one of zero it is infinite.

    >>> hg.linalg.logm([[1.0, 1.0], [0.0, 1.0]])
    Tensor([[0., 1.],
            [0., 0.]], shape=(2, 2), dtype=float64)
    """,
    _by_block("logm"),
    impl=_by_either(lambda ns, w: ns.log(w), _logarithm),
)


# -- functions of eigenvalues ---------------------------------------------------------------------

# Four rows whose result is zero. What they are is in their gradients.


def _in_basis(xp: Any, v: Any, g: Any) -> Any:
    return v @ g @ adjoint(xp, v)


_change = op(
    "funm_change(x, v)",
    "Return zeros: the change of v* x v, with the eigenvectors v that a Hermitian x has.",
    by_adjoint(lambda g, xp, x, v: to_read(xp, x, hermitian(xp, _in_basis(xp, v, g)))),
    None,
    impl=lambda xp, x, v: xp.zeros_like(x),
)

_along = op(
    "funm_along(d, slope)",
    "Return zeros: the change d times a slope, which may be infinite.",
    lambda g, slope: scaled(g, slope),
    lambda g, d: g * d,
    impl=lambda xp, d, slope: xp.zeros_like(d),
)

_later = op(
    "funm_later(d, *, then)",
    "Return zeros: what has the gradient `then(g, d)`, which is zero until d changes.",
    lambda g, xp, d, then: then(g, d) if xp is TENSORS else xp.zeros_like(d),
    impl=lambda xp, d, *, then: xp.zeros_like(d),
)


def _unknown_rule(g: Any, xp: Any) -> Any:
    warn_undefined(
        "funm", "it is a third derivative, and two are known; take expm, sqrtm, logm or a series"
    )
    return g * math.nan


_unknown = op(
    "funm_unknown(d)",
    "Return zeros, whose derivative by d is not known.",
    _unknown_rule,
    impl=lambda xp, d: xp.zeros_like(d),
)


def _derivative(f: Callable[[Tensor], Any]) -> Callable[[Any], Any]:
    """Return the derivative of a function that works elementwise on real numbers."""

    def slope(w: Any) -> Any:
        with GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            w = tape._argument(w)
            y = as_tensor(f(w))
            parts = [TENSORS.real(y), TENSORS.imag(y)] if y.dtype.kind == "c" else [y]
        found = [tape._gradient(part, w) for part in parts]
        found = [TENSORS.zeros_like(w) if each is None else each for each in found]
        return found[0] if len(found) == 1 else found[0] + 1j * found[1]

    return slope


def _close(ns: Any, w: Any, a: Any, b: Any, share: float) -> Any:
    """Tell where two of the values w are equal, up to rounding or a share of themselves."""
    rounding = w.shape[-1] * ns.finfo(w.dtype).eps * ns.max(abs(w), axis=-1, initial=0)
    rounding = rounding.reshape(rounding.shape + (1,) * (a.ndim - rounding.ndim))
    return abs(a - b) <= ns.maximum(rounding, share * ns.maximum(abs(a), abs(b)))


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)


def _first_differences(ns: Any, w: Any, f: Callable[[Tensor], Any], values: Tensor) -> Any:
    """Return the divided differences f[i, j] from f(w): of close values, the mean slope between."""
    a, b = ns.broadcast_arrays(w[..., :, None], w[..., None, :])
    close = _close(ns, w, a, b, float(ns.finfo(w.dtype).eps) ** (1 / 3))
    half = ns.where(close, (b - a) / 2, 0)[..., None]
    nodes = a[..., None] + half * (1 + _NODES).astype(w.dtype)
    slope = total(_derivative(f)(nodes) * (_WEIGHTS / 2).astype(w.dtype), axis=-1)
    rise = values[..., :, None] - values[..., None, :]
    return TENSORS.where(close, slope, rise / ns.where(close, 1, a - b).astype(w.dtype))


def _second_differences(ns: Any, w: Any, f: Callable[[Tensor], Any], first: Any) -> Any:
    """Return the divided differences f[i, k, j] from those of the two values farthest apart."""
    places = w[..., :, None, None], w[..., None, :, None], w[..., None, None, :]
    a, c, b = ns.broadcast_arrays(*places)
    gaps = abs(a - b), abs(a - c), abs(c - b)
    far = ns.maximum(ns.maximum(gaps[0], gaps[1]), gaps[2])
    share = float(ns.finfo(w.dtype).eps) ** (1 / 4)
    close = _close(ns, w, a, b, share) & _close(ns, w, a, c, share) & _close(ns, w, c, b, share)
    mean = ns.where(close, (a + b + c) / 3, a)
    bend = _derivative(_derivative(f))(mean) / 2
    ac, cb, ab = first[..., :, :, None], first[..., None, :, :], first[..., :, None, :]
    one = ns.ones((), w.dtype)
    outer = (ac - cb) / ns.where(gaps[0] == 0, one, a - b)
    left = (ab - cb) / ns.where(gaps[1] == 0, one, a - c)
    right = (ac - ab) / ns.where(gaps[2] == 0, one, c - b)
    apart = TENSORS.where(gaps[0] == far, outer, TENSORS.where(gaps[1] == far, left, right))
    return TENSORS.where(close, bend, apart)


def funm(x: Any, f: Callable[[Tensor], Any]) -> Tensor:
    """Compute a function of Hermitian matrices: that of their eigenvalues, with their eigenvectors.

    Equal eigenvalues are no obstacle to its derivatives, as they are to those of what is computed
    from the results of `eigh`.

    Args:
        x: Hermitian matrices. Only the lower triangle is read; the gradient is as that of `eigh`.
        f: an elementwise function of tensors, `headgate.exp` for instance. It is called with
            eigenvalues and with numbers between nearly equal ones, in arrays of other shapes too,
            and is differentiated itself: by variables that it uses as well.

    Derivatives are right up to the second, which takes n^3 numbers for n by n matrices. A third one
    is NaN, with an `UndefinedGradientWarning`.

    >>> import headgate as hg
    >>> x = hg.Variable([[1.0, 0.0], [0.0, 1.0]])
    >>> with hg.GradientTape() as tape:
    ...     y = hg.linalg.funm(x, hg.exp)[0, 1]
    >>> tape.gradient(y, x).numpy().round(3)
    array([[0.   , 1.359],
           [1.359, 0.   ]])
    """
    x = as_tensor(x)
    home = owner[type(x.value)]
    ns = home.array_module
    try:
        array = as_matrices(home, x.value, square=True)
    except (TypeError, ValueError) as error:
        raise refusal(type(error), f"funm: {error}") from None
    w, v = home.eigh(array)
    values = f(constant(w))
    if type(values) is not Tensor:
        raise refusal(
            TypeError,
            f"funm: f must compute with headgate's functions, to be differentiated; it returned "
            f"{type(values).__name__}",
        )
    if values.shape != w.shape:
        raise refusal(
            ValueError,
            f"funm: f is an elementwise function; of eigenvalues of shape {w.shape} it made "
            f"{values.shape}",
        )
    inner = diagonal_matrix(TENSORS, values)
    if x.node is not None:
        first = _first_differences(ns, w, f, values)

        def gradient_of_second(g: Any, d: Any) -> Any:
            second = _second_differences(ns, w, f, first)
            left = TENSORS.einsum([g, second, d], subscripts="...aj,...abj,...bj->...ab")
            right = TENSORS.einsum([g, second, d], subscripts="...ib,...iab,...ia->...ab")
            return left + right + _later(d, then=lambda g, d: _unknown(d))

        d = TENSORS.astype(_change(x, constant(v)), np.result_type(v.dtype, values.dtype))
        inner = inner + _along(d, first) + _later(d, then=gradient_of_second)
    return _in_basis(TENSORS, constant(v), inner)  # type: ignore[no-any-return]
