"""`tf.linalg` under TensorFlow's names."""

from __future__ import annotations

import builtins as _builtins
from typing import Any
from typing import NamedTuple as _NamedTuple

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
from headgate.tf._dtypes import dtype_of as _dtype_of
from headgate.tf._order import global_norm
from headgate.tf._products import einsum, matmul, norm, tensordot
from headgate.tf.math import l2_normalize

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


def svd(
    tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None
) -> Any:
    """Return singular values and the vectors on both sides, as columns; or the values alone."""
    x = _tensor(tensor, SOLVED, "linalg.svd")
    if not compute_uv:
        return _ops.svdvals(x)
    u, s, vh = _ops.svd(x, full_matrices=full_matrices)
    return s, u, matrix_transpose(vh, conjugate=True)


def eigvalsh(tensor: Any, name: str | None = None) -> Any:
    """Return the eigenvalues of symmetric matrices, in the dtype of the matrices."""
    x = _tensor(tensor, SOLVED, "linalg.eigvalsh")
    return _ops.astype(_ops.eigvalsh(x), x.dtype)


def eig(tensor: Any, name: str | None = None) -> Any:
    """Return the eigenvalues and eigenvectors of any square matrices, as complex numbers."""
    return tuple(_ops.eig(_tensor(tensor, SOLVED, "linalg.eig")))


def eigvals(tensor: Any, name: str | None = None) -> Any:
    """Return the eigenvalues of any square matrices, as complex numbers."""
    return eig(tensor)[0]


class Qr(_NamedTuple):
    """What `qr` returns."""

    q: Any
    r: Any


def qr(input: Any, full_matrices: bool = False, name: str | None = None) -> Any:
    """Return orthonormal columns and an upper triangle whose product each matrix is."""
    x = _tensor(input, SOLVED, "linalg.qr")
    return Qr(*_ops.qr(x, mode="complete" if full_matrices else "reduced"))


_INT32 = _np.dtype("int32")


class Lu(_NamedTuple):
    """What `lu` returns."""

    lu: Any
    p: Any


def lu(input: Any, output_idx_type: Any = _INT32, name: str | None = None) -> Any:
    """Return both triangles of each matrix as one matrix, and the order of its rows."""
    packed, order = _ops.lu(_tensor(input, SOLVED, "linalg.lu"))
    return Lu(packed, _ops.astype(order, _dtype_of(output_idx_type)))


def _triangles(packed: Any) -> tuple[Any, Any]:
    one = _ops.eye(packed.shape[-1], dtype=packed.dtype)
    return _ops.tril(packed, k=-1) + one, _ops.triu(packed)


def lu_reconstruct(
    lower_upper: Any, perm: Any, validate_args: bool = False, name: str | None = None
) -> Any:
    """Return the matrices that `lu` was given."""
    lower, upper = _triangles(_tensor(lower_upper))
    back = _ops.argsort(_tensor(perm))
    return _ops.take_along_axis(_ops.matmul(lower, upper), back[..., None], axis=-2)


def lu_solve(
    lower_upper: Any, perm: Any, rhs: Any, validate_args: bool = False, name: str | None = None
) -> Any:
    """Return X with `x @ X == rhs` for the matrices x that `lu` was given."""
    packed, rhs = _tensor(lower_upper), _tensor(rhs)
    moved = _ops.take_along_axis(rhs, _tensor(perm)[..., None], axis=-2)
    inner = _ops.solve_triangle(packed, moved, lower=True, unit_diagonal=True)
    return _ops.solve_triangle(packed, inner, lower=False, unit_diagonal=False)


@_checked(rhs=_is.matrices, lower=_is.truth, adjoint=_is.truth)
def triangular_solve(
    matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False, name: str | None = None
) -> Any:
    """Return X with `matrix @ X == rhs` for triangles, or with the adjoint in their place."""
    matrix, rhs = _matched(matrix, rhs)
    _tensor(matrix, SOLVED, "linalg.triangular_solve")
    return _ops.solve_triangular(matrix, rhs, trans=2 if adjoint else 0, lower=lower)


