"""Special functions: gamma and beta, error functions and the normal distribution, Bessel's.

They are elementwise rows like any other, and the rules are here; only values of those that take
pages of coefficients come from SciPy, which computes them for NumPy and is imported when the first
is called, and from `jax.scipy.special` in compiled functions. `of_library` makes such a row.

What is short is written out, for complex numbers too (`xlogy`, `logit`, `sinc`). A derivative that
has no closed form is not there: `gammainc` has one for x, and none for its first argument, where
the op is recorded as a cut. A quotient that is 0 / 0 at a point (`i1(x) / x` at 0) is its series
near there, so that derivatives of higher order are right too.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.core.checks import whole
from headgate.core.lift import as_tensor
from headgate.core.namespace import Array
from headgate.core.op import op, public
from headgate.core.row import Rule
from headgate.core.tensor import Tensor
from headgate.ops.elementwise import add, multiply, subtract
from headgate.ops.reduce import sum
from headgate.ops.rules import (
    by_float32,
    divided,
    floats,
    is_half,
    refuse_complex,
    scaled,
)

OF_LIBRARY: dict[str, str] = {}
"""Row -> the name of its function in `scipy.special`, and in JAX's."""


def _floating_dtype(arrays: tuple[Array, ...]) -> Any:
    """Return the floating dtype in which NumPy computes with several arrays and numbers."""
    known = [np.empty(0, x.dtype) for x in arrays if hasattr(x, "dtype")]
    joined = functools.reduce(np.true_divide, known[1:], known[0] if known else np.empty(0))
    return np.true_divide(joined, 1).dtype


def _of_scipy(name: str, arrays: tuple[Array, ...]) -> Array:
    try:
        home = importlib.import_module("scipy.special")
    except ImportError:
        raise ImportError(
            f"the values of headgate.special.{name} come from SciPy, which is not installed: "
            "python -m pip install scipy"
        ) from None
    for x in arrays:
        refuse_complex(x)
    dtype = _floating_dtype(arrays)
    wide = np.dtype(np.float32) if is_half(np.empty(0, dtype)) else dtype
    given = [np.asarray(x, wide) for x in arrays]
    return np.asarray(getattr(home, name)(*given)).astype(dtype)


