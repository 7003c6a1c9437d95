"""Activations: elementwise functions of one array, as rows, and the loss that belongs to sigmoid.

Like the other elementwise rows (`headgate.ops.elementwise`), with the same conventions at kinks.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from headgate.core.checks import flag, number
from headgate.core.lift import shape_of
from headgate.core.namespace import TENSORS, Array
from headgate.core.op import op
from headgate.core.tensor import Tensor
from headgate.ops.elementwise import unary
from headgate.ops.rules import by_float32, floats, is_complex, masked, refuse_complex


def _relu(xp: Any, x: Array) -> Array:
    refuse_complex(x)
    return xp.maximum(x, 0)


def _relu_numpy(xp: Any, x: Array) -> Array:
    dtype = x.dtype
    if dtype.kind == "c":
        refuse_complex(x)
    # NumPy compares two arrays with vector instructions, but not an array with one number.
    return np.maximum(x, np.zeros(x.shape, dtype))


level = op(
    "level(g, x)",
    "Return g, in which x has a slope of zero: the slope at x that g was scaled by is constant.",
    lambda g: g,
    lambda g, xp, x: xp.zeros_like(x),
    impl=lambda xp, g, x: g,
    views=True,
)


def levelled(c: Any, x: Any) -> Any:
    """Return the gradient of an activation of straight parts, whose own gradient by x is zero.

    A mask would leave that None, and None means that x has no part in it. TensorFlow has zeros
    there, for the activations (and the largest of each window) and nothing else.
    """
    return TENSORS.level(c, x) if type(c) is Tensor else c


relu = unary(
    "relu(x)",
    """Return `maximum(x, 0)`; its gradient at 0 is 0.

    >>> hg.relu([-1.0, 2.0])
    Tensor([0., 2.], shape=(2,), dtype=float64)
    """,
    lambda g, ans: levelled(masked(g, ans > 0), ans),
    impl=_relu,
    impl_numpy=_relu_numpy,
)

relu6 = unary(
    "relu6(x)",
    """Return `minimum(maximum(x, 0), 6)`; its gradient at 0 and at 6 is 0.

    >>> hg.relu6([-1.0, 2.0, 8.0])
    Tensor([0., 2., 6.], shape=(3,), dtype=float64)
    """,
    lambda g, ans: levelled(masked(g, (ans > 0) & (ans < 6)), ans),
    impl=lambda xp, x: xp.minimum(xp.relu(x), 6),
)


@by_float32
def _leaky_relu(xp: Any, x: Array, *, alpha: float) -> Array:
    refuse_complex(x)
    return (xp.maximum if alpha <= 1 else xp.minimum)(x, alpha * x)


leaky_relu = op(
    "leaky_relu(x, *, alpha=0.2)",
    """Return `x` where it is positive and `alpha * x` elsewhere; its gradient at 0 is `alpha`.

    >>> hg.leaky_relu([-1.0, 2.0])
    Tensor([-0.2,  2. ], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, alpha: levelled(xp.where(x > 0, g, alpha * g), x),
    impl=_leaky_relu,
    checks={"alpha": (number,)},
)


@by_float32
def _elu(xp: Any, x: Array, *, alpha: float) -> Array:
    refuse_complex(x)
    return xp.maximum(x, 0) + alpha * xp.expm1(xp.minimum(x, 0))


