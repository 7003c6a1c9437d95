"""`tf.math`: elementwise functions and reductions under TensorFlow's names."""

from __future__ import annotations

from typing import Any

import numpy as _np

from headgate.core.namespace import TENSORS as _ops
from headgate.ops.operators import check_divisor
from headgate.tf import _arguments as _is
from headgate.tf._adapt import alike as _alike
from headgate.tf._adapt import binary as _binary
from headgate.tf._adapt import name_all as _name_all
from headgate.tf._adapt import reduction as _reduction
from headgate.tf._adapt import static as _static
from headgate.tf._adapt import tensor as _tensor
from headgate.tf._adapt import unary as _unary
from headgate.tf._arguments import checked as _checked
from headgate.tf._dtypes import (
    FIELD,
    FLOATS,
    NUMBERS,
    QUOTIENTS,
    REAL,
    SIGNED,
    SMALL,
    TRUTHS,
    WHOLE,
)
from headgate.tf._dtypes import dtype_of as _dtype_of
from headgate.tf._order import argmax, argmin, nan_last
from headgate.tf._segments import (
    invert_permutation,
    segment_max,
    segment_mean,
    segment_min,
    segment_prod,
    segment_sum,
    unsorted_segment_max,
    unsorted_segment_mean,
    unsorted_segment_min,
    unsorted_segment_prod,
    unsorted_segment_sqrt_n,
    unsorted_segment_sum,
)

_INT32, _INT64 = _np.dtype("int32"), _np.dtype("int64")


def _angle(x: Any) -> Any:
    """Return angles; those of real numbers have no gradient."""
    if x.dtype.kind == "c":
        return _ops.angle(x)
    return _ops.astype(_ops.where(_ops.less(x, 0), _np.pi, 0.0), x.dtype)


abs = _unary(_ops.abs, SIGNED)
acos = _unary(_ops.acos, FIELD)
acosh = _unary(_ops.acosh, FIELD)
asin = _unary(_ops.asin, FIELD)
asinh = _unary(_ops.asinh, FIELD)
atan = _unary(_ops.atan, FIELD)
atanh = _unary(_ops.atanh, FIELD)
ceil = _unary(_ops.ceil, FLOATS)
conj = _unary(_ops.conj, NUMBERS)
cos = _unary(_ops.cos, FIELD)
cosh = _unary(_ops.cosh, FIELD)
erf = _unary(_ops.erf, FLOATS)
exp = _unary(_ops.exp, FIELD)
expm1 = _unary(_ops.expm1, FIELD)
floor = _unary(_ops.floor, FLOATS)
imag = _unary(_ops.imag, argument="input")
is_finite = _unary(_ops.isfinite, FLOATS)
is_inf = _unary(_ops.isinf, FLOATS)
is_nan = _unary(_ops.isnan, FLOATS)
log = _unary(_ops.log, FIELD)
log1p = _unary(_ops.log1p, FIELD)
log_sigmoid = _unary(_ops.log_sigmoid, FLOATS)
logical_not = _unary(_ops.logical_not, TRUTHS)
negative = _unary(_ops.negative, SIGNED)
real = _unary(_ops.real, NUMBERS, "input")
reciprocal = _unary(_ops.reciprocal, FIELD)
rint = _unary(_ops.round, "fd")
round = _unary(_ops.round, REAL)
rsqrt = _unary(_ops.rsqrt, FIELD)
sigmoid = _unary(_ops.sigmoid, FIELD)
sign = _unary(_ops.sign, SIGNED)
sin = _unary(_ops.sin, FIELD)
sinh = _unary(_ops.sinh, FIELD)
softplus = _unary(_ops.softplus, FLOATS, "features")
softsign = _unary(_ops.softsign, FLOATS, "features")
sqrt = _unary(_ops.sqrt, FIELD)
square = _unary(_ops.square, NUMBERS)
angle = _unary(_angle, FIELD, "input")
bessel_i0 = _unary(_ops.i0, FLOATS)
bessel_i0e = _unary(_ops.i0e, FLOATS)
bessel_i1 = _unary(_ops.i1, FLOATS)
bessel_i1e = _unary(_ops.i1e, FLOATS)
digamma = _unary(_ops.digamma, FLOATS)
erfc = _unary(_ops.erfc, FLOATS)
erfcinv = _unary(_ops.erfcinv, FLOATS)
erfinv = _unary(_ops.erfinv, FLOATS)
lgamma = _unary(_ops.gammaln, FLOATS)
ndtri = _unary(_ops.ndtri, FLOATS)
tan = _unary(_ops.tan, FIELD)
tanh = _unary(_ops.tanh, FIELD)


