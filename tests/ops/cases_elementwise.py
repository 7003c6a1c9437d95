"""Cases of the ops in `headgate.ops.elementwise`."""

import math

import numpy as np

from headgate.testing import (
    OpCase,
    booleans,
    complexes,
    distinct,
    integers,
    positive,
    real,
    unit,
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def erf(x):
    return np.asarray(np.vectorize(math.erf, otypes=[float])(x), dtype=x.dtype)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x))


def gelu(x, approximate=False):
    if approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def cross_entropy(logits, labels):
    return -labels * np.log(sigmoid(logits)) - (1 - labels) * np.log(1 - sigmoid(logits))


MISMATCH = ([real(2), real(3)], {}, ValueError, "x: float64 .2.*y: float64 .3")
ASTYPE = {"reference": lambda x, dtype: x.astype(dtype)}  # NumPy's takes dtype by position only
BITS = [integers(3, 1), integers(4)]

CASES = [
    # arithmetic
    OpCase("add", [real(3, 1), real(4)], dtypes="fFc", bad=[MISMATCH]),
    OpCase("add", [real(3), 2.0], dtypes="fF"),
    OpCase("add", [real(3), complexes(3)]),
    OpCase("subtract", [real(3, 1), real(2, 1, 4)], dtypes="fFc"),
    OpCase("subtract", [2.0, real()], dtypes="fF"),
    OpCase("multiply", [real(3, 1), real(4)], dtypes="fFc", bad=[MISMATCH]),
    OpCase("multiply", [real(3), complexes(2, 3)]),
    OpCase("multiply", [real(0, 3), real(3)]),
    OpCase("multiply", [real(), -2]),
    OpCase("divide", [real(3, 1), positive(4)], dtypes="fFc"),
    OpCase("divide", [1, positive(2, 3)], dtypes="fF"),
    OpCase("divide", [complexes(3), positive(3)]),
    OpCase("divide", [integers(3), integers(3, low=1)], order=0),
    OpCase("divide_no_nan", [real(3, 1), positive(4)], reference=lambda x, y: x / y, dtypes="fFc"),
    OpCase("divide_no_nan", [real(3), 0.0], reference=lambda x, y: np.zeros_like(x), dtypes="fF"),
    # products and quotients of cotangents, in which zero stays zero
    OpCase("scaled", [real(3, 1), real(4)], reference=lambda x, slope: x * slope, dtypes="fFc"),
    OpCase("crossed", [real(3, 1), real(4)], reference=lambda x, y: x * y, dtypes="fFc"),
    OpCase("divided", [real(3, 1), positive(4)], reference=lambda x, by: x / by, dtypes="fFc"),
    OpCase("masked", [real(3, 1), booleans(4)], reference=lambda x, mask: x * mask, dtypes="fFc"),
    OpCase("floor_divide", [real(3, 1), positive(4)], order=0),
    OpCase("remainder", [real(3, 1), distinct(4)], dtypes="fF"),
    OpCase("negative", [real(3)], dtypes="fFc"),
    OpCase("positive", [real(3)], dtypes="fFc"),
    OpCase("identity", [real(3)], reference=lambda x: x, dtypes="fFc"),
    OpCase("abs", [distinct(3, 4)], dtypes="fF"),
    OpCase("abs", [complexes(3, 4)]),
    OpCase("sign", [distinct(4)], dtypes="fF"),
    OpCase("sign", [complexes(4)]),
    OpCase("reciprocal", [positive(2, 3)], dtypes="fFc"),
    # powers, roots, exponentials and logarithms
    OpCase("pow", [positive(3, 1), real(4)], dtypes="fFc"),
    OpCase("pow", [real(), 2], dtypes="fFc"),
    OpCase("pow", [real(4), 3], dtypes="fFc"),
    OpCase("pow", [distinct(4), -2], dtypes="fF"),
    OpCase("pow", [positive(4), 2.5], dtypes="fF"),
    OpCase("pow", [real(4), np.asarray([0, 1, 2, 5])]),
    OpCase("pow", [2.0, real(4)], dtypes="fF"),
    OpCase("pow", [complexes(4), real(4)]),
    OpCase("pow", [distinct(4), complexes(4)], reference=lambda x, y: (x + 0j) ** y),
    OpCase("pow", [-2.0, complexes(4)], reference=lambda x, y: (x + 0j) ** y),
    OpCase("pow", [integers(4), 3], order=0),
    OpCase("square", [real(3)], dtypes="fFc"),
    OpCase(
        "squared_difference",
        [real(3, 1), real(4)],
        reference=lambda x, y: (np.conj(x - y) * (x - y)).astype(x.dtype),  # TensorFlow's
        dtypes="fFc",
    ),
    OpCase("sqrt", [positive(3)], dtypes="fFc"),
    OpCase("rsqrt", [positive(3)], reference=lambda x: x**-0.5, dtypes="fFc"),
    OpCase("hypot", [distinct(3, 1), real(4)], dtypes="fF"),
    OpCase("exp", [real(3, 4)], dtypes="fFc"),
    OpCase("exp", [real(0, 3)]),
    OpCase("exp2", [real(3)], dtypes="fFc"),
    OpCase("expm1", [real(3)], dtypes="fFc"),
    OpCase("log", [positive(3)], dtypes="fFc"),
    OpCase("log1p", [unit(3)], dtypes="fFc"),
    OpCase("log2", [positive(3)], dtypes="fFc"),
    OpCase("log10", [positive(3)], dtypes="fFc"),
    OpCase("logaddexp", [real(3, 1), real(4)], dtypes="fF"),
    # trigonometry
    OpCase("sin", [real(3, 4)], dtypes="fFc"),
    OpCase("cos", [real(3)], dtypes="fFc"),
    OpCase("tan", [unit(3)], dtypes="fFc"),
    OpCase("asin", [unit(3)], dtypes="fFc"),
    OpCase("acos", [unit(3)], dtypes="fFc"),
    OpCase("atan", [unit(3)], dtypes="fFc"),
    OpCase("atan2", [distinct(3, 1), real(4)], dtypes="fF"),
    OpCase("sinh", [real(3)], dtypes="fFc"),
    OpCase("cosh", [real(3)], dtypes="fFc"),
    OpCase("tanh", [unit(3)], dtypes="fFc"),
    OpCase("asinh", [unit(3)], dtypes="fFc"),
    OpCase("acosh", [real(3, low=1.5, high=3.0)], dtypes="fFc"),
    OpCase("atanh", [unit(3)], dtypes="fFc"),
    # complex numbers and dtypes
    OpCase("conj", [real(3)], dtypes="fFc"),
    OpCase("real", [real(3)], dtypes="fFc"),
    OpCase("imag", [complexes(3)]),
    OpCase(
        "complex_of",
        [real(3, 1), real(4)],
        reference=lambda x, y: (x + 1j * y).astype(np.result_type(x, np.complex64)),
        dtypes="fF",
    ),
    OpCase("angle", [distinct(4)], dtypes="fF"),
    OpCase("angle", [complexes(2, 3)]),
    OpCase("astype_inexact", [real(3)], {"dtype": np.dtype("float64")}, dtypes="fF", **ASTYPE),
    OpCase("astype_inexact", [real(3)], {"dtype": "complex128"}, dtypes="fF", **ASTYPE),
    OpCase("astype_integer", [real(3)], {"dtype": np.int32}, order=0, **ASTYPE),
    OpCase("astype_integer", [integers(3)], {"dtype": bool}, order=0, **ASTYPE),
    OpCase("astype", [real(3)], {"dtype": "float64"}, dtypes="fF", **ASTYPE),
    OpCase("astype", [real(3)], {"dtype": "int64"}, order=0, **ASTYPE),
    # choice
    OpCase(
        "where",
        [booleans(3, 1), real(4), real()],
        dtypes="fFc",
        bad=[
            (
                [booleans(2), real(3), 0.0],
                {},
                ValueError,
                r"condition: bool \(2,\); x: float64 \(3,\)",
            ),
        ],
    ),
    OpCase("where", [booleans(3), real(2, 3), 0.0], dtypes="fF"),
    OpCase("maximum", [distinct(3, 4), distinct(4)], dtypes="fF"),
    OpCase("maximum", [distinct(3), 0.1], dtypes="fF"),
    OpCase("minimum", [distinct(3, 1), distinct(4)], dtypes="fF"),
    OpCase("clip", [distinct(8), -1.1, 1.1], dtypes="fF"),
    OpCase("clip", [distinct(2, 8), None, positive(8)], dtypes="fF"),
    OpCase("clip", [distinct(2, 8), real(2, 1, low=-2, high=-1), real(8, low=1)]),
    OpCase("clip", [distinct(2, 8), real(2, 1, low=1, high=2), real(8, low=-1, high=1)]),  # crossed
    OpCase("clip", [distinct(8), 1.1, -1.1], dtypes="fF"),
    OpCase("copysign", [distinct(4), distinct(3, 1)], dtypes="fF", wrt=[0]),
    OpCase("nextafter", [real(4), real(4)], dtypes="fF", wrt=[0]),
    # without gradient
    OpCase("ceil", [real(3)], order=0),
    OpCase("floor", [real(3)], order=0),
    OpCase("round", [real(3)], order=0),
    OpCase("trunc", [real(3)], order=0),
    OpCase("equal", [real(3), real(3)], order=0),
    OpCase("not_equal", [real(3), real(3)], order=0),
    OpCase("less", [real(3), 0.5], order=0),
    OpCase("less_equal", [real(3), 0.5], order=0),
    OpCase("greater", [real(3, 1), real(4)], order=0),
    OpCase("greater_equal", [real(3, 1), real(4)], order=0),
    OpCase("isfinite", [real(3)], order=0),
    OpCase("isinf", [real(3)], order=0),
    OpCase("isnan", [real(3)], order=0),
    OpCase("signbit", [real(3)], order=0),
    OpCase("isclose", [real(3, 1), real(3, 4)], {"rtol": 0.3, "atol": 0.1}, order=0),
    OpCase("isclose", [real(3), math.nan], {"equal_nan": True}, order=0),
    OpCase("logical_and", [booleans(3, 1), booleans(4)], order=0),
    OpCase("logical_or", [booleans(3, 1), booleans(4)], order=0),
    OpCase("logical_xor", [booleans(3, 1), booleans(4)], order=0),
    OpCase("logical_not", [booleans(3)], order=0),
    OpCase("bitwise_and", BITS, order=0),
    OpCase("bitwise_or", BITS, order=0),
    OpCase("bitwise_xor", BITS, order=0),
    OpCase("bitwise_invert", [integers(3)], order=0),
    OpCase("bitwise_left_shift", BITS, order=0),
    OpCase("bitwise_right_shift", BITS, order=0),
    # activations
    OpCase("level", [real(3, 4), real(3, 4)], reference=lambda g, x: g),
    OpCase("relu", [distinct(3, 4)], reference=lambda x: np.maximum(x, 0), dtypes="fF"),
    OpCase("relu", [integers(3, low=-5)], reference=lambda x: np.maximum(x, 0), order=0),
    OpCase("relu6", [distinct(20)], reference=lambda x: np.clip(x, 0, 6), dtypes="fF"),
    *(
        OpCase(
            "leaky_relu",
            [distinct(6)],
            statics,
            reference=lambda x, alpha=0.2: np.where(x > 0, x, alpha * x),
            dtypes="fF",
        )
        for statics in ({}, {"alpha": 3.0}, {"alpha": -0.5})
    ),
    OpCase("elu", [distinct(6)], reference=elu, dtypes="fF"),
    OpCase("elu", [distinct(6)], {"alpha": 0.3}, reference=elu),
    OpCase(
        "selu",
        [distinct(6)],
        reference=lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
        dtypes="fF",
    ),
    OpCase("sigmoid", [real(3, 4)], reference=sigmoid, dtypes="fFc"),
    OpCase("sigmoid", [real()], reference=sigmoid),
    OpCase("softplus", [real(5)], reference=lambda x: np.log1p(np.exp(x)), dtypes="fFc"),
    OpCase("softplus", [complexes(9, low=-9, high=9)], reference=lambda x: np.log(1 + np.exp(x))),
    OpCase("log_sigmoid", [real(5)], reference=lambda x: np.log(sigmoid(x)), dtypes="fFc"),
    OpCase("softsign", [distinct(5)], reference=lambda x: x / (1 + np.abs(x)), dtypes="fF"),
    OpCase("softsign", [complexes(5)], reference=lambda x: x / (1 + np.abs(x))),
    OpCase("hard_tanh", [distinct(9)], reference=lambda x: np.clip(x, -1, 1), dtypes="fF"),
    OpCase(
        "hard_sigmoid", [distinct(20)], reference=lambda x: np.clip(x / 6 + 0.5, 0, 1), dtypes="fF"
    ),
    OpCase("silu", [real(5)], reference=lambda x: x * sigmoid(x), dtypes="fFc"),
    OpCase("mish", [real(5)], reference=lambda x: x * np.tanh(np.log1p(np.exp(x))), dtypes="fFc"),
    OpCase("erf", [real(3, 40, low=-7, high=7)], reference=erf, dtypes="fF"),
    OpCase("erf", [real()], reference=erf),
    OpCase("gelu", [real(9, low=-4, high=4)], reference=gelu, dtypes="fF"),
    OpCase("gelu", [real(9)], {"approximate": True}, reference=gelu, dtypes="fFc"),
    OpCase(
        "sigmoid_cross_entropy",
        [real(2, 3), real(2, 3, low=0, high=1)],
        reference=cross_entropy,
        dtypes="fF",
        bad=[([real(2, 1), real(2)], {}, ValueError, "must have the same shape")],
    ),
    OpCase("sigmoid_cross_entropy", [real(3), 1.0], reference=cross_entropy, dtypes="fF"),
]