elu = op(
    "elu(x, *, alpha=1.0)",
    """Return `x` where it is positive and `alpha * expm1(x)` elsewhere; its gradient at 0 is 1.

    >>> hg.elu([-1.0, 2.0])
    Tensor([-0.63212056,  2.        ], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x, ans, alpha: xp.where(x < 0, g * (ans + alpha), g),
    impl=_elu,
    checks={"alpha": (number,)},
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
    impl=by_float32(lambda xp, x: _SELU_SCALE * xp.elu(x, alpha=_SELU_ALPHA)),
)


def _sigmoid(xp: Any, x: Array) -> Array:
    # exp(-x) may become infinite, and 1 / inf is the right result.
    if hasattr(x, "dtype") and x.dtype.kind in "biu":  # `floats`, without a call
        x = x.astype(np.float64)
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


sigmoid = unary(
    "sigmoid(x)",
    """Return `1 / (1 + exp(-x))`.

    >>> hg.sigmoid([0.0, 1.0])
    Tensor([0.5       , 0.73105858], shape=(2,), dtype=float64)
    """,
    lambda g, ans: g * (ans * (1 - ans)),
    impl=_sigmoid,
)


@by_float32
def _softplus(xp: Any, x: Array) -> Array:
    if not is_complex(x):
        x = floats(x)
        return xp.maximum(x, 0) + _log1p_exp(xp, x)
    right = xp.real(x) > 0
    found = xp.log1p(xp.exp(xp.where(right, -x, x))) + xp.where(right, x, 0)
    # What was added on the right may have left the principal branch of the logarithm.
    turns = xp.round(xp.imag(found) / (2 * math.pi))
    return found - turns * found.dtype.type(2j * math.pi)


softplus = unary(
    "softplus(x)",
    """Return `log(1 + exp(x))`, without overflow on the way.

    >>> hg.softplus([0.0, 2.0])
    Tensor([0.69314718, 2.12692801], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x: g * xp.sigmoid(x),
    impl=_softplus,
)

log_sigmoid = unary(
    "log_sigmoid(x)",
    """Return `log(sigmoid(x))`, accurate where `sigmoid(x)` is near 0.

    >>> hg.log_sigmoid(-1000.0)
    Tensor(-1000., shape=(), dtype=float64)
    """,
    lambda g, xp, x: g * xp.sigmoid(-x),
    impl=lambda xp, x: -xp.softplus(-floats(x)),
)


def _softsign_rule(g: Any, xp: Any, x: Any) -> Any:
    size = 1 + xp.abs(x)
    if not is_complex(x):
        return g / xp.square(size)
    # abs(x) changes by Re(conj(x / abs(x)) dx)
    return g / size - xp.real(g * x) / xp.square(size) * xp.conj(xp.sign(x))


def _softsign(xp: Any, x: Array) -> Array:
    x = floats(x)
    return x / (1 + xp.abs(x))


softsign = unary(
    "softsign(x)",
    """Return `x / (1 + abs(x))`.

    >>> hg.softsign([-1.0, 3.0])
    Tensor([-0.5 ,  0.75], shape=(2,), dtype=float64)
    """,
    _softsign_rule,
    impl=_softsign,
)


@by_float32
def _hard_tanh(xp: Any, x: Array) -> Array:
    refuse_complex(x)
    return xp.clip(x, -1, 1)


hard_tanh = unary(
    "hard_tanh(x)",
    """Return `clip(x, -1, 1)`.

    >>> hg.hard_tanh([-2.0, 0.5])
    Tensor([-1. ,  0.5], shape=(2,), dtype=float64)
    """,
    lambda g, x, ans: masked(g, x == ans),
    impl=_hard_tanh,
)

hard_sigmoid = unary(
    "hard_sigmoid(x)",
    """Return `relu6(x + 3) / 6`.

    >>> hg.hard_sigmoid([-4.0, 0.0])
    Tensor([0. , 0.5], shape=(2,), dtype=float64)
    """,
    lambda g, ans: masked(g, (ans > 0) & (ans < 1)) / 6,
    impl=lambda xp, x: xp.relu6(floats(x) + 3) / 6,
)


def _silu_rule(g: Any, xp: Any, x: Any) -> Any:
    gate = xp.sigmoid(x)
    return g * (gate * (1 + x * (1 - gate)))


silu = unary(
    "silu(x)",
    """Return `x * sigmoid(x)`.

    >>> hg.silu([-1.0, 2.0])
    Tensor([-0.26894142,  1.76159416], shape=(2,), dtype=float64)
    """,
    _silu_rule,
    impl=lambda xp, x: x * xp.sigmoid(x),
)


def _mish_rule(g: Any, xp: Any, x: Any) -> Any:
    gate = xp.tanh(xp.softplus(x))
    return g * (gate + x * (1 - gate * gate) * xp.sigmoid(x))


mish = unary(
    "mish(x)",
    """Return `x * tanh(softplus(x))`.

    >>> hg.mish([-1.0, 2.0])
    Tensor([-0.30340146,  1.94395896], shape=(2,), dtype=float64)
    """,
    _mish_rule,
    impl=lambda xp, x: x * xp.tanh(xp.softplus(x)),
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


@by_float32
def _erf(xp: Any, x: Array) -> Array:
    refuse_complex(x)
    x = floats(xp.asarray(x))
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
    impl=by_float32(lambda xp, x, *, approximate: 0.5 * x * _gelu_gate(xp, x, approximate)),
    checks={"approximate": (flag,)},
)


@by_float32
def _sigmoid_cross_entropy(xp: Any, logits: Array, labels: Array) -> Array:
    refuse_complex(logits)
    if shape_of(labels) not in ((), shape_of(logits)):
        raise ValueError(
            f"logits and labels must have the same shape, got {logits.shape} and {labels.shape}; "
            "reshape one of them, or they would be broadcast against each other"
        )
    logits = floats(logits)
    # In this order, what is left of a large logit and its label 1 is not lost in rounding.
    return xp.maximum(logits, 0) - xp.multiply(logits, labels) + _log1p_exp(xp, logits)


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
