"""Elementwise ops: arithmetic, powers, trigonometry, comparison, choice.

A rule gives the derivative of one element; broadcasting is the walk's business. For a holomorphic f
it is `g * f'(x)`, complex or not; only what is not holomorphic (`abs`, `sign`, `conj`, `imag`) has
to conjugate (`headgate.ops.rules`).

At kinks and ties there is no right derivative, only a convention, and it is TensorFlow's: the first
of two equal arguments of `maximum` gets all, `abs` and `relu` have slope 0 at 0, `clip` passes
gradient at both ends. Where a mask decides, it multiplies (`masked`), which is several times as
fast as `where`; only the rules of `where` itself choose instead, because `where(x > 0, f(x), 0)` is
how a program keeps a NaN out. Where a slope may be infinite, a zero cotangent stays zero (`scaled`,
`divided`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.core.checks import flag, number, on_host
from headgate.core.cotangent import pass_through, turned
from headgate.core.namespace import Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops.rules import (
    crossed,
    divided,
    is_complex,
    kept_mask,
    kept_zero,
    kept_zeros,
    masked,
    may_be_nan,
    scaled,
)

_DOUBLE = np.dtype(float)

unary: Callable[..., Callable[..., Tensor]] = functools.partial(op, keeps_shape=True)
"""An op whose results, and those of its rules, have the shape and dtype of its one argument.

