"""Elementwise ops: arithmetic, powers, trigonometry, comparison, choice, activations.

A rule gives the derivative of one element; broadcasting is the walk's business. For a holomorphic f
it is `g * f'(x)`, complex or not; only what is not holomorphic (`abs`, `sign`, `conj`, `imag`) has
to conjugate (`headgate.ops.rules`).

At kinks and ties there is no right derivative, only a convention, and it is TensorFlow's: the first
of two equal arguments of `maximum` gets all, `abs` and `relu` have slope 0 at 0, `clip` passes
gradient at both ends. Where a mask decides, it multiplies (`g * (x > 0)`), which is several times
as fast as `where`; only the rules of `where` itself choose instead, because `where(x > 0, f(x), 0)`
is how a program keeps a NaN out.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from headgate.core.cotangent import pass_through, turned
from headgate.core.lift import shape_of
from headgate.core.namespace import Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops.rules import is_complex

# -- arithmetic ------------------------------------------------------------------------------------

add = op(
    "add(x, y)",
    """Add elementwise.

    >>> hg.add([1.0, 2.0], 3.0)
    Tensor([4., 5.], shape=(2,), dtype=float64)
    """,
    pass_through,
    pass_through,
)

subtract = op(
    "subtract(x, y)",
    """Subtract elementwise.

    >>> hg.subtract([1.0, 2.0], 3.0)
    Tensor([-2., -1.], shape=(2,), dtype=float64)
    """,
    pass_through,
    lambda g: -g,
)

multiply = op(
    "multiply(x, y)",
    """Multiply elementwise.

    >>> hg.multiply([1.0, 2.0], 3.0)
    Tensor([3., 6.], shape=(2,), dtype=float64)
    """,
    lambda g, y: g * y,
    lambda g, x: g * x,
)

divide = op(
    "divide(x, y)",
    """Divide elementwise; the result is floating.

    >>> hg.divide([1.0, 2.0], 4.0)
    Tensor([0.25, 0.5 ], shape=(2,), dtype=float64)
    """,
    lambda g, y: g / y,
    lambda g, y, ans: -g * (ans / y),
)


def _divide_no_nan(xp: Any, x: Array, y: Array) -> Array:
    with np.errstate(all="ignore"):
        return xp.where(y == 0, 0, xp.true_divide(x, y))


divide_no_nan = op(
    "divide_no_nan(x, y)",
    """Divide elementwise; the result, and its gradient, is 0 where `y` is 0.

    >>> hg.divide_no_nan([1.0, 2.0], [0.0, 4.0])
    Tensor([0. , 0.5], shape=(2,), dtype=float64)
    """,
    lambda g, xp, y: xp.divide_no_nan(g, y),
    lambda g, xp, y, ans: -g * xp.divide_no_nan(ans, y),
    impl=_divide_no_nan,
)

floor_divide = op("floor_divide(x, y)", "Divide elementwise and round down.", None, None)

remainder = op(
    "remainder(x, y)",
    """Return the remainder of `floor_divide`, which has the sign of `y`.

    >>> hg.remainder([5.5, -5.5], 2.0)
    Tensor([1.5, 0.5], shape=(2,), dtype=float64)
    """,
    pass_through,
    lambda g, xp, x, y: -g * xp.floor_divide(x, y),
)

negative = op(
    "negative(x)",
    """Change the sign of each element.

    >>> hg.negative([1.0, -2.0])
    Tensor([-1.,  2.], shape=(2,), dtype=float64)
    """,
    lambda g: -g,
    keeps_shape=True,
)

positive = op(
    "positive(x)",
    """Return each element as it is.

    >>> hg.positive([1.0, -2.0])
    Tensor([ 1., -2.], shape=(2,), dtype=float64)
    """,
    pass_through,
    keeps_shape=True,
)

identity = op(
    "identity(x)",
    """Return a new tensor of the same value; gradient passes.

    >>> hg.identity([1.0, -2.0])
    Tensor([ 1., -2.], shape=(2,), dtype=float64)
    """,
    pass_through,
    impl=lambda xp, x: x,
    keeps_shape=True,
)


def _abs_rule(g: Any, xp: Any, x: Any) -> Any:
    slope = xp.sign(x)
    return g * (xp.conj(slope) if slope.dtype.kind == "c" else slope)


abs = op(
    "abs(x)",
    """Return the absolute value of each element; its gradient at 0 is 0.

    >>> hg.abs([-1.5, 2.0])
    Tensor([1.5, 2. ], shape=(2,), dtype=float64)
    """,
    _abs_rule,
)


def _sign_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    if not is_complex(x):
        return xp.zeros_like(g)
    # x / |x| moves only along the unit circle: what points outward in g is lost.
    return xp.divide_no_nan(g - xp.conj(ans * ans * g), 2 * xp.abs(x))


sign = op(
    "sign(x)",
    """Return -1, 0 or 1 for each element, `x / abs(x)` if complex; gradient is 0 if real.

    >>> hg.sign([-1.5, 0.0, 2.0])
    Tensor([-1.,  0.,  1.], shape=(3,), dtype=float64)
    """,
    _sign_rule,
    keeps_shape=True,
)

reciprocal = op(
    "reciprocal(x)",
    """Return one over each element.

    >>> hg.reciprocal([0.5, 4.0])
    Tensor([2.  , 0.25], shape=(2,), dtype=float64)
    """,
    lambda g, ans: -g * (ans * ans),
    keeps_shape=True,
)

# -- powers, roots, exponentials and logarithms ----------------------------------------------------

_UNROLLED = range(3, 9)


def _pow(xp: Any, x: Array, y: Array) -> Array:
    # NumPy has a fast way for squares only; its general one is thirty times as slow as a product.
    if type(y) is int and y in _UNROLLED:
        return functools.reduce(lambda power, _: power * x, range(y - 2), x**2)
    return x**y


def _pow_rule(g: Any, xp: Any, x: Any, y: Any) -> Any:
    if isinstance(y, int | float) and y == 2:
        return g * (y * x)
    return g * (y * xp.pow(x, y - 1))


def _exponent_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    has_logarithm = x != 0 if is_complex(x) else x > 0
    return g * (ans * xp.log(xp.where(has_logarithm, x, 1)))


pow = op(
    "pow(x, y)",
    """Raise `x` to the power of `y`; the gradient for `y` is 0 where `x` has no logarithm.

    >>> hg.pow([1.0, 2.0, 3.0], 2)
    Tensor([1., 4., 9.], shape=(3,), dtype=float64)
    """,
    _pow_rule,
    _exponent_rule,
    impl=_pow,
)

square = op(
    "square(x)",
    """Multiply each element by itself.

    >>> hg.square([1.0, 3.0])
    Tensor([1., 9.], shape=(2,), dtype=float64)
    """,
    lambda g, x: g * (2 * x),
    keeps_shape=True,
)

squared_difference = op(
    "squared_difference(x, y)",
    """Return `(x - y) ** 2` elementwise.

    >>> hg.squared_difference([1.0, 3.0], 2.0)
    Tensor([1., 1.], shape=(2,), dtype=float64)
    """,
    lambda g, x, y: g * (2 * (x - y)),
    lambda g, x, y: g * (2 * (y - x)),
    impl=lambda xp, x, y: xp.square(x - y),
)

sqrt = op(
    "sqrt(x)",
    """Return the square root of each element; its gradient at 0 is infinite.

    >>> hg.sqrt([1.0, 4.0])
    Tensor([1., 2.], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (0.5 / ans),
    keeps_shape=True,
)

