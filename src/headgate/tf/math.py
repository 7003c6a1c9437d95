"""`tf.math`: elementwise functions and reductions under TensorFlow's names."""

from __future__ import annotations

from typing import Any

from headgate.core.namespace import TENSORS as _ops
from headgate.tf import _arguments as _is
from headgate.tf._adapt import alike as _alike
from headgate.tf._adapt import binary as _binary
from headgate.tf._adapt import reduction as _reduction
from headgate.tf._adapt import static as _static
from headgate.tf._adapt import tensor as _tensor
from headgate.tf._adapt import unary as _unary
from headgate.tf._arguments import checked as _checked
from headgate.tf._core import argmax, argmin

abs = _unary(_ops.abs)
acos = _unary(_ops.acos)
acosh = _unary(_ops.acosh)
asin = _unary(_ops.asin)
asinh = _unary(_ops.asinh)
atan = _unary(_ops.atan)
atanh = _unary(_ops.atanh)
ceil = _unary(_ops.ceil)
conj = _unary(_ops.conj)
cos = _unary(_ops.cos)
cosh = _unary(_ops.cosh)
erf = _unary(_ops.erf)
exp = _unary(_ops.exp)
expm1 = _unary(_ops.expm1)
floor = _unary(_ops.floor)
imag = _unary(_ops.imag, "input")
is_finite = _unary(_ops.isfinite)
is_inf = _unary(_ops.isinf)
is_nan = _unary(_ops.isnan)
log = _unary(_ops.log)
log1p = _unary(_ops.log1p)
log_sigmoid = _unary(_ops.log_sigmoid)
logical_not = _unary(_ops.logical_not)
negative = _unary(_ops.negative)
real = _unary(_ops.real, "input")
reciprocal = _unary(_ops.reciprocal)
round = rint = _unary(_ops.round)
rsqrt = _unary(_ops.rsqrt)
sigmoid = _unary(_ops.sigmoid)
sign = _unary(_ops.sign)
sin = _unary(_ops.sin)
sinh = _unary(_ops.sinh)
softplus = _unary(_ops.softplus, "features")
softsign = _unary(_ops.softsign, "features")
sqrt = _unary(_ops.sqrt)
square = _unary(_ops.square)
tan = _unary(_ops.tan)
tanh = _unary(_ops.tanh)

add = _binary(_ops.add)
atan2 = _binary(_ops.atan2, "y", "x")
divide = truediv = _binary(_ops.divide)
divide_no_nan = _binary(_ops.divide_no_nan)
equal = _binary(_ops.equal)
floordiv = _binary(_ops.floor_divide)
floormod = mod = _binary(_ops.remainder)
greater = _binary(_ops.greater)
greater_equal = _binary(_ops.greater_equal)
less = _binary(_ops.less)
less_equal = _binary(_ops.less_equal)
logical_and = _binary(_ops.logical_and)
logical_or = _binary(_ops.logical_or)
logical_xor = _binary(_ops.logical_xor)
maximum = _binary(_ops.maximum)
minimum = _binary(_ops.minimum)
multiply = _binary(_ops.multiply)
not_equal = _binary(_ops.not_equal)
pow = _binary(_ops.pow)
squared_difference = _binary(_ops.squared_difference)
subtract = _binary(_ops.subtract)

reduce_all = _reduction(_ops.all)
reduce_any = _reduction(_ops.any)
reduce_logsumexp = _reduction(_ops.logsumexp)
reduce_max = _reduction(_ops.max)
reduce_mean = _reduction(_ops.mean)
reduce_min = _reduction(_ops.min)
reduce_prod = _reduction(_ops.prod, keeps=True)
reduce_std = _reduction(_ops.std)
reduce_sum = _reduction(_ops.sum, keeps=True)
reduce_variance = _reduction(_ops.var)


@_checked(axis=_is.axes, keepdims=_is.truth)
def reduce_euclidean_norm(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """Return the Euclidean norm over axes."""
    x = _tensor(input_tensor)
    return _ops.vector_norm(x, axis=_static(axis), keepdims=keepdims)


@_checked(inputs=_is.same_shapes)
def add_n(inputs: Any, name: str | None = None) -> Any:
    """Add tensors of one shape."""
    total, *others = _alike(inputs)
    for item in others:
        total = total + item
    return total


@_checked(x=_is.ranked, axis=_is.axis, exclusive=_is.truth, reverse=_is.truth)
def cumsum(
    x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Any:
    """Return running sums along an axis."""
    return _running(_ops.cumulative_sum, _tensor(x), _static(axis), exclusive, reverse)


@_checked(x=_is.ranked, axis=_is.axis, exclusive=_is.truth, reverse=_is.truth)
def cumprod(
    x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Any:
    """Return running products along an axis."""
    return _running(_ops.cumulative_prod, _tensor(x), _static(axis), exclusive, reverse)


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
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None) -> Any:
    """Scale to Euclidean norm 1 along axes."""
    return _ops.l2_normalize(_tensor(x), axis=_static(axis), epsilon=epsilon)


@_checked(k=_is.count, sorted=_is.truth)
def top_k(input: Any, k: int = 1, sorted: bool = True, name: str | None = None) -> Any:
    """Return the k greatest elements of the last axis and their indices, sorted in any case."""
    return _ops.top_k(_tensor(input), k)


@_checked(logits=_is.ranked, axis=_is.axis)
def softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """Return exp(logits) scaled to sum 1 along an axis, the last one if left out."""
    return _ops.softmax(_tensor(logits), axis=-1 if axis is None else axis)


@_checked(logits=_is.ranked, axis=_is.axis)
def log_softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """Return the logarithm of softmax."""
    return _ops.log_softmax(_tensor(logits), axis=-1 if axis is None else axis)


__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "add_n",
    "argmax",
    "argmin",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "conj",
    "cos",
    "cosh",
    "cumprod",
    "cumsum",
    "divide",
    "divide_no_nan",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floordiv",
    "floormod",
    "greater",
    "greater_equal",
    "imag",
    "is_finite",
    "is_inf",
    "is_nan",
    "l2_normalize",
    "less",
    "less_equal",
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
    "negative",
    "not_equal",
    "pow",
    "real",
    "reciprocal",
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
]