@_checked(rhs=_is.matrices)
def cholesky_solve(chol: Any, rhs: Any, name: str | None = None) -> Any:
    """Return X with `x @ X == rhs` for the matrices x that `chol` is the factor of."""
    chol, rhs = _matched(chol, rhs)
    return _ops.cho_solve((_tensor(chol, SOLVED, "linalg.cholesky_solve"), True), rhs)


def lstsq(
    matrix: Any,
    rhs: Any,
    l2_regularizer: float = 0.0,
    fast: bool = True,
    name: str | None = None,
) -> Any:
    """Return X that makes `matrix @ X` closest to `rhs`, by squares.

    `fast` solves the normal equations, to which `l2_regularizer` is added; without it the solution
    is that of the pseudo-inverse.
    """
    x, y = _matched(matrix, rhs)
    x, y = _tensor(x, SOLVED, "linalg.lstsq"), _tensor(y)
    if not fast:
        return _ops.matmul(_ops.pinv(x), y)
    x_adjoint = adjoint(x)
    tall = x.shape[-2] >= x.shape[-1]
    gram = _ops.matmul(x_adjoint, x) if tall else _ops.matmul(x, x_adjoint)
    if l2_regularizer:
        gram = gram + l2_regularizer * _ops.eye(gram.shape[-1], dtype=x.dtype)
    if tall:
        return _ops.solve(gram, _ops.matmul(x_adjoint, y))
    return _ops.matmul(x_adjoint, _ops.solve(gram, y))


def pinv(a: Any, rcond: Any = None, validate_args: bool = False, name: str | None = None) -> Any:
    """Return the pseudo-inverse of each matrix."""
    x = _tensor(a, SOLVED, "linalg.pinv")
    if rcond is None:
        rcond = 10.0 * max(x.shape[-2:]) * float(_np.finfo(x.dtype).eps)
    return _ops.pinv(x, rtol=rcond)


def logdet(matrix: Any, name: str | None = None) -> Any:
    """Return the logarithm of the determinant of positive definite matrices."""
    lower = _ops.cholesky(_tensor(matrix, SOLVED, "linalg.logdet"))
    return 2.0 * _ops.sum(_ops.log(_ops.real(_ops.diagonal(lower))), axis=-1)