rsqrt = op(
    "rsqrt(x)",
    """Return one over the square root of each element.

    >>> hg.rsqrt([1.0, 4.0])
    Tensor([1. , 0.5], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (-0.5 * ans * ans * ans),
    impl=lambda xp, x: 1 / xp.sqrt(x),
    keeps_shape=True,
)

hypot = op(
    "hypot(x, y)",
    """Return `sqrt(x**2 + y**2)` elementwise, without overflow on the way.

    >>> hg.hypot(3.0, 4.0)
    Tensor(5., shape=(), dtype=float64)
    """,
    lambda g, x, ans: g * (x / ans),
    lambda g, y, ans: g * (y / ans),
)

exp = op(
    "exp(x)",
    """Return e to the power of each element.

    >>> hg.exp([0.0, 1.0])
    Tensor([1.        , 2.71828183], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * ans,
    keeps_shape=True,
)

exp2 = op(
    "exp2(x)",
    """Return 2 to the power of each element.

    >>> hg.exp2([0.0, 3.0])
    Tensor([1., 8.], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (math.log(2) * ans),
    keeps_shape=True,
)

expm1 = op(
    "expm1(x)",
    """Return `exp(x) - 1`, accurate near 0.

    >>> hg.expm1([0.0, 1.0])
    Tensor([0.        , 1.71828183], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g * xp.exp(x),
    keeps_shape=True,
)

log = op(
    "log(x)",
    """Return the natural logarithm of each element.

    >>> hg.log([1.0, 2.0])
    Tensor([0.        , 0.69314718], shape=(2,), dtype=float64)
    """,
    lambda g, x: g / x,
    keeps_shape=True,
)

log1p = op(
    "log1p(x)",
    """Return `log(1 + x)`, accurate near 0.

    >>> hg.log1p([0.0, 1.0])
    Tensor([0.        , 0.69314718], shape=(2,), dtype=float64)
    """,
    lambda g, x: g / (1 + x),
    keeps_shape=True,
)

log2 = op(
    "log2(x)",
    """Return the logarithm to base 2 of each element.

    >>> hg.log2([1.0, 8.0])
    Tensor([0., 3.], shape=(2,), dtype=float64)
    """,
    lambda g, x: g / (math.log(2) * x),
    keeps_shape=True,
)

log10 = op(
    "log10(x)",
    """Return the logarithm to base 10 of each element.

    >>> hg.log10([1.0, 1000.0])
    Tensor([0., 3.], shape=(2,), dtype=float64)
    """,
    lambda g, x: g / (math.log(10) * x),
    keeps_shape=True,
)

logaddexp = op(
    "logaddexp(x, y)",
    """Return `log(exp(x) + exp(y))` elementwise, without overflow on the way.

    >>> hg.logaddexp(1000.0, 1000.0)
    Tensor(1000.69314718, shape=(), dtype=float64)
    """,
    lambda g, xp, x, ans: g * xp.exp(x - ans),
    lambda g, xp, y, ans: g * xp.exp(y - ans),
)

# -- trigonometry ----------------------------------------------------------------------------------

sin = op(
    "sin(x)",
    """Return the sine of each element, in radians.

    >>> hg.sin([0.0, 1.0])
    Tensor([0.        , 0.84147098], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g * xp.cos(x),
    keeps_shape=True,
)

cos = op(
    "cos(x)",
    """Return the cosine of each element, in radians.

    >>> hg.cos([0.0, 1.0])
    Tensor([1.        , 0.54030231], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: -g * xp.sin(x),
    keeps_shape=True,
)

tan = op(
    "tan(x)",
    """Return the tangent of each element, in radians.

    >>> hg.tan([0.0, 1.0])
    Tensor([0.        , 1.55740772], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (1 + ans * ans),
    keeps_shape=True,
)

asin = op(
    "asin(x)",
    """Return the inverse sine of each element.

    >>> hg.asin([0.0, 1.0])
    Tensor([0.        , 1.57079633], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g / xp.sqrt((1 - x) * (1 + x)),
    keeps_shape=True,
)

acos = op(
    "acos(x)",
    """Return the inverse cosine of each element.

    >>> hg.acos([0.0, 1.0])
    Tensor([1.57079633, 0.        ], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: -g / xp.sqrt((1 - x) * (1 + x)),
    keeps_shape=True,
)

atan = op(
    "atan(x)",
    """Return the inverse tangent of each element.

    >>> hg.atan([0.0, 1.0])
    Tensor([0.        , 0.78539816], shape=(2,), dtype=float64)
    """,
    lambda g, x: g / (1 + x * x),
    keeps_shape=True,
)


def _atan2_rule(g: Any, xp: Any, x: Any, y: Any) -> Any:
    radius = xp.hypot(x, y)
    return g * (x / radius / radius)


atan2 = op(
    "atan2(y, x)",
    """Return the angle of the point (x, y), from -pi to pi.

    >>> hg.atan2(1.0, -1.0)
    Tensor(2.35619449, shape=(), dtype=float64)
    """,
    lambda g, xp, x, y: _atan2_rule(g, xp, x, y),
    lambda g, xp, x, y: _atan2_rule(-g, xp, y, x),
)

sinh = op(
    "sinh(x)",
    """Return the hyperbolic sine of each element.

    >>> hg.sinh([0.0, 1.0])
    Tensor([0.        , 1.17520119], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g * xp.cosh(x),
    keeps_shape=True,
)

cosh = op(
    "cosh(x)",
    """Return the hyperbolic cosine of each element.

    >>> hg.cosh([0.0, 1.0])
    Tensor([1.        , 1.54308063], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g * xp.sinh(x),
    keeps_shape=True,
)

tanh = op(
    "tanh(x)",
    """Return the hyperbolic tangent of each element.

    >>> hg.tanh([0.0, 1.0])
    Tensor([0.        , 0.76159416], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (1 - ans * ans),
    keeps_shape=True,
)

asinh = op(
    "asinh(x)",
    """Return the inverse hyperbolic sine of each element.

    >>> hg.asinh([0.0, 1.0])
    Tensor([0.        , 0.88137359], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans: g / xp.cosh(ans),
    keeps_shape=True,
)

acosh = op(
    "acosh(x)",
    """Return the inverse hyperbolic cosine of each element.

    >>> hg.acosh([1.0, 2.0])
    Tensor([0.       , 1.3169579], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans: g / xp.sinh(ans),
    keeps_shape=True,
)

atanh = op(
    "atanh(x)",
    """Return the inverse hyperbolic tangent of each element.

    >>> hg.atanh([0.0, 0.5])
    Tensor([0.        , 0.54930614], shape=(2,), dtype=float64)
    """,
    lambda g, x: g / ((1 - x) * (1 + x)),
    keeps_shape=True,
)

# -- complex numbers and dtypes --------------------------------------------------------------------

conj = op(
    "conj(x)",
    """Return the complex conjugate of each element.

    >>> hg.conj([1 + 2j])
    Tensor([1.-2.j], shape=(1,), dtype=complex128)
    """,
    lambda g: turned(g),  # in g's own library: of constants in a compiled function it is another
    keeps_shape=True,
)

real = op(
    "real(x)",
    """Return the real part of each element.

    >>> hg.real([1 + 2j])
    Tensor([1.], shape=(1,), dtype=float64)
    """,
    pass_through,
)

imag = op(
    "imag(x)",
    """Return the imaginary part of each element.

    >>> hg.imag([1 + 2j])
    Tensor([2.], shape=(1,), dtype=float64)
    """,
    lambda g: g * -1j,
)


def _astype(xp: Any, x: Array, *, dtype: Any) -> Array:
    if hasattr(x, "astype"):
        return x.astype(dtype, copy=False)
    return xp.asarray(x, dtype=dtype)


astype_inexact = op(
    "astype_inexact(x, *, dtype)",
    "Convert to a floating or complex dtype; gradient passes, converted back.",
    pass_through,
    impl=_astype,
)

astype_integer = op(
    "astype_integer(x, *, dtype)",
    "Convert to an integer or boolean dtype; gradient stops.",
    None,
    impl=_astype,
    cut_kind="integer_cast",
)


@public
def astype(x: Any, dtype: Any) -> Tensor:
    """Convert to another dtype; gradient passes to floating and complex dtypes only.

    >>> import headgate as hg
    >>> hg.astype([1.5, -2.5], "int64")
    Tensor([ 1, -2], shape=(2,), dtype=int64)
    """
    row = astype_inexact if np.dtype(dtype).kind in "fcV" else astype_integer
    return row(x, dtype=dtype)


# -- choice ----------------------------------------------------------------------------------------

where = op(
    "where(condition, x, y)",
    """Take each element from `x` where the condition holds, and from `y` elsewhere.

    >>> hg.where([True, False], [1.0, 2.0], 0.0)
    Tensor([1., 0.], shape=(2,), dtype=float64)
    """,
    None,
    lambda g, xp, condition: xp.where(condition, g, 0),
    lambda g, xp, condition: xp.where(condition, 0, g),
)

maximum = op(
    "maximum(x, y)",
    """Return the larger of two elements; gradient goes to `x` where they are equal.

    >>> hg.maximum([1.0, 2.0], [3.0, 1.0])
    Tensor([3., 2.], shape=(2,), dtype=float64)
    """,
    lambda g, x, y: g * (x >= y),
    lambda g, x, y: g * (x < y),
)

minimum = op(
    "minimum(x, y)",
    """Return the smaller of two elements; gradient goes to `x` where they are equal.

    >>> hg.minimum([1.0, 2.0], [3.0, 1.0])
    Tensor([1., 1.], shape=(2,), dtype=float64)
    """,
    lambda g, x, y: g * (x <= y),
    lambda g, x, y: g * (x > y),
)

clip = op(
    "clip(x, min=None, max=None)",
    """Limit each element to the range from `min` to `max`; gradient passes inside and at the ends.

    >>> hg.clip([-1.0, 0.5, 3.0], 0.0, 1.0)
    Tensor([0. , 0.5, 1. ], shape=(3,), dtype=float64)
    """,
    lambda g, x, ans: g * (x == ans),
    lambda g, x, ans: g * (x < ans),
    lambda g, x, ans: g * (x > ans),
)

copysign = op(
    "copysign(x, y)",
    """Return `x` with the sign of `y`.

    >>> hg.copysign([1.0, -2.0], -1.0)
    Tensor([-1., -2.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, y: xp.where(xp.signbit(x) == xp.signbit(y), g, -g),
    None,
)

nextafter = op(
    "nextafter(x, y)",
    """Return the next floating number after `x` in the direction of `y`.

    >>> hg.nextafter(0.0, 1.0)
    Tensor(5.e-324, shape=(), dtype=float64)
    """,
    pass_through,
    None,
)

# -- without gradient: rounding, questions, bits ---------------------------------------------------

ceil = op("ceil(x)", "Round each element up.", None)
floor = op("floor(x)", "Round each element down.", None)
round = op("round(x)", "Round each element to the nearest integer, halves to even.", None)
trunc = op("trunc(x)", "Round each element towards 0.", None)

equal = op("equal(x, y)", "Tell where `x == y`.", None, None)
not_equal = op("not_equal(x, y)", "Tell where `x != y`.", None, None)
less = op("less(x, y)", "Tell where `x < y`.", None, None)
less_equal = op("less_equal(x, y)", "Tell where `x <= y`.", None, None)
greater = op("greater(x, y)", "Tell where `x > y`.", None, None)
greater_equal = op("greater_equal(x, y)", "Tell where `x >= y`.", None, None)

isfinite = op("isfinite(x)", "Tell which elements are neither infinite nor NaN.", None)
isinf = op("isinf(x)", "Tell which elements are infinite.", None)
isnan = op("isnan(x)", "Tell which elements are NaN.", None)
signbit = op("signbit(x)", "Tell which elements have the minus sign, -0.0 included.", None)

logical_and = op("logical_and(x, y)", "Tell where both elements are true.", None, None)
logical_or = op("logical_or(x, y)", "Tell where one of two elements is true, or both.", None, None)
logical_xor = op("logical_xor(x, y)", "Tell where exactly one of two elements is true.", None, None)
logical_not = op("logical_not(x)", "Tell which elements are false.", None)

bitwise_and = op("bitwise_and(x, y)", "Return the bits that both elements have.", None, None)
bitwise_or = op("bitwise_or(x, y)", "Return the bits that one of two elements has.", None, None)
bitwise_xor = op("bitwise_xor(x, y)", "Return the bits in which two elements differ.", None, None)
bitwise_invert = op("bitwise_invert(x)", "Invert the bits of each element.", None)
bitwise_left_shift = op(
    "bitwise_left_shift(x, y)", "Shift the bits of `x` left by `y`.", None, None
)
bitwise_right_shift = op(
    "bitwise_right_shift(x, y)", "Shift the bits of `x` right by `y`.", None, None
)

# -- activations -----------------------------------------------------------------------------------

relu = op(
    "relu(x)",
    """Return `maximum(x, 0)`; its gradient at 0 is 0.

    >>> hg.relu([-1.0, 2.0])
    Tensor([0., 2.], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (ans > 0),
    impl=lambda xp, x: xp.maximum(x, 0),
    # NumPy compares two arrays with vector instructions, but not an array with one number.
    impl_numpy=lambda xp, x: np.maximum(x, np.zeros(x.shape, x.dtype)),
    keeps_shape=True,
)

relu6 = op(
    "relu6(x)",
    """Return `minimum(maximum(x, 0), 6)`; its gradient at 0 and at 6 is 0.

    >>> hg.relu6([-1.0, 2.0, 8.0])
    Tensor([0., 2., 6.], shape=(3,), dtype=float64)
    """,
    lambda g, ans: g * ((ans > 0) & (ans < 6)),
    impl=lambda xp, x: xp.minimum(xp.maximum(x, 0), 6),
    keeps_shape=True,
)

leaky_relu = op(
    "leaky_relu(x, *, alpha=0.2)",
    """Return `x` where it is positive and `alpha * x` elsewhere; its gradient at 0 is `alpha`.

    >>> hg.leaky_relu([-1.0, 2.0])
    Tensor([-0.2,  2. ], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, alpha: xp.where(x > 0, g, alpha * g),
    impl=lambda xp, x, *, alpha: (xp.maximum if alpha <= 1 else xp.minimum)(x, alpha * x),
    keeps_shape=True,
)

elu = op(
    "elu(x, *, alpha=1.0)",
    """Return `x` where it is positive and `alpha * expm1(x)` elsewhere; its gradient at 0 is 1.

    >>> hg.elu([-1.0, 2.0])
    Tensor([-0.63212056,  2.        ], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, ans, alpha: xp.where(x < 0, g * (ans + alpha), g),
    impl=lambda xp, x, *, alpha: xp.maximum(x, 0) + alpha * xp.expm1(xp.minimum(x, 0)),
    keeps_shape=True,
)

# Klambauer et al. 2017, "Self-normalizing neural networks", equation 14.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805

selu = op(
    "selu(x)",
    """Return the scaled `elu` that keeps the mean 0 and the variance 1 of its input.

    >>> hg.selu([-1.0, 2.0])
    Tensor([-1.11133074,  2.10140197], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans: xp.where(ans < 0, g * (ans + _SELU_SCALE * _SELU_ALPHA), g * _SELU_SCALE),
    impl=lambda xp, x: _SELU_SCALE * xp.elu(x, alpha=_SELU_ALPHA),
    keeps_shape=True,
)


def _sigmoid(xp: Any, x: Array) -> Array:
    # exp(-x) may become infinite, and 1 / inf is the right result.
    with np.errstate(over="ignore"):
        below = xp.exp(-x)
    below += 1
    return 1 / below


def _log1p_exp(xp: Any, x: Array) -> Array:
    """Return log(1 + exp(-abs(x)))."""
    small = xp.exp(-xp.abs(x))
    if not isinstance(small, np.ndarray) or small.dtype != np.float32:
        return xp.log1p(small)
    # NumPy has vector code for log and none for log1p, which takes 20 times as long. W. Kahan's
    # correction of log(1 + e) for the rounding of 1 + e gives the same digits (HP-15C Advanced
    # Functions Handbook, 1982); where nothing is left of e, it is the result itself.
    rounded = small + 1
    kept = rounded - 1
    lost = kept == 0
    kept += lost
    result = np.log(rounded, out=rounded)
    result *= small
    result /= kept
    small *= lost
    result += small
    return result


sigmoid = op(
    "sigmoid(x)",
    """Return `1 / (1 + exp(-x))`.

    >>> hg.sigmoid([0.0, 1.0])
    Tensor([0.5       , 0.73105858], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (ans * (1 - ans)),
    impl=_sigmoid,
    keeps_shape=True,
)

softplus = op(
    "softplus(x)",
    """Return `log(1 + exp(x))`, without overflow on the way.

    >>> hg.softplus([0.0, 2.0])
    Tensor([0.69314718, 2.12692801], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g * xp.sigmoid(x),
    impl=lambda xp, x: xp.maximum(x, 0) + _log1p_exp(xp, x),
    keeps_shape=True,
)

log_sigmoid = op(
    "log_sigmoid(x)",
    """Return `log(sigmoid(x))`, accurate where `sigmoid(x)` is near 0.

    >>> hg.log_sigmoid(-1000.0)
    Tensor(-1000., shape=(), dtype=float64)
    """,
    lambda g, xp, x: g * xp.sigmoid(-x),
    impl=lambda xp, x: -xp.softplus(-x),
    keeps_shape=True,
)

softsign = op(
    "softsign(x)",
    """Return `x / (1 + abs(x))`.

    >>> hg.softsign([-1.0, 3.0])
    Tensor([-0.5 ,  0.75], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g / xp.square(1 + xp.abs(x)),
    impl=lambda xp, x: x / (1 + xp.abs(x)),
    keeps_shape=True,
)

hard_tanh = op(
    "hard_tanh(x)",
    """Return `clip(x, -1, 1)`.

    >>> hg.hard_tanh([-2.0, 0.5])
    Tensor([-1. ,  0.5], shape=(2,), dtype=float64)
    """,
    lambda g, x, ans: g * (x == ans),
    impl=lambda xp, x: xp.clip(x, -1, 1),
    keeps_shape=True,
)

hard_sigmoid = op(
    "hard_sigmoid(x)",
    """Return `relu6(x + 3) / 6`.

    >>> hg.hard_sigmoid([-4.0, 0.0])
    Tensor([0. , 0.5], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * ((ans > 0) & (ans < 1)) / 6,
    impl=lambda xp, x: xp.relu6(x + 3) / 6,
    keeps_shape=True,
)


def _silu_rule(g: Any, xp: Any, x: Any) -> Any:
    gate = xp.sigmoid(x)
    return g * (gate * (1 + x * (1 - gate)))


silu = op(
    "silu(x)",
    """Return `x * sigmoid(x)`.

    >>> hg.silu([-1.0, 2.0])
    Tensor([-0.26894142,  1.76159416], shape=(2,), dtype=float64)
    """,
    _silu_rule,
    impl=lambda xp, x: x * xp.sigmoid(x),
    keeps_shape=True,
)


def _mish_rule(g: Any, xp: Any, x: Any) -> Any:
    gate = xp.tanh(xp.softplus(x))
    return g * (gate + x * (1 - gate * gate) * xp.sigmoid(x))


mish = op(
    "mish(x)",
    """Return `x * tanh(softplus(x))`.

    >>> hg.mish([-1.0, 2.0])
    Tensor([-0.30340146,  1.94395896], shape=(2,), dtype=float64)
    """,
    _mish_rule,
    impl=lambda xp, x: x * xp.tanh(xp.softplus(x)),
    keeps_shape=True,
)

# W. J. Cody 1969, "Rational Chebyshev approximations for the error function", Mathematics of
# Computation 23: numerators and denominators, highest power first, of erf(x) / x in x * x for |x|
# up to 0.46875, and of erfc(x) * exp(x * x) in x from there on. The latter loses digits beyond 4,
# where erfc is small enough to hide that from erf.
_ERF = (
    (
        0.185777706184603153,
        3.16112374387056560,
        113.864154151050156,
        377.485237685302021,
        3209.37758913846947,
    ),
    (1.0, 23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062),
)
_ERFC = (
    (
        2.15311535474403846e-8,
        0.564188496988670089,
        8.88314979438837594,
        66.1191906371416295,
        298.635138197400131,
        881.952221241769090,
        1712.04761263407058,
        2051.07837782607147,
        1230.33935479799725,
    ),
    (
        1.0,
        15.7449261107098347,
        117.693950891312499,
        537.181101862009858,
        1621.38957456669019,
        3290.79923573345963,
        4362.61909014324716,
        3439.36767414372164,
        1230.33935480374942,
    ),
)


def _ratio(polynomials: tuple[tuple[float, ...], ...], x: Array) -> Array:
    top, bottom = (
        functools.reduce(lambda total, factor: total * x + factor, polynomial)
        for polynomial in polynomials
    )
    return top / bottom


def _erf(xp: Any, x: Array) -> Array:
    near = xp.clip(x, -0.46875, 0.46875)
    far = xp.clip(xp.abs(x), 0.46875, 6.0)  # from 6 on, erf is 1 in double precision
    tail = xp.exp(-far * far) * _ratio(_ERFC, far)
    return xp.where(x == near, near * _ratio(_ERF, near * near), xp.copysign(1 - tail, x))


erf = op(
    "erf(x)",
    """Return the error function of each element.

    >>> hg.erf([0.0, 1.0])
    Tensor([0.        , 0.84270079], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g * (2 / math.sqrt(math.pi) * xp.exp(-x * x)),
    impl_numpy=_erf,
    keeps_shape=True,
)

_SQRT_HALF = math.sqrt(0.5)
_GELU_INNER = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


def _gelu_gate(xp: Any, x: Array, approximate: bool) -> Array:
    """Return twice the normal distribution function, or its approximation."""
    if approximate:
        return 1 + xp.tanh(_GELU_INNER * (x + _GELU_CUBIC * x * x * x))
    return 1 + xp.erf(_SQRT_HALF * x)


def _gelu_rule(g: Any, xp: Any, x: Any, approximate: bool) -> Any:
    gate = _gelu_gate(xp, x, approximate)
    if approximate:
        slope = gate * (2 - gate) * (_GELU_INNER * (1 + 3 * _GELU_CUBIC * x * x))
    else:
        slope = _GELU_INNER * xp.exp(-0.5 * x * x)
    return g * (0.5 * (gate + x * slope))


gelu = op(
    "gelu(x, *, approximate=False)",
    """Return `x` times the normal distribution function of `x`, or its approximation by `tanh`.

    >>> hg.gelu([-1.0, 2.0])
    Tensor([-0.15865525,  1.95449974], shape=(2,), dtype=float64)
    """,
    _gelu_rule,
    impl=lambda xp, x, *, approximate: 0.5 * x * _gelu_gate(xp, x, approximate),
    keeps_shape=True,
)


def _sigmoid_cross_entropy(xp: Any, logits: Array, labels: Array) -> Array:
    if shape_of(labels) not in ((), shape_of(logits)):
        raise ValueError(
            f"logits and labels must have the same shape, got {logits.shape} and {labels.shape}; "
            "reshape one of them, or they would be broadcast against each other"
        )
    # In this order, what is left of a large logit and its label 1 is not lost in rounding.
    return xp.maximum(logits, 0) - logits * labels + _log1p_exp(xp, logits)


sigmoid_cross_entropy = op(
    "sigmoid_cross_entropy(logits, labels)",
    """Return `-labels * log(sigmoid(logits)) - (1 - labels) * log(1 - sigmoid(logits))`.

    It is accurate for logits of any size. `labels` are from 0 to 1, of the shape of `logits` or a
    single number.

    >>> hg.sigmoid_cross_entropy([0.0, 1000.0], [1.0, 1.0])
    Tensor([0.69314718, 0.        ], shape=(2,), dtype=float64)
    """,
    lambda g, xp, logits, labels: g * (xp.sigmoid(logits) - labels),
    lambda g, logits: -g * logits,
    impl=_sigmoid_cross_entropy,
)