Not for rules with Python floats in them: those make bfloat16 float32."""

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
    lambda g, y: divided(g, y),
    lambda g, y, ans: scaled(-g, ans / y),
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

_scaled = op(
    "scaled(x, slope)",
    "Multiply a cotangent by a slope; zero stays zero (`headgate.ops.rules`).",
    lambda g, slope: scaled(g, slope),
    lambda g, x: crossed(g, x),
    impl=lambda xp, x, slope: kept_zero(x, x * slope),
)

_crossed = op(
    "crossed(x, y)",
    "Multiply two cotangents; zero stays zero, on either side (`headgate.ops.rules`).",
    lambda g, y: crossed(g, y),
    lambda g, x: crossed(g, x),
    impl=lambda xp, x, y: kept_zeros(x, y, x * y),
)

_divided = op(
    "divided(x, by)",
    "Divide a cotangent; zero stays zero (`headgate.ops.rules`).",
    lambda g, by: divided(g, by),
    lambda g, by, ans: crossed(-g, divided(ans, by)),
    impl=lambda xp, x, by: kept_zero(x, x / by),
)

_masked = op(
    "masked(x, mask)",
    "Leave out of a cotangent what a mask does not hold (`headgate.ops.rules`).",
    lambda g, mask: masked(g, mask),
    None,
    impl=lambda xp, x, mask: kept_mask(x, x * mask, mask),
)

floor_divide = op("floor_divide(x, y)", "Divide elementwise and round down.", None, None)

remainder = op(
    "remainder(x, y)",
    """Return the remainder of `floor_divide`, which has the sign of `y`.

    >>> hg.remainder([5.5, -5.5], 2.0)
    Tensor([1.5, 0.5], shape=(2,), dtype=float64)
    """,
    pass_through,
    lambda g, xp, x, y: scaled(-g, xp.floor_divide(x, y)),
)

negative = unary(
    "negative(x)",
    """Change the sign of each element.

    >>> hg.negative([1.0, -2.0])
    Tensor([-1.,  2.], shape=(2,), dtype=float64)
    """,
    lambda g: -g,
)

positive = unary(
    "positive(x)",
    """Return each element as it is.

    >>> hg.positive([1.0, -2.0])
    Tensor([ 1., -2.], shape=(2,), dtype=float64)
    """,
    pass_through,
)

identity = unary(
    "identity(x)",
    """Return a new tensor of the same value; gradient passes.

    >>> hg.identity([1.0, -2.0])
    Tensor([ 1., -2.], shape=(2,), dtype=float64)
    """,
    pass_through,
    impl=lambda xp, x: x,
    views=True,
)


def _abs_rule(g: Any, xp: Any, x: Any) -> Any:
    c = g * xp.sign(x)
    return xp.conj(c) if c.dtype.kind == "c" else c


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
    return xp.conj(xp.divide_no_nan(xp.conj(g) - ans * ans * g, 2 * xp.abs(x)))


sign = unary(
    "sign(x)",
    """Return -1, 0 or 1 for each element, `x / abs(x)` if complex; gradient is 0 if real.

    >>> hg.sign([-1.5, 0.0, 2.0])
    Tensor([-1.,  0.,  1.], shape=(3,), dtype=float64)
    """,
    _sign_rule,
)

reciprocal = unary(
    "reciprocal(x)",
    """Return one over each element.

    >>> hg.reciprocal([0.5, 4.0])
    Tensor([2.  , 0.25], shape=(2,), dtype=float64)
    """,
    lambda g, x: divided(-g, x * x),
)

# -- powers, roots, exponentials and logarithms ----------------------------------------------------

_UNROLLED = range(3, 9)


def _pow(xp: Any, x: Array, y: Array) -> Array:
    # NumPy has a fast way for squares only; its general one is thirty times as slow as a product.
    if type(y) is int and y in _UNROLLED:
        return functools.reduce(lambda power, _: power * x, range(y - 2), x**2)
    return x**y


def _pow_rule(g: Any, xp: Any, x: Any, y: Any) -> Any:
    if not isinstance(y, int | float):
        # Where y is 0, the power of x may be infinite and the slope is 0.
        return scaled(g, scaled(y, xp.pow(x, y - 1)))
    if y == 0:
        return g * 0
    if y == 2:
        return g * (y * x)
    slope = y * xp.pow(x, y - 1)
    return g * slope if type(y) is int and y > 0 else scaled(g, slope)


def _exponent_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    if is_complex(ans):
        base = xp.astype(xp.where(x != 0, x, 1), ans.dtype)
    else:
        base = xp.where(x > 0, x, 1)
    return scaled(g, ans * xp.log(base))


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

square = unary(
    "square(x)",
    """Multiply each element by itself.

    >>> hg.square([1.0, 3.0])
    Tensor([1., 9.], shape=(2,), dtype=float64)
    """,
    lambda g, x: g * (2 * x),
)


def _squared_difference(xp: Any, x: Array, y: Array) -> Array:
    apart = x - y
    return xp.conj(apart) * apart if is_complex(apart) else xp.square(apart)


def _squared_difference_rule(g: Any, xp: Any, x: Any, y: Any) -> Any:
    if not (is_complex(x) or is_complex(y)):
        return g * (2 * (x - y))
    return xp.real(g) * (2 * xp.conj(x - y))


squared_difference = op(
    "squared_difference(x, y)",
    """Return `(x - y) ** 2` elementwise; of complex numbers `abs(x - y) ** 2`, as a complex number.

    >>> hg.squared_difference([1.0, 3.0], 2.0)
    Tensor([1., 1.], shape=(2,), dtype=float64)
    """,
    _squared_difference_rule,
    lambda g, xp, x, y: _squared_difference_rule(g, xp, y, x),
    impl=_squared_difference,
)

sqrt = unary(
    "sqrt(x)",
    """Return the square root of each element; its gradient at 0 is infinite.

    >>> hg.sqrt([1.0, 4.0])
    Tensor([1., 2.], shape=(2,), dtype=float64)
    """,
    lambda g, ans: divided(g, ans + ans),
)

rsqrt = unary(
    "rsqrt(x)",
    """Return one over the square root of each element.

    >>> hg.rsqrt([1.0, 4.0])
    Tensor([1. , 0.5], shape=(2,), dtype=float64)
    """,
    lambda g, x, ans: divided(-g, 2 * (x / ans)),
    impl=lambda xp, x: 1 / xp.sqrt(x),
)

hypot = op(
    "hypot(x, y)",
    """Return `sqrt(x**2 + y**2)` elementwise, without overflow on the way.

    >>> hg.hypot(3.0, 4.0)
    Tensor(5., shape=(), dtype=float64)
    """,
    lambda g, x, ans: scaled(g, x / ans),
    lambda g, y, ans: scaled(g, y / ans),
)

exp = unary(
    "exp(x)",
    """Return e to the power of each element.

    >>> hg.exp([0.0, 1.0])
    Tensor([1.        , 2.71828183], shape=(2,), dtype=float64)
    """,
    lambda g, ans: scaled(g, ans),
)

exp2 = op(
    "exp2(x)",
    """Return 2 to the power of each element.

    >>> hg.exp2([0.0, 3.0])
    Tensor([1., 8.], shape=(2,), dtype=float64)
    """,
    lambda g, ans: scaled(g, math.log(2) * ans),
)

expm1 = unary(
    "expm1(x)",
    """Return `exp(x) - 1`, accurate near 0.

    >>> hg.expm1([0.0, 1.0])
    Tensor([0.        , 1.71828183], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: scaled(g, xp.exp(x)),
)