def _small(function: Any) -> dict[str, Any]:
    """Return what quotients of small whole numbers are: float32 in TensorFlow."""
    return {SMALL: lambda x, y: function(*(_ops.astype(v, _np.float32) for v in (x, y)))}


def _dividing(function: Any) -> dict[str, Any]:
    """Return a function of whole numbers that refuses to divide by 0."""

    def divide(x: Any, y: Any) -> Any:
        check_divisor(x, y)
        return function(x, y)

    return {WHOLE: divide}


def _squared_length(x: Any, y: Any) -> Any:
    difference = _ops.subtract(x, y)
    return difference * _ops.conj(difference)


def _truncated(x: Any, y: Any) -> Any:
    return _ops.sign(x) * _ops.sign(y) * (_ops.abs(x) // _ops.abs(y))


def _multiply_no_nan(x: Any, y: Any) -> Any:
    zero = _ops.equal(y, 0)
    return _ops.where(zero, 0.0, _ops.multiply(x, _ops.where(zero, 0.0, y)))


def _at_nothing(function: Any) -> Any:
    """Return a function whose gradients are zero where x is, as TensorFlow has them."""

    def call(x: Any, y: Any) -> Any:
        return _ops.where(_ops.equal(x, 0) & _ops.equal(y, y), 0.0, function(x, y))

    return call


add = _binary(_ops.add, NUMBERS)
atan2 = _binary(_ops.atan2, FLOATS, "y", "x")
divide = truediv = _binary(_ops.divide, QUOTIENTS, others=_small(_ops.divide))
divide_no_nan = _binary(_ops.divide_no_nan, QUOTIENTS, others=_small(_ops.divide_no_nan))
equal = _binary(_ops.equal)
floordiv = _binary(
    lambda x, y: _ops.floor(_ops.divide(x, y)), FLOATS, others=_dividing(_ops.floor_divide)
)
floormod = mod = _binary(_ops.remainder, FLOATS, others=_dividing(_ops.remainder))
greater = _binary(_ops.greater, REAL)
greater_equal = _binary(_ops.greater_equal, REAL)
less = _binary(_ops.less, REAL)
less_equal = _binary(_ops.less_equal, REAL)
logical_and = _binary(_ops.logical_and, TRUTHS)
logical_or = _binary(_ops.logical_or, TRUTHS)
logical_xor = _binary(_ops.logical_xor, TRUTHS)
maximum = _binary(_ops.maximum, REAL)
minimum = _binary(_ops.minimum, REAL)
multiply = _binary(_ops.multiply, NUMBERS)
not_equal = _binary(_ops.not_equal)
pow = _binary(_ops.pow, SIGNED)
igamma = _binary(_ops.gammainc, FLOATS, "a", "x")
igammac = _binary(_ops.gammaincc, FLOATS, "a", "x")
multiply_no_nan = _binary(_multiply_no_nan, FIELD)
nextafter = _binary(_ops.nextafter, "fd", "x1", "x2")
polygamma = _binary(_ops.polygamma, "fd", "a", "x")
truncatediv = _binary(
    lambda x, y: _ops.trunc(_ops.divide(x, y)), FLOATS, others=_dividing(_truncated)
)
truncatemod = _binary(
    lambda x, y: x - _ops.trunc(_ops.divide(x, y)) * y,
    FLOATS,
    others=_dividing(lambda x, y: x - _truncated(x, y) * y),
)
xdivy = _binary(_at_nothing(_ops.xdivy), FIELD)
xlog1py = _binary(_at_nothing(_ops.xlog1py), FIELD)
xlogy = _binary(_at_nothing(_ops.xlogy), FIELD)
zeta = _binary(_ops.zeta, "fd", "x", "q")
squared_difference = _binary(
    _ops.squared_difference, FLOATS + "ilq", others={"FD": _squared_length}
)
subtract = _binary(_ops.subtract, NUMBERS)


def _whole_mean(x: Any, axis: Any, keepdims: bool) -> Any:
    """Return the mean of whole numbers, cut off to one."""
    wide = _np.uint64 if x.dtype.kind == "u" else _np.int64
    total = _ops.sum(x, axis=axis, keepdims=keepdims, dtype=wide)
    number = max(x.size // max(total.size, 1), 1)
    if x.dtype.kind == "u":
        return _ops.astype(total // number, x.dtype)
    return _ops.astype(_ops.sign(total) * (_ops.abs(total) // number), x.dtype)


reduce_all = _reduction(_ops.all, TRUTHS)
reduce_any = _reduction(_ops.any, TRUTHS)
reduce_logsumexp = _reduction(_ops.logsumexp, FLOATS)
reduce_max = _reduction(_ops.max, REAL, of_nothing=-_np.inf)
reduce_mean = _reduction(_ops.mean, FIELD, others={WHOLE: _whole_mean})
reduce_min = _reduction(_ops.min, REAL, of_nothing=_np.inf)
reduce_prod = _reduction(_ops.prod, NUMBERS, keeps=True)
reduce_std = _reduction(_ops.std, FIELD)
reduce_sum = _reduction(_ops.sum, NUMBERS, keeps=True)
reduce_variance = _reduction(_ops.var, FIELD)


@_checked(axis=_is.axes, keepdims=_is.truth)
def reduce_euclidean_norm(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """Return the Euclidean norm over axes, in the dtype of the tensor."""
    x = _tensor(input_tensor, NUMBERS, "math.reduce_euclidean_norm")
    axis = _static(axis)
    if x.dtype.kind in "iu":
        total = _ops.sum(x * x, axis=axis, keepdims=keepdims, dtype=x.dtype)
        return _ops.astype(_ops.sqrt(_ops.astype(total, _np.float64)), x.dtype)
    return _ops.astype(_ops.vector_norm(x, axis=axis, keepdims=keepdims), x.dtype)


@_checked(inputs=_is.same_shapes)
def add_n(inputs: Any, name: str | None = None) -> Any:
    """Add tensors of one shape."""
    total, *others = _alike(inputs)
    _tensor(total, NUMBERS, "math.add_n")
    for item in others:
        total = total + item
    return total


def complex(real: Any, imag: Any, name: str | None = None) -> Any:
    """Return complex numbers of their real and imaginary parts."""
    x, y = _alike([real, imag])
    _tensor(x, "fd", "complex")
    return _ops.complex_of(x, y)


def accumulate_n(
    inputs: Any, shape: Any = None, tensor_dtype: Any = None, name: str | None = None
) -> Any:
    """Add tensors of one shape."""
    return add_n(inputs)


def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Any:
    """Multiply a tensor by a number."""
    return multiply(_is.scalar("tf.math.scalar_mul", "scalar", scalar), x)


def reciprocal_no_nan(x: Any, name: str | None = None) -> Any:
    """Return one over each element, and 0 where it is 0."""
    x = _tensor(x, FIELD, "math.reciprocal_no_nan")
    return _ops.divide_no_nan(_ops.ones_like(x), x)


def betainc(a: Any, b: Any, x: Any, name: str | None = None) -> Any:
    """Return the incomplete beta function over the whole one."""
    a, b, x = _alike([a, b, x])
    return _ops.betainc(a, b, _tensor(x, "fd", "math.betainc"))


def lbeta(x: Any, name: str | None = None) -> Any:
    """Return the logarithm of the beta function of the last axis."""
    x = _tensor(x, "fde", "math.lbeta")
    if not x.shape[-1]:
        return _ops.full(x.shape[:-1], -_np.inf, dtype=x.dtype)
    return _ops.sum(_ops.gammaln(x), axis=-1) - _ops.gammaln(_ops.sum(x, axis=-1))


def polyval(coeffs: Any, x: Any, name: str | None = None) -> Any:
    """Return the polynomial of a list of coefficients, that of the highest power first."""
    if not isinstance(coeffs, list):
        raise _is.refused("tf.math.polyval", "coeffs", "a list", coeffs)
    x = _tensor(x)
    if not coeffs:
        return _ops.zeros_like(x)
    found, *others = _alike([*coeffs, x])[:-1]
    for coefficient in others:
        found = coefficient + found * x
    return found


@_checked(axis=_is.axes, keepdims=_is.truth)
def count_nonzero(
    input: Any,
    axis: Any = None,
    keepdims: bool | None = None,
    dtype: Any = _INT64,
    name: str | None = None,
) -> Any:
    """Count the elements that are not zero."""
    found = _ops.count_nonzero(_tensor(input), axis=_static(axis), keepdims=keepdims is True)
    return _ops.astype(found, _dtype_of(dtype))


@_checked(x=_is.ranked, axis=_is.axis, exclusive=_is.truth, reverse=_is.truth)
def cumulative_logsumexp(
    x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Any:
    """Return the logarithms of running sums of exponentials along an axis."""
    x = _tensor(x, FLOATS, "math.cumulative_logsumexp")
    axis = _static(axis) % x.ndim
    x = _ops.moveaxis(_ops.flip(x, axis=axis) if reverse else x, axis, -1)
    size = x.shape[-1]
    before = _np.tril(_np.ones((size, size), bool), -1 if exclusive else 0)
    wide = _ops.where(before, _ops.expand_dims(x, axis=-2), -_np.inf)
    found = _ops.moveaxis(_ops.logsumexp(wide, axis=-1), -1, axis)
    return _ops.flip(found, axis=axis) if reverse else found


def is_non_decreasing(x: Any, name: str | None = None) -> Any:
    """Tell whether no element is less than the one before it."""
    flat = _ops.reshape(_tensor(x, REAL, "math.is_non_decreasing"), (-1,))
    return _ops.all(_ops.less_equal(flat[:-1], flat[1:]))


def is_strictly_increasing(x: Any, name: str | None = None) -> Any:
    """Tell whether every element is greater than the one before it."""
    flat = _ops.reshape(_tensor(x, REAL, "math.is_strictly_increasing"), (-1,))
    return _ops.all(_ops.less(flat[:-1], flat[1:]))


def zero_fraction(value: Any, name: str | None = None) -> Any:
    """Return the share of elements that are zero, as float32."""
    x = _tensor(value, NUMBERS, "math.zero_fraction")
    return _ops.astype(1 - _ops.count_nonzero(x) / x.size, _np.float32)


@_checked(x=_is.ranked, axis=_is.axis, exclusive=_is.truth, reverse=_is.truth)
def cumsum(
    x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Any:
    """Return running sums along an axis."""
    return _running(
        _ops.cumulative_sum, _tensor(x, NUMBERS, "math.cumsum"), _static(axis), exclusive, reverse
    )


@_checked(x=_is.ranked, axis=_is.axis, exclusive=_is.truth, reverse=_is.truth)
def cumprod(
    x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Any:
    """Return running products along an axis."""
    return _running(
        _ops.cumulative_prod, _tensor(x, NUMBERS, "math.cumprod"), _static(axis), exclusive, reverse
    )


def _running(function: Any, x: Any, axis: int, exclusive: bool, reverse: bool) -> Any:
    """Return running results, with `exclusive` those of what comes before each element."""
    if reverse:
        x = _ops.flip(x, axis=axis)
    dtype = x.dtype if x.dtype.kind in "iu" else None
    found = function(x, axis=axis, dtype=dtype, include_initial=exclusive)
    if exclusive:
        found = found[(slice(None),) * (axis % x.ndim) + (slice(-1),)]
    return _ops.flip(found, axis=axis) if reverse else found


@_checked(axis=_is.axes, epsilon=(_is.like, "x"))
def l2_normalize(
    x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None, dim: Any = None
) -> Any:
    """Scale to Euclidean norm 1 along axes; `dim` is an older name for `axis`."""
    if dim is not None:
        if axis is not None:
            raise _is.refused("tf.math.l2_normalize", "dim", "None where axis is given", dim)
        axis = _is.axes("tf.math.l2_normalize", "dim", dim)
    return _ops.l2_normalize(
        _tensor(x, FIELD, "math.l2_normalize"), axis=_static(axis), epsilon=epsilon
    )


@_checked(k=_is.count, sorted=_is.truth)
def top_k(
    input: Any,
    k: int = 1,
    sorted: bool = True,
    index_type: Any = _INT32,
    name: str | None = None,
) -> Any:
    """Return the k greatest elements of the last axis and their indices, sorted in any case.

    NaN is never among the greatest, unless nothing else is left.
    """
    x = _tensor(input, REAL, "math.top_k")
    ranked = nan_last(x)
    values, order = found = _ops.top_k(ranked, k)
    if ranked is not x:
        values = _ops.take_along_axis(x, order, axis=-1)
    return type(found)(values, _ops.astype(order, _index_type(index_type)))


def _index_type(given: Any) -> Any:
    """Return a dtype of indices."""
    found = _dtype_of(given)
    if found not in (_np.int16, _np.int32, _np.int64):
        raise _is.refused("tf.math.top_k", "index_type", "tf.int16, tf.int32 or tf.int64", given)
    return found


@_checked(logits=_is.ranked, axis=_is.axis)
def softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """Return exp(logits) scaled to sum 1 along an axis, the last one if left out."""
    return _ops.softmax(_tensor(logits, FLOATS, "nn.softmax"), axis=-1 if axis is None else axis)


@_checked(logits=_is.ranked, axis=_is.axis)
def log_softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """Return the logarithm of softmax."""
    return _ops.log_softmax(
        _tensor(logits, FLOATS, "nn.log_softmax"), axis=-1 if axis is None else axis
    )


__all__ = [
    "abs",
    "accumulate_n",
    "acos",
    "acosh",
    "add",
    "add_n",
    "angle",
    "argmax",
    "argmin",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bessel_i0",
    "bessel_i0e",
    "bessel_i1",
    "bessel_i1e",
    "betainc",
    "ceil",
    "conj",
    "cos",
    "cosh",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "cumulative_logsumexp",
    "digamma",
    "divide",
    "divide_no_nan",
    "equal",
    "erf",
    "erfc",
    "erfcinv",
    "erfinv",
    "exp",
    "expm1",
    "floor",
    "floordiv",
    "floormod",
    "greater",
    "greater_equal",
    "igamma",
    "igammac",
    "imag",
    "invert_permutation",
    "is_finite",
    "is_inf",
    "is_nan",
    "is_non_decreasing",
    "is_strictly_increasing",
    "l2_normalize",
    "lbeta",
    "less",
    "less_equal",
    "lgamma",
    "log",
    "log1p",
    "log_sigmoid",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "multiply_no_nan",
    "ndtri",
    "negative",
    "nextafter",
    "not_equal",
    "polygamma",
    "polyval",
    "pow",
    "real",
    "reciprocal",
    "reciprocal_no_nan",
    "reduce_all",
    "reduce_any",
    "reduce_euclidean_norm",
    "reduce_logsumexp",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_std",
    "reduce_sum",
    "reduce_variance",
    "rint",
    "round",
    "rsqrt",
    "scalar_mul",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_prod",
    "segment_sum",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "squared_difference",
    "subtract",
    "tan",
    "tanh",
    "top_k",
    "truediv",
    "unsorted_segment_max",
    "unsorted_segment_mean",
    "unsorted_segment_min",
    "unsorted_segment_prod",
    "unsorted_segment_sqrt_n",
    "unsorted_segment_sum",
    "xdivy",
    "xlog1py",
    "xlogy",
    "zero_fraction",
    "zeta",
]

_name_all(globals(), [*__all__, "complex", "truncatediv", "truncatemod"])
