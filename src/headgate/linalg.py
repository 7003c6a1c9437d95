"""Linear algebra: the Array API's `linalg` extension, and functions of matrices."""

from headgate.ops.linalg.contract import einsum, tensordot
from headgate.ops.linalg.diagonals import diagonal, trace
from headgate.ops.linalg.factors import cholesky, lu, qr
from headgate.ops.linalg.functions import expm, funm, logm, matrix_power, sqrtm
from headgate.ops.linalg.least import lstsq
from headgate.ops.linalg.norms import matrix_norm, matrix_rank, norm, vector_norm
from headgate.ops.linalg.products import cross, kron, matmul, outer, vecdot
from headgate.ops.linalg.solvers import cho_solve, det, inv, pinv, slogdet, solve, solve_triangular
from headgate.ops.linalg.spectra import eig, eigh, eigvals, eigvalsh, svd, svdvals
from headgate.ops.shape import matrix_transpose

__all__ = [
    "cho_solve",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "einsum",
    "expm",
    "funm",
    "inv",
    "kron",
    "logm",
    "lstsq",
    "lu",
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
    "solve_triangular",
    "sqrtm",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