@_checked(a=_is.matrices)
def matvec(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    adjoint_a: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Any:
    """Multiply matrices with vectors."""
    a, b = _matched(a, b)
    found = matmul(a, _ops.expand_dims(_tensor(b), axis=-1), transpose_a, False, adjoint_a)
    return _ops.squeeze(found, axis=-1)


def matrix_rank(
    a: Any, tol: Any = None, validate_args: bool = False, name: str | None = None
) -> Any:
    """Return how many singular values of each matrix are above `tol`."""
    x = _tensor(a, SOLVED, "linalg.matrix_rank")
    s = _ops.svdvals(x)
    if tol is None:
        tol = (
            float(_np.finfo(x.dtype).eps) * max(x.shape[-2:]) * _ops.max(s, axis=-1, keepdims=True)
        )
    return _ops.astype(_ops.count_nonzero(_ops.greater(s, tol), axis=-1), _np.int32)


def cross(a: Any, b: Any, name: str | None = None) -> Any:
    """Return the cross products of vectors along the last axis."""
    a, b = _matched(a, b)
    return _ops.cross(_tensor(a), _tensor(b))


@_checked(input=_is.matrices, num_lower=_is.axis, num_upper=_is.axis)
def band_part(input: Any, num_lower: Any, num_upper: Any, name: str | None = None) -> Any:
    """Keep a number of diagonals below and above the main one, all if negative."""
    x = _tensor(input)
    if num_lower >= 0:
        x = _ops.triu(x, k=-num_lower)
    return x if num_upper < 0 else _ops.tril(x, k=num_upper)


def normalize(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, name: str | None = None
) -> Any:
    """Return a tensor divided by its norm, and the norm."""
    length = norm(tensor, ord, axis, keepdims=True)
    return _ops.divide(_tensor(tensor), length), length


def _on_diagonal(x: Any, k: int) -> Any:
    """Return matrices with a vector each on the k-th diagonal."""
    size = x.shape[-1] + _builtins.abs(k)
    widths = [(0, 0)] * (x.ndim - 1) + [(max(-k, 0), max(k, 0))]
    return _ops.expand_dims(_ops.pad(x, widths), axis=-1) * _ops.eye(size, k=k, dtype=x.dtype)


@_checked(diagonal=_is.ranked, k=_is.axis, padding_value=_is.scalar)
def diag(
    diagonal: Any,
    name: str = "diag",
    k: Any = 0,
    num_rows: int = -1,
    num_cols: int = -1,
    padding_value: Any = 0,
    align: str = "RIGHT_LEFT",
) -> Any:
    """Return matrices that have vectors on their k-th diagonal.

    With one diagonal there is nothing to align.
    """
    x = _tensor(diagonal)
    made = _on_diagonal(x, k)
    rows, columns = x.shape[-1] + max(-k, 0), x.shape[-1] + max(k, 0)
    if num_rows < 0 and num_cols < 0:
        rows = columns = max(rows, columns)
    rows, columns = max(rows, num_rows), max(columns, num_cols)
    made = _in_shape(made, rows, columns)
    if not padding_value:
        return made
    there = _in_shape(_on_diagonal(_ops.ones_like(x), k), rows, columns)
    return _ops.where(there != 0, made, padding_value)


def _in_shape(x: Any, rows: int, columns: int) -> Any:
    """Return matrices cut, or filled with zeros, to a number of rows and columns."""
    x = x[..., :rows, :columns]
    widths = [(0, rows - x.shape[-2]), (0, columns - x.shape[-1])]
    return _ops.pad(x, [(0, 0)] * (x.ndim - 2) + widths)


@_checked(input=_is.matrices, k=_is.axis)
def set_diag(
    input: Any, diagonal: Any, name: str = "set_diag", k: Any = 0, align: str = "RIGHT_LEFT"
) -> Any:
    """Return matrices with vectors on their k-th diagonal in place of what is there."""
    x, values = _matched(input, diagonal)
    x, values = _tensor(x), _tensor(values)
    rows, columns = x.shape[-2:]
    there = _np.eye(rows, columns, k, dtype=bool)
    if values.shape[-1:] != (int(there.sum()),):
        raise _is.refused(
            "tf.linalg.set_diag", "diagonal", f"{int(there.sum())} numbers for each matrix", values
        )
    return _ops.where(there, _in_shape(_on_diagonal(values, k), rows, columns), x)


def tensor_diag(diagonal: Any, name: str | None = None) -> Any:
    """Return a tensor of twice the axes that has another one on its diagonal."""
    x = _tensor(diagonal)
    return _ops.reshape(_on_diagonal(_ops.reshape(x, (-1,)), 0), (*x.shape, *x.shape))


def tensor_diag_part(input: Any, name: str | None = None) -> Any:
    """Return the diagonal of a tensor whose first axes have the sizes of its last ones."""
    x = _tensor(input)
    half = x.shape[: x.ndim // 2]
    if x.ndim % 2 or x.shape != (*half, *half):
        raise _is.refused("tf.linalg.tensor_diag_part", "input", "a tensor of shape (*s, *s)", x)
    size = int(_np.prod(half))
    return _ops.reshape(_ops.diagonal(_ops.reshape(x, (size, size))), half)


__all__ = [
    "adjoint",
    "band_part",
    "cholesky",
    "cholesky_solve",
    "cross",
    "diag",
    "eig",
    "eigvals",
    "eigvalsh",
    "global_norm",
    "l2_normalize",
    "logdet",
    "lstsq",
    "lu",
    "lu_reconstruct",
    "lu_solve",
    "matrix_rank",
    "matvec",
    "normalize",
    "pinv",
    "qr",
    "set_diag",
    "svd",
    "tensor_diag",
    "tensor_diag_part",
    "triangular_solve",
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
