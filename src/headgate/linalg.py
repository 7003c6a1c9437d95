"""Linear algebra: the Array API's `linalg` extension, and functions of matrices."""

from headgate.ops.linalg.contract import einsum, tensordot
from headgate.ops.linalg.diagonals import diagonal, trace
from headgate.ops.linalg.factors import cholesky, qr
from headgate.ops.linalg.functions import expm, funm, logm, matrix_power, sqrtm
from headgate.ops.linalg.norms import matrix_norm, matrix_rank, norm, vector_norm
from headgate.ops.linalg.products import cross, kron, matmul, outer, vecdot
from headgate.ops.linalg.solvers import det, inv, pinv, slogdet, solve
from headgate.ops.linalg.spectra import eigh, eigvalsh, svd, svdvals
from headgate.ops.shape import matrix_transpose

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "einsum",
    "expm",
    "funm",
    "inv",
    "kron",
    "logm",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "sqrtm",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
