"""`tf.linalg` under TensorFlow's names."""

from __future__ import annotations

from typing import Any

from headgate.core.namespace import TENSORS as _ops
from headgate.tf import _arguments as _is
from headgate.tf._adapt import matched as _matched
from headgate.tf._adapt import tensor as _tensor
from headgate.tf._adapt import unary as _unary
from headgate.tf._arguments import checked as _checked
from headgate.tf._core import einsum, eye, matmul, norm, tensordot

cholesky = _unary(_ops.cholesky, "input")
det = _unary(_ops.det, "input")
diag_part = _unary(_ops.diagonal, "input")
eigh = _unary(_ops.eigh, "tensor")
slogdet = _unary(_ops.slogdet, "input")
trace = _unary(_ops.trace)


@_checked(matrix=_is.matrices)
def adjoint(matrix: Any, name: str | None = None) -> Any:
    """Return each matrix transposed and conjugated."""
    return matrix_transpose(matrix, conjugate=True)


@_checked(a=_is.matrices, conjugate=_is.truth)
def matrix_transpose(a: Any, name: str = "matrix_transpose", conjugate: bool = False) -> Any:
    """Return each matrix transposed, and conjugated if asked."""
    moved = _ops.matrix_transpose(_tensor(a))
    return _ops.conj(moved) if conjugate else moved


@_checked(adjoint=_is.truth)
def inv(input: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """Return the inverse of each matrix, or of its adjoint."""
    found = _ops.inv(_tensor(input))
    return matrix_transpose(found, conjugate=True) if adjoint else found


@_checked(rhs=_is.matrices, adjoint=_is.truth)
def solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """Return X with `matrix @ X == rhs`, or with the adjoint of `matrix` in its place."""
    matrix, rhs = _matched(matrix, rhs)
    return _ops.solve(matrix_transpose(matrix, conjugate=True) if adjoint else matrix, rhs)


__all__ = [
    "adjoint",
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
