"""Products of matrices, sums of products, and norms."""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor
from headgate.tf import _arguments as _is
from headgate.tf._adapt import alike, convert_to_tensor, matched, static
from headgate.tf._arguments import checked as _checked
from headgate.tf._dtypes import FIELD, PRODUCTS, SIGNED, check, dtype_of
from headgate.tf._variables import is_tensor

_MATRIX = "a matrix, or several: two axes or more; tf.linalg.matvec is for vectors"


def _one_or_two(whose: str, name: str, value: Any) -> Any:
    """Return the axis of vectors, or the two of matrices."""
    found = _is.axes(whose, name, value)
    if isinstance(found, tuple) and (len(found) not in (1, 2) or len({*found}) < len(found)):
        raise _is.refused(whose, name, "an axis, two of them, or None for all", value)
    return found


def _order(whose: str, name: str, value: Any) -> Any:
    """Return the order of a norm: a text, or a positive number."""
    if isinstance(value, str):
        return _is.checks.choice(whose, name, value, ("euclidean", "fro"))
    return _is.checks.number(whose, name, value, "(0, inf]")


@_checked(ord=_order, axis=_one_or_two, keepdims=_is.truth)
def norm(
    tensor: Any,
    ord: Any = "euclidean",
    axis: Any = None,
    keepdims: bool | None = None,
    name: str | None = None,
) -> Tensor:
    """Return a norm of vectors, or of matrices if `axis` has two entries."""
    kind, keepdims = 2 if ord == "euclidean" else ord, keepdims is True
    x, axes = convert_to_tensor(tensor), static(axis)
    whole = x.dtype.kind == "i" and kind in (1, np.inf)
    check("norm", x.dtype, SIGNED if whole else FIELD)
    if isinstance(axes, tuple) and len(axes) == 2 and ord != "euclidean":
        found = ops.matrix_norm(ops.moveaxis(x, axes, (-2, -1)), ord=ord)
        if keepdims:
            found = ops.expand_dims(found, axis=tuple(sorted(axis % x.ndim for axis in axes)))
    else:
        if ord == "fro":
            kind = 2
        found = ops.vector_norm(x, axis=axes, ord=kind, keepdims=keepdims)
    if whole or (x.dtype.kind == "c" and ord in ("euclidean", "fro")):
        return ops.astype(found, x.dtype)  # type: ignore[no-any-return]
    return found  # type: ignore[no-any-return]


def einsum(
    equation: str, *inputs: Any, optimize: Any = "greedy", name: str | None = None
) -> Tensor:
    """Sum products of tensors by Einstein's convention; `optimize` has no effect on the result.

    >>> import headgate.tf as tf
    >>> tf.einsum("ij,kj->ik", tf.ones((1, 3)), tf.ones((2, 3))).numpy()
    array([[3., 3.]], dtype=float32)
    """
    parts = alike(inputs)
    check("einsum", parts[0].dtype, PRODUCTS)
    return ops.einsum(parts, subscripts=equation)  # type: ignore[no-any-return]


def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    output_type: Any = None,
    grad_a: bool = False,
    grad_b: bool = False,
    name: str | None = None,
) -> Tensor:
    """Multiply matrices, either of them transposed first if asked.

    Whole numbers are multiplied in the dtype that `output_type` names.
    """
    if type(a) is not Tensor or type(b) is not Tensor or a.value.dtype != b.value.dtype:
        a, b = matched(a, b)
        a, b = (x if is_tensor(x) else convert_to_tensor(x) for x in (a, b))
    check("matmul", a.dtype, PRODUCTS)
    if output_type is not None and dtype_of(output_type) != a.dtype:
        wanted = dtype_of(output_type)
        if a.dtype.kind not in "iu" or wanted.kind not in "iu":
            raise _is.refused("tf.matmul", "output_type", f"{a.dtype}, that of a and b", wanted)
        a, b = ops.astype(a, wanted), ops.astype(b, wanted)
    if a.ndim < 2 or b.ndim < 2:
        raise _is.refused("tf.matmul", *(("a", _MATRIX, a) if a.ndim < 2 else ("b", _MATRIX, b)))
    if transpose_a or adjoint_a:
        if transpose_a and adjoint_a:
            raise _is.refused("tf.matmul", "adjoint_a", "False where transpose_a is True", True)
        a = ops.matrix_transpose(ops.conj(a) if adjoint_a else a)
    if transpose_b or adjoint_b:
        if transpose_b and adjoint_b:
            raise _is.refused("tf.matmul", "adjoint_b", "False where transpose_b is True", True)
        b = ops.matrix_transpose(ops.conj(b) if adjoint_b else b)
    return ops.matmul(a, b)  # type: ignore[no-any-return]


@_checked(axes=(_is.contracted, "a", "b"))
def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """Contract axes of two tensors."""
    a, b = matched(a, b)
    check("tensordot", (a if is_tensor(a) else b).dtype, PRODUCTS)
    return ops.tensordot(a, b, axes=axes)  # type: ignore[no-any-return]