log = unary(
    "log(x)",
    """Return the natural logarithm of each element.

    >>> hg.log([1.0, 2.0])
    Tensor([0.        , 0.69314718], shape=(2,), dtype=float64)
    """,
    lambda g, x: divided(g, x),
)

log1p = unary(
    "log1p(x)",
    """Return `log(1 + x)`, accurate near 0.

    >>> hg.log1p([0.0, 1.0])
    Tensor([0.        , 0.69314718], shape=(2,), dtype=float64)
    """,
    lambda g, x: divided(g, 1 + x),
)

log2 = op(
    "log2(x)",
    """Return the logarithm to base 2 of each element.

    >>> hg.log2([1.0, 8.0])
    Tensor([0., 3.], shape=(2,), dtype=float64)
    """,
    lambda g, x: divided(g, math.log(2) * x),
)

log10 = op(
    "log10(x)",
    """Return the logarithm to base 10 of each element.

    >>> hg.log10([1.0, 1000.0])
    Tensor([0., 3.], shape=(2,), dtype=float64)
    """,
    lambda g, x: divided(g, math.log(10) * x),
)


def _logaddexp_rule(g: Any, xp: Any, x: Any, ans: Any) -> Any:
    """What is as infinite as the result has the slope 1, or 0 if both are negative."""
    below = x - ans
    if may_be_nan(below):
        below = xp.where(x == ans, xp.where(ans == -math.inf, ans, xp.zeros_like(ans)), below)
    return scaled(g, xp.exp(below))


logaddexp = op(
    "logaddexp(x, y)",
    """Return `log(exp(x) + exp(y))` elementwise, without overflow on the way.

    >>> hg.logaddexp(1000.0, 1000.0)
    Tensor(1000.69314718, shape=(), dtype=float64)
    """,
    _logaddexp_rule,
    lambda g, xp, y, ans: _logaddexp_rule(g, xp, y, ans),
)

# -- trigonometry ----------------------------------------------------------------------------------

