"""Calls of TensorFlow's functions with matrices of every dtype, and what TensorFlow says to them.

`python -m tests.tf_semantics.dtype_calls` writes dtypes.json, where TensorFlow is installed: for
each call the dtypes that it takes, and the dtypes of what it returns.
"""

import importlib
import json
import os
import pathlib
import warnings

import numpy as np

RECORD = pathlib.Path(__file__).with_name("dtypes.json")

DTYPES = [
    *("float16", "float32", "float64", "complex64", "complex128", "bool"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
]

UNARY = """
    abs acos acosh argmax argmin argsort asin asinh atan atanh cos cosh exp floor identity
    logical_not negative norm ones_like rank reduce_all reduce_any reduce_logsumexp reduce_max
    reduce_mean reduce_min reduce_prod reduce_sum round shape sigmoid sign sin sinh size sort
    sqrt square squeeze tan tanh transpose zeros_like math.ceil math.conj math.cumprod
    math.cumsum math.erf math.expm1 math.imag math.is_finite math.is_inf math.is_nan
    math.l2_normalize math.log math.log1p math.log_sigmoid math.real math.reciprocal
    math.reduce_euclidean_norm math.reduce_std math.reduce_variance math.rint math.rsqrt
    math.softplus math.softsign math.top_k nn.elu nn.gelu nn.leaky_relu nn.log_softmax nn.relu
    nn.relu6 nn.selu nn.silu nn.softmax linalg.adjoint linalg.det linalg.diag_part linalg.eigh
    linalg.expm linalg.inv linalg.logm linalg.matrix_transpose linalg.slogdet linalg.sqrtm
    linalg.trace
"""

BINARY = """
    add atan2 divide equal greater greater_equal less less_equal logical_and logical_or matmul
    maximum minimum multiply not_equal pow subtract math.divide_no_nan math.floordiv
    math.floormod math.logical_xor math.squared_difference
    nn.sigmoid_cross_entropy_with_logits nn.softmax_cross_entropy_with_logits linalg.solve
"""


def _at(tf, name):
    for part in name.split("."):
        tf = getattr(tf, part)
    return tf


CALLS = {
    **{name: lambda tf, x, name=name: _at(tf, name)(x) for name in UNARY.split()},
    **{name: lambda tf, x, name=name: _at(tf, name)(x, x) for name in BINARY.split()},
    "add_n": lambda tf, x: tf.math.add_n([x, x]),
    "argmax(output_type=int32)": lambda tf, x: tf.argmax(x, output_type=tf.int32),
    "bias_add": lambda tf, x: tf.nn.bias_add(x, x[0]),
    "boolean_mask": lambda tf, x: tf.boolean_mask(x, [True, False]),
    "clip_by_norm": lambda tf, x: tf.clip_by_norm(x, 1),
    "clip_by_value": lambda tf, x: tf.clip_by_value(x, x, x),
    "concat": lambda tf, x: tf.concat([x, x], 0),
    "dropout": lambda tf, x: tf.nn.dropout(x, 0.5),
    "einsum": lambda tf, x: tf.einsum("ij,jk", x, x),
    "gather": lambda tf, x: tf.gather(x, [0]),
    "gather_nd": lambda tf, x: tf.gather_nd(x, [[0]]),
    "linspace": lambda tf, x: tf.linspace(x[0, 0], x[1, 1], 3),
    "meshgrid": lambda tf, x: tf.meshgrid(x, x),
    "moments": lambda tf, x: tf.nn.moments(x, 0),
    "norm(ord=1)": lambda tf, x: tf.norm(x, 1),
    "norm(ord=inf)": lambda tf, x: tf.norm(x, np.inf),
    "norm(ord=1, axis=(0, 1))": lambda tf, x: tf.norm(x, 1, axis=(0, 1)),
    "one_hot": lambda tf, x: tf.one_hot(x, 3),
    "one_hot(on_value=, off_value=)": lambda tf, x: tf.one_hot([0], 3, x[0, 0], x[0, 1]),
    "pad": lambda tf, x: tf.pad(x, [[0, 0], [1, 1]]),
    "range": lambda tf, x: tf.range(x[1, 1]),
    "reduce_max(empty)": lambda tf, x: tf.reduce_max(x[:0], 0),
    "reduce_mean(axis=1)": lambda tf, x: tf.reduce_mean(x, 1),
    "reshape": lambda tf, x: tf.reshape(x, [-1]),
    "reverse": lambda tf, x: tf.reverse(x, [0]),
    "sort(DESCENDING)": lambda tf, x: tf.sort(x, direction="DESCENDING"),
    "sparse_cross_entropy": lambda tf, x: tf.nn.sparse_softmax_cross_entropy_with_logits(
        logits=x, labels=[0, 1]
    ),
    "stack": lambda tf, x: tf.stack([x, x]),
    "tensor_scatter_nd_add": lambda tf, x: tf.tensor_scatter_nd_add(x, [[0]], x[:1]),
    "tensor_scatter_nd_update": lambda tf, x: tf.tensor_scatter_nd_update(x, [[0]], x[:1]),
    "tensordot": lambda tf, x: tf.tensordot(x, x, 1),
    "tile": lambda tf, x: tf.tile(x, [1, 2]),
    "truediv(x, 2)": lambda tf, x: tf.math.truediv(x, 2),
    "unstack": lambda tf, x: tf.unstack(x),
    "where(x)": lambda tf, x: tf.where(x),
    "where(condition, x, x)": lambda tf, x: tf.where([[True], [False]], x, x),
}

MATRIX = np.array([[1, 2], [3, 5]])


def dtypes_of(result):
    """Return the names of the dtypes of a result, or of several."""
    parts = result if isinstance(result, list | tuple) else [result]
    return ",".join(np.asarray(part).dtype.name for part in parts)


def record():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    warnings.simplefilter("ignore")
    tf = importlib.import_module("tensorflow")
    found = {}
    for name, call in CALLS.items():
        found[name] = taken = {}
        for dtype in DTYPES:
            try:
                taken[dtype] = dtypes_of(call(tf, tf.constant(MATRIX.astype(dtype))))
            except Exception:  # refused, in one of many ways
                continue
    lines = [f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found)]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record()