def of_library(
    signature: str, doc: str, *rules: Rule | None, named: str | None = None
) -> Callable[..., Tensor]:
    """Make a row whose values an array library has under a name: SciPy's or JAX's."""
    ours, _, rest = signature.rstrip(")").partition("(")
    name = OF_LIBRARY[ours] = named or ours

    def compute(xp: Any, *arrays: Array) -> Array:
        return _of_scipy(name, arrays)

    parameters = [
        inspect.Parameter(each, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for each in ("xp", *rest.split(", "))
    ]
    compute.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return op(signature, doc, *rules, impl=compute)


# -- gamma and beta --------------------------------------------------------------------------------

gamma_function = of_library(
    "gamma_function(x)",
    """Compute the gamma function, `(x - 1)!` of whole numbers: `headgate.special.gamma`.

    >>> hg.special.gamma([1.0, 5.0])
    Tensor([ 1., 24.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, ans: scaled(g, ans * xp.digamma(x)),
    named="gamma",
)

gammaln = of_library(
    "gammaln(x)",
    """Compute the logarithm of the size of the gamma function.

    >>> hg.special.gammaln([1.0, 5.0])
    Tensor([0.        , 3.17805383], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: scaled(g, xp.digamma(x)),
)

digamma = of_library(
    "digamma(x)",
    """Compute the derivative of `gammaln`.

    >>> hg.special.digamma([1.0, 5.0])
    Tensor([-0.57721566,  1.50611767], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: scaled(g, xp.polygamma(1, x)),
)

polygamma = of_library(
    "polygamma(n, x)",
    """Compute the n-th derivative of `digamma` for x > 0; no gradient for the whole number `n`.

    >>> hg.special.polygamma(1, [1.0, 5.0])
    Tensor([1.64493407, 0.22132296], shape=(2,), dtype=float64)
    """,
    None,
    lambda g, xp, n, x: scaled(g, xp.polygamma(n + 1, x)),
)

zeta = of_library(
    "zeta(x, q)",
    """Compute the zeta function of Hurwitz: the sum of `(k + q) ** -x` over k from 0; x > 1.

    There is no gradient for `x`.

    >>> hg.special.zeta(2.0, [1.0, 2.0])
    Tensor([1.64493407, 0.64493407], shape=(2,), dtype=float64)
    """,
    None,
    lambda g, xp, x, q: scaled(g, -x * xp.zeta(x + 1, q)),
)

betaln = of_library(
    "betaln(a, b)",
    """Compute the logarithm of the beta function, for positive arguments.

    >>> hg.special.betaln(2.0, [1.0, 3.0])
    Tensor([-0.69314718, -2.48490665], shape=(2,), dtype=float64)
    """,
    lambda g, xp, a, b: scaled(g, xp.digamma(a) - xp.digamma(a + b)),
    lambda g, xp, a, b: scaled(g, xp.digamma(b) - xp.digamma(a + b)),
)


def _gamma_density(xp: Any, a: Any, x: Any) -> Any:
    return xp.exp(xp.xlogy(a - 1, x) - x - xp.gammaln(a))


gammainc = of_library(
    "gammainc(a, x)",
    """Compute the lower incomplete gamma function over the whole one; no gradient for `a`.

    >>> hg.special.gammainc(2.0, [0.0, 1.0])
    Tensor([0.        , 0.26424112], shape=(2,), dtype=float64)
    """,
    None,
    lambda g, xp, a, x: scaled(g, _gamma_density(xp, a, x)),
)

gammaincc = of_library(
    "gammaincc(a, x)",
    """Compute the upper incomplete gamma function over the whole one; no gradient for `a`.

    >>> hg.special.gammaincc(2.0, [0.0, 1.0])
    Tensor([1.        , 0.73575888], shape=(2,), dtype=float64)
    """,
    None,
    lambda g, xp, a, x: scaled(-g, _gamma_density(xp, a, x)),
)

betainc = of_library(
    "betainc(a, b, x)",
    """Compute the incomplete beta function over the whole one; no gradient for `a` and `b`.

    >>> hg.special.betainc(2.0, 3.0, [0.0, 0.5, 1.0])
    Tensor([0.    , 0.6875, 1.    ], shape=(3,), dtype=float64)
    """,
    None,
    None,
    lambda g, xp, a, b, x: scaled(
        g, xp.exp(xp.xlogy(a - 1, x) + xp.xlog1py(b - 1, -x) - xp.betaln(a, b))
    ),
)


@public
def multigammaln(a: Any, d: int) -> Tensor:
    """Compute the logarithm of the gamma function of `d` dimensions.

    >>> hg.special.multigammaln([2.0, 3.0], 2)
    Tensor([0.45158271, 1.55019499], shape=(2,), dtype=float64)
    """
    d = whole("multigammaln", "d", d, 1)
    a = as_tensor(a)
    steps = np.arange(d) / 2
    parts = gammaln(subtract(a[..., None], steps.astype(np.result_type(a.dtype, 1.0))))
    return add(sum(parts, axis=-1), d * (d - 1) / 4 * math.log(math.pi))


# -- error functions and the normal distribution ---------------------------------------------------

_SQRT_PI = math.sqrt(math.pi)
_SQRT_2PI = math.sqrt(2 * math.pi)

erfc = of_library(
    "erfc(x)",
    """Compute `1 - erf(x)`, accurate where that is small.

    >>> hg.special.erfc([0.0, 3.0])
    Tensor([1.0000000e+00, 2.2090497e-05], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: -g * (xp.exp(-x * x) * (2 / _SQRT_PI)),
)

erfcx = of_library(
    "erfcx(x)",
    """Compute `exp(x ** 2) * erfc(x)`.

    >>> hg.special.erfcx([0.0, 3.0])
    Tensor([1.        , 0.17900115], shape=(2,), dtype=float64)
    """,
    lambda g, x, ans: scaled(g, 2 * x * ans - 2 / _SQRT_PI),
)

erfinv = of_library(
    "erfinv(x)",
    """Compute the inverse of `erf`, for x from -1 to 1.

    >>> hg.special.erfinv([0.0, 0.5])
    Tensor([0.        , 0.47693628], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans: scaled(g, xp.exp(ans * ans) * (_SQRT_PI / 2)),
)

erfcinv = of_library(
    "erfcinv(x)",
    """Compute the inverse of `erfc`, for x from 0 to 2.

    >>> hg.special.erfcinv([0.2, 0.5])
    Tensor([0.9061938 , 0.47693628], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans: scaled(-g, xp.exp(ans * ans) * (_SQRT_PI / 2)),
)

ndtr = of_library(
    "ndtr(x)",
    """Compute the share of the normal distribution below x.

    >>> hg.special.ndtr([0.0, 1.0])
    Tensor([0.5       , 0.84134475], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g * (xp.exp(-0.5 * x * x) * (1 / _SQRT_2PI)),
)

ndtri = of_library(
    "ndtri(x)",
    """Compute the inverse of `ndtr`, for x from 0 to 1.

    >>> hg.special.ndtri([0.5, 0.8])
    Tensor([0.        , 0.84162123], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans: scaled(g, xp.exp(0.5 * ans * ans) * _SQRT_2PI),
)

log_ndtr = of_library(
    "log_ndtr(x)",
    """Compute the logarithm of `ndtr`, accurate where that is small.

    >>> hg.special.log_ndtr([0.0, -40.0])
    Tensor([-6.93147181e-01, -8.04608442e+02], shape=(2,), dtype=float64)
    """,
    # The density over the share, in which exp(-x * x / 2) cancels.
    lambda g, xp, x: divided(g * math.sqrt(2 / math.pi), xp.erfcx(-math.sqrt(0.5) * x)),
)

# -- Bessel functions ------------------------------------------------------------------------------

_NEAR = 1e-3


def _over_x(xp: Any, value: Any, x: Any, scale: Any = 1) -> Any:
    """Return i1(x) / x, times what value has more than i1, by its series near 0."""
    near = abs(x) < _NEAR
    square = x * x
    series = (0.5 + square / 16 + square * square / 384) * scale
    return xp.where(near, series, value / xp.where(near, 1, x))


i0 = of_library(
    "i0(x)",
    """Compute the modified Bessel function of order 0.

    >>> hg.special.i0([0.0, 1.0])
    Tensor([1.        , 1.26606588], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: scaled(g, xp.i1(x)),
)

i1 = of_library(
    "i1(x)",
    """Compute the modified Bessel function of order 1.

    >>> hg.special.i1([0.0, 1.0])
    Tensor([0.        , 0.5651591], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, ans: scaled(g, xp.i0(x) - _over_x(xp, ans, x)),
)

i0e = of_library(
    "i0e(x)",
    """Compute `exp(-abs(x)) * i0(x)`; its gradient at 0 is 0.

    >>> hg.special.i0e([0.0, 1.0])
    Tensor([1.        , 0.46575961], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, ans: g * (xp.i1e(x) - xp.sign(x) * ans),
)

i1e = of_library(
    "i1e(x)",
    """Compute `exp(-abs(x)) * i1(x)`.

    >>> hg.special.i1e([0.0, 1.0])
    Tensor([0.        , 0.20791042], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, ans: (
        g * (xp.i0e(x) - xp.sign(x) * ans - _over_x(xp, ans, x, xp.exp(-xp.abs(x))))
    ),
)

# -- exponential integrals -------------------------------------------------------------------------

expi = of_library(
    "expi(x)",
    """Compute the exponential integral Ei.

    >>> hg.special.expi([0.5, 1.0])
    Tensor([0.4542199 , 1.89511782], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: divided(g * xp.exp(x), x),
)

exp1 = of_library(
    "exp1(x)",
    """Compute the exponential integral E1, for x > 0.

    >>> hg.special.exp1([0.5, 1.0])
    Tensor([0.55977359, 0.21938393], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: divided(-g * xp.exp(-x), x),
)

# -- logarithms and entropies ----------------------------------------------------------------------


def _but_at_zero(xp: Any, x: Any, y: Any, other: float) -> Any:
    """Return y, and where x is 0 another number, unless y is NaN."""
    return xp.where((x == 0) & (y == y), other, y)


xlogy = op(
    "xlogy(x, y)",
    """Compute `x * log(y)`, which is 0 where x is 0; so is then the gradient if y is not above 0.

    >>> hg.special.xlogy([0.0, 2.0], [0.0, 3.0])
    Tensor([0.        , 2.19722458], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, y: scaled(g, xp.log(xp.where((x == 0) & (y == 0), 1, y))),
    lambda g, xp, x, y: scaled(g, xp.xdivy(x, y)),
    impl=lambda xp, x, y: xp.multiply(x, xp.log(_but_at_zero(xp, x, floats(y), 1))),
)

xlog1py = op(
    "xlog1py(x, y)",
    """Compute `x * log1p(y)`, which is 0 where x is 0; so is then the gradient at y = -1.

    >>> hg.special.xlog1py([0.0, 2.0], [-1.0, 3.0])
    Tensor([0.        , 2.77258872], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, y: scaled(g, xp.log1p(xp.where((x == 0) & (y == -1), 0, y))),
    lambda g, xp, x, y: scaled(g, xp.xdivy(x, 1 + y)),
    impl=lambda xp, x, y: xp.multiply(x, xp.log1p(_but_at_zero(xp, x, floats(y), 0))),
)

xdivy = op(
    "xdivy(x, y)",
    """Compute `x / y`, which is 0 where x is 0.

    >>> hg.special.xdivy([0.0, 3.0], [0.0, 2.0])
    Tensor([0. , 1.5], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, y: divided(g, xp.where((x == 0) & (y == 0), math.inf, y)),
    lambda g, xp, y, ans: scaled(-g, xp.xdivy(ans, y)),
    impl=lambda xp, x, y: xp.divide(x, _but_at_zero(xp, x, floats(y), 1)),
)


@by_float32
def _entr(xp: Any, x: Array) -> Array:
    refuse_complex(x)
    x = floats(x)
    return xp.where(x < 0, -math.inf, -x * xp.log(xp.where(x <= 0, 1, x)))


entr = op(
    "entr(x)",
    """Compute `-x * log(x)`: 0 at 0, minus infinity below.

    >>> hg.special.entr([0.2, 0.5])
    Tensor([0.32188758, 0.34657359], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: scaled(g, -xp.log(x) - 1),
    impl=_entr,
)


@public
def rel_entr(x: Any, y: Any) -> Tensor:
    """Compute `x * log(x / y)`: 0 where x is 0, infinite where one of them is below.

    >>> hg.special.rel_entr([0.0, 1.0], [1.0, 0.5])
    Tensor([0.        , 0.69314718], shape=(2,), dtype=float64)
    """
    return subtract(multiply(-1, entr(x)), xlogy(x, y))


@public
def kl_div(x: Any, y: Any) -> Tensor:
    """Compute `x * log(x / y) - x + y`.

    >>> hg.special.kl_div([0.0, 1.0], [1.0, 0.5])
    Tensor([1.        , 0.19314718], shape=(2,), dtype=float64)
    """
    return add(subtract(rel_entr(x, y), x), y)


def _logit(xp: Any, x: Array) -> Array:
    x = floats(x)
    with np.errstate(divide="ignore"):  # at 0 and 1 it is infinite
        return xp.log(x / (1 - x))


logit = op(
    "logit(x)",
    """Compute `log(x / (1 - x))`, the inverse of `sigmoid`.

    >>> hg.special.logit([0.5, 0.8])
    Tensor([0.        , 1.38629436], shape=(2,), dtype=float64)
    """,
    lambda g, x: divided(g, x * (1 - x)),
    impl=_logit,
)


@by_float32
def _sinc(xp: Any, x: Array) -> Array:
    x = math.pi * floats(x)
    zero = x == 0
    return xp.where(zero, 1, xp.sin(x) / xp.where(zero, 1, x))


def _sinc_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    near = xp.abs(x) < 1e-2
    square = (math.pi * math.pi) * (x * x)
    series = (math.pi * math.pi) * x * (-1 / 3 + square / 30 - square * square / 840)
    return g * xp.where(near, series, (xp.cos(math.pi * x) - ans) / xp.where(near, 1, x))


sinc = op(
    "sinc(x)",
    """Compute `sin(pi * x) / (pi * x)`, which is 1 at 0.

    >>> hg.special.sinc([0.0, 0.5])
    Tensor([1.        , 0.63661977], shape=(2,), dtype=float64)
    """,
    _sinc_rule,
    impl=_sinc,
)