sin = unary(
    "sin(x)",
    """Return the sine of each element, in radians.

    >>> hg.sin([0.0, 1.0])
    Tensor([0.        , 0.84147098], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g * xp.cos(x),
)

cos = unary(
    "cos(x)",
    """Return the cosine of each element, in radians.

    >>> hg.cos([0.0, 1.0])
    Tensor([1.        , 0.54030231], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: -g * xp.sin(x),
)

tan = unary(
    "tan(x)",
    """Return the tangent of each element, in radians.

    >>> hg.tan([0.0, 1.0])
    Tensor([0.        , 1.55740772], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (1 + ans * ans),
)

asin = unary(
    "asin(x)",
    """Return the inverse sine of each element.

    >>> hg.asin([0.0, 1.0])
    Tensor([0.        , 1.57079633], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: divided(g, xp.sqrt((1 - x) * (1 + x))),
)

acos = unary(
    "acos(x)",
    """Return the inverse cosine of each element.

    >>> hg.acos([0.0, 1.0])
    Tensor([1.57079633, 0.        ], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: divided(-g, xp.sqrt((1 - x) * (1 + x))),
)

atan = unary(
    "atan(x)",
    """Return the inverse tangent of each element.

    >>> hg.atan([0.0, 1.0])
    Tensor([0.        , 0.78539816], shape=(2,), dtype=float64)
    """,
    lambda g, x: g / (1 + x * x),
)


def _atan2_rule(g: Any, xp: Any, x: Any, y: Any) -> Any:
    radius = xp.hypot(x, y)
    return scaled(g, x / radius / radius)


atan2 = op(
    "atan2(y, x)",
    """Return the angle of the point (x, y), from -pi to pi.

    >>> hg.atan2(1.0, -1.0)
    Tensor(2.35619449, shape=(), dtype=float64)
    """,
    lambda g, xp, x, y: _atan2_rule(g, xp, x, y),
    lambda g, xp, x, y: _atan2_rule(-g, xp, y, x),
)

sinh = unary(
    "sinh(x)",
    """Return the hyperbolic sine of each element.

    >>> hg.sinh([0.0, 1.0])
    Tensor([0.        , 1.17520119], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: scaled(g, xp.cosh(x)),
)

cosh = unary(
    "cosh(x)",
    """Return the hyperbolic cosine of each element.

    >>> hg.cosh([0.0, 1.0])
    Tensor([1.        , 1.54308063], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: scaled(g, xp.sinh(x)),
)

tanh = unary(
    "tanh(x)",
    """Return the hyperbolic tangent of each element.

    >>> hg.tanh([0.0, 1.0])
    Tensor([0.        , 0.76159416], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (1 - ans * ans),
)

asinh = unary(
    "asinh(x)",
    """Return the inverse hyperbolic sine of each element.

    >>> hg.asinh([0.0, 1.0])
    Tensor([0.        , 0.88137359], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans: g / xp.cosh(ans),
)

acosh = unary(
    "acosh(x)",
    """Return the inverse hyperbolic cosine of each element.

    >>> hg.acosh([1.0, 2.0])
    Tensor([0.       , 1.3169579], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans: divided(g, xp.sinh(ans)),
)

atanh = unary(
    "atanh(x)",
    """Return the inverse hyperbolic tangent of each element.

    >>> hg.atanh([0.0, 0.5])
    Tensor([0.        , 0.54930614], shape=(2,), dtype=float64)
    """,
    lambda g, x: divided(g, (1 - x) * (1 + x)),
)

# -- complex numbers and dtypes --------------------------------------------------------------------

conj = unary(
    "conj(x)",
    """Return the complex conjugate of each element.

    >>> hg.conj([1 + 2j])
    Tensor([1.-2.j], shape=(1,), dtype=complex128)
    """,
    lambda g: turned(g),  # in g's own library: of constants in a compiled function it is another
)

real = op(
    "real(x)",
    """Return the real part of each element.

    >>> hg.real([1 + 2j])
    Tensor([1.], shape=(1,), dtype=float64)
    """,
    pass_through,
    views=True,
)

imag = op(
    "imag(x)",
    """Return the imaginary part of each element.

    >>> hg.imag([1 + 2j])
    Tensor([2.], shape=(1,), dtype=float64)
    """,
    lambda g: g * -1j,
    views=True,
)


def _complex_of_numpy(xp: Any, x: Array, y: Array) -> Array:
    parts = np.broadcast_arrays(_real_part(x), _real_part(y))
    made = np.empty(parts[0].shape, np.result_type(*parts, np.complex64))
    made.real, made.imag = parts
    return made


def _real_part(x: Array) -> Array:
    if is_complex(x):
        raise TypeError(
            f"takes real parts, and one has the dtype {np.asarray(x).dtype}: it makes complex128 "
            "and complex64 of real numbers"
        )
    return np.asarray(x)


complex_of = op(
    "complex_of(x, y)",
    """Return complex numbers of their real and imaginary parts.

    >>> from headgate.ops.elementwise import complex_of
    >>> complex_of([1.0, 2.0], 3.0)
    Tensor([1.+3.j, 2.+3.j], shape=(2,), dtype=complex128)
    """,
    pass_through,
    lambda g: g * 1j,
    impl_numpy=_complex_of_numpy,
)


def _angle(xp: Any, x: Array) -> Array:
    return xp.atan2(xp.imag(x), xp.real(x)) if is_complex(x) else xp.atan2(xp.zeros_like(x), x)


angle = op(
    "angle(x)",
    """Return the angle of each number in the complex plane, from -pi to pi; of reals 0 or pi.

    >>> hg.angle([1j, -1.0])
    Tensor([1.57079633, 3.14159265], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: divided(g * -1j, x) if is_complex(x) else xp.zeros_like(g),
    impl=_angle,
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
    views=True,
)

astype_integer = op(
    "astype_integer(x, *, dtype)",
    "Convert to an integer or boolean dtype; gradient stops.",
    None,
    impl=_astype,
    cut_kind="integer_cast",
    views=True,
)


@public
def astype(x: Any, dtype: Any, copy: bool = True, device: Any = None) -> Tensor:
    """Convert to another dtype; gradient passes to floating and complex dtypes only.

    `copy` is there for the standard's sake: whether tensors share memory, nobody can tell.

    >>> import headgate as hg
    >>> hg.astype([1.5, -2.5], "int64")
    Tensor([ 1, -2], shape=(2,), dtype=int64)
    """
    if device is not None:
        on_host("astype", device)
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
    lambda g, x, y: masked(g, x >= y),
    lambda g, x, y: masked(g, x < y),
)

minimum = op(
    "minimum(x, y)",
    """Return the smaller of two elements; gradient goes to `x` where they are equal.

    >>> hg.minimum([1.0, 2.0], [3.0, 1.0])
    Tensor([1., 1.], shape=(2,), dtype=float64)
    """,
    lambda g, x, y: masked(g, x <= y),
    lambda g, x, y: masked(g, x > y),
)


def _unless_crossed(chosen: Any, min: Any, max: Any) -> Any:
    """Return where `x` or `min` was chosen: nowhere that `min > max`, for the result is `max`."""
    if min is None or max is None:
        return chosen
    ordered = min <= max
    return chosen if ordered is True else chosen & ordered  # the bounds are mostly numbers


def _clip_rule(g: Any, x: Any, ans: Any, min: Any, max: Any) -> Any:
    return masked(g, _unless_crossed(x == ans, min, max))


def _low_rule(g: Any, x: Any, ans: Any, min: Any, max: Any) -> Any:
    return masked(g, _unless_crossed(x < ans, min, max))


def _high_rule(g: Any, x: Any, ans: Any, min: Any, max: Any) -> Any:
    chosen = x > ans
    return masked(g, chosen if min is None else chosen | (min > max))


def _clip_numpy(xp: Any, x: Array, min: Array | None, max: Array | None) -> Array:
    if getattr(x, "dtype", _DOUBLE).kind != "V":
        return np.clip(x, min, max)
    if min is not None:  # NumPy's clip makes bfloat16 float32
        x = np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


clip = op(
    "clip(x, min=None, max=None)",
    """Limit each element to the range from `min` to `max`; gradient passes inside and at the ends.

    The result is `max`, and so is what gradient goes to, where `min` is greater.

    >>> hg.clip([-1.0, 0.5, 3.0], 0.0, 1.0)
    Tensor([0. , 0.5, 1. ], shape=(3,), dtype=float64)
    """,
    _clip_rule,
    _low_rule,
    _high_rule,
    impl_numpy=_clip_numpy,
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

isclose = op(
    "isclose(x, y, *, rtol=1e-05, atol=1e-08, equal_nan=False)",
    """Tell where `abs(x - y) <= atol + rtol * abs(y)`.

    >>> hg.isclose([1.0, 2.0], [1.0 + 1e-9, 2.1])
    Tensor([ True, False], shape=(2,), dtype=bool)
    """,
    None,
    None,
    checks={"rtol": (number, "[0, inf)"), "atol": (number, "[0, inf)"), "equal_nan": (flag,)},
)

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
