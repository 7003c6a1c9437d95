"""`tf.linalg` under TensorFlow's names."""

from __future__ import annotations

from headgate.core.namespace import TENSORS as _ops
from headgate.tf._adapt import binary as _binary
from headgate.tf._adapt import unary as _unary
from headgate.tf._core import einsum, eye, matmul, norm, tensordot
from headgate.tf._core import transpose as matrix_transpose

cholesky = _unary(_ops.cholesky)
det = _unary(_ops.det)
diag_part = _unary(_ops.diagonal)
eigh = _unary(_ops.eigh)
inv = _unary(_ops.inv)
slogdet = _unary(_ops.slogdet)
solve = _binary(_ops.solve)
trace = _unary(_ops.trace)

__all__ = [
    "cholesky",
    "det",
    "diag_part",
    "eigh",
    "einsum",
    "eye",
    "inv",
    "matmul",
    "matrix_transpose",
    "norm",
    "slogdet",
    "solve",
    "tensordot",
    "trace",
]
