"""`tf.linalg` under TensorFlow's names."""

from __future__ import annotations

from typing import Any

import numpy as _np

from headgate.core.namespace import TENSORS as _ops
from headgate.tf import _arguments as _is
from headgate.tf._adapt import matched as _matched
from headgate.tf._adapt import name_all as _name_all
from headgate.tf._adapt import tensor as _tensor
from headgate.tf._adapt import unary as _unary
from headgate.tf._arguments import checked as _checked
from headgate.tf._creation import eye
from headgate.tf._dtypes import COMPLEX, FIELD, NUMBERS, SOLVED
from headgate.tf._products import einsum, matmul, norm, tensordot

cholesky = _unary(_ops.cholesky, SOLVED, "input")
det = _unary(_ops.det, SOLVED, "input")
expm = _unary(_ops.expm, SOLVED, "input")
logm = _unary(_ops.logm, COMPLEX, "input")
sqrtm = _unary(_ops.sqrtm, SOLVED, "input")


def eigh(tensor: Any, name: str | None = None) -> Any:
    """Return the eigenvalues, in the dtype of the matrices, and eigenvectors of symmetric matrices.

    What is above the diagonal is not read.
    """
    x = _tensor(tensor, SOLVED, "linalg.eigh")
    values, vectors = found = _ops.eigh(x)
    return type(found)(_ops.astype(values, x.dtype), vectors)


def slogdet(input: Any, name: str | None = None) -> Any:
    """Return sign and logarithm of the determinant of each matrix, in its dtype."""
    x = _tensor(input, SOLVED, "linalg.slogdet")
    sign, logarithm = found = _ops.slogdet(x)
    return type(found)(sign, _ops.astype(logarithm, x.dtype))


def trace(x: Any, name: str | None = None) -> Any:
    """Return the sum of the diagonal of each matrix, in its dtype."""
    x = _tensor(x, NUMBERS, "linalg.trace")
    return _ops.astype(_ops.trace(x), x.dtype)


@_checked(input=_is.matrices, k=_is.axis, padding_value=_is.scalar)
def diag_part(
    input: Any,
    name: str = "diag_part",
    k: Any = 0,
    padding_value: Any = 0,
    align: str = "RIGHT_LEFT",
) -> Any:
    """Return the diagonal of each matrix, or the one that is `k` above it.

    With one diagonal there is nothing to pad or to align.
    """
    return _ops.diagonal(_tensor(input), offset=k)


@_checked(matrix=_is.matrices)
def adjoint(matrix: Any, name: str | None = None) -> Any:
    """Return each matrix transposed and conjugated."""
    return matrix_transpose(matrix, conjugate=True)


@_checked(a=_is.matrices, conjugate=_is.truth)
def matrix_transpose(a: Any, name: str = "matrix_transpose", conjugate: bool = False) -> Any:
    """Return each matrix transposed, and conjugated if asked."""
    moved = _ops.matrix_transpose(_tensor(a))
    return _ops.conj(moved) if conjugate and moved.dtype.kind == "c" else moved


@_checked(adjoint=_is.truth)
def inv(input: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """Return the inverse of each matrix, or of its adjoint."""
    x = _tensor(input, FIELD, "linalg.inv")
    half = x.dtype if x.dtype.itemsize == 2 else None
    found = _ops.inv(x if half is None else _ops.astype(x, _np.float32))
    found = found if half is None else _ops.astype(found, half)
    return matrix_transpose(found, conjugate=True) if adjoint else found


@_checked(rhs=_is.matrices, adjoint=_is.truth)
def solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """Return X with `matrix @ X == rhs`, or with the adjoint of `matrix` in its place."""
    matrix, rhs = _matched(matrix, rhs)
    _tensor(matrix, SOLVED, "linalg.solve")
    return _ops.solve(matrix_transpose(matrix, conjugate=True) if adjoint else matrix, rhs)


__all__ = [
    "adjoint",
    "cholesky",
    "det",
    "diag_part",
    "eigh",
    "einsum",
    "expm",
    "eye",
    "inv",
    "logm",
    "matmul",
    "matrix_transpose",
    "norm",
    "slogdet",
    "solve",
    "sqrtm",
    "tensordot",
    "trace",
]

_name_all(globals(), __all__)
