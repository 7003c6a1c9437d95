"""Products of matrices and of vectors.

Both rules of `matmul` know from the numbers of axes alone which of the operands were vectors, and
multiply stacks by one matrix as one long product.
"""

from __future__ import annotations

import math
from typing import Any

from headgate.core.cotangent import Product
from headgate.core.lift import as_tensor
from headgate.core.namespace import NUMPY, Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops.rules import conj
from headgate.ops.shape import reshape


def _matmul_x(g: Any, xp: Any, y: Any) -> Any:
    if y.ndim == 2:
        return g @ y.T
    if y.ndim == 1:
        return xp.expand_dims(g, axis=-1) * y
    if g.ndim < y.ndim:  # x is a vector
        return (y @ xp.expand_dims(g, axis=-1))[..., 0]
    return g @ y.mT


def _matmul_y(g: Any, xp: Any, x: Any, y_shape: Any) -> Any:
    if xp is NUMPY and x.ndim == len(y_shape) == 2 and x.dtype is g.dtype and x.dtype.kind == "f":
        return Product([(x, g)])
    if x.ndim == 2:
        return x.T @ g
    if x.ndim == 1:
        return xp.expand_dims(x, axis=-1) * xp.expand_dims(g, axis=-2) if g.ndim else x * g
    if len(y_shape) > 2:
        return x.mT @ g
    rows = math.prod(x.shape[:-1])
    return xp.reshape(x, (rows, x.shape[-1])).T @ xp.reshape(g, (rows, *y_shape[1:]))


def narrowed(ans: Array, x: Array, y: Array) -> Array:
    """Return a product of bfloat16 arrays, which NumPy makes a float32 one, as bfloat16.

    Bytes and booleans are numbers that bfloat16 has.
    """
    kinds = x.dtype.kind, y.dtype.kind
    if "V" not in kinds:
        return ans
    half, other = (x.dtype, y.dtype) if kinds[0] == "V" else (y.dtype, x.dtype)
    return ans.astype(half) if other == half or other.itemsize == 1 else ans


def _matmul_numpy(xp: Any, x: Array, y: Array) -> Array:
    ans = x @ y
    return ans if ans.dtype is x.dtype else narrowed(ans, x, y)


matmul = op(
    "matmul(x, y)",
    """Multiply matrices, stacks of matrices, or vectors; the operator `@`.

    Axes before the last two broadcast. A vector counts as a row on the left and as a column on the
    right, and its axis is left out of the result.

    >>> hg.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0])
    Tensor([21., 43.], shape=(2,), dtype=float64)
    """,
    _matmul_x,
    _matmul_y,
    impl_numpy=_matmul_numpy,
)


def _same_axis(x: Array, y: Array, axis: int) -> None:
    """Refuse an axis that does not mean the same for both operands."""
    if axis >= 0 and x.ndim != y.ndim:
        raise ValueError(
            f"axis {axis} is another one for {x.ndim} axes than for {y.ndim}; "
            "count it from the end (axis=-1)"
        )


def _vecdot(xp: Any, x: Array, y: Array, *, axis: int) -> Array:
    x, y = xp.asarray(x), xp.asarray(y)
    _same_axis(x, y, axis)
    return narrowed(xp.array_module.vecdot(x, y, axis=axis), x, y)


vecdot = op(
    "vecdot(x, y, *, axis=-1)",
    """Sum the products conj(x) * y along an axis; the other axes broadcast.

    >>> hg.vecdot([[1.0, 2.0], [3.0, 4.0]], [1.0, 10.0])
    Tensor([21., 43.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, y, axis: conj(xp, xp.expand_dims(g, axis=axis) * y),
    lambda g, xp, x, axis: xp.expand_dims(g, axis=axis) * conj(xp, x),
    impl=_vecdot,
)


outer = op(
    "outer(x, y)",
    """Multiply each element of a vector with each of another.

    >>> hg.linalg.outer([1.0, 2.0], [3.0, 4.0])
    Tensor([[3., 4.],
            [6., 8.]], shape=(2, 2), dtype=float64)
    """,
    lambda g, y: g @ y,
    lambda g, x: x @ g,
    impl=lambda xp, x, y: xp.array_module.linalg.outer(x, y),
)


def _cross(xp: Any, x: Array, y: Array, *, axis: int) -> Array:
    x, y = xp.asarray(x), xp.asarray(y)
    _same_axis(x, y, axis)
    return xp.array_module.linalg.cross(x, y, axis=axis)


cross = op(
    "cross(x, y, *, axis=-1)",
    """Compute the cross product of vectors of three elements; the other axes broadcast.

    >>> hg.linalg.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    Tensor([0., 0., 1.], shape=(3,), dtype=float64)
    """,
    lambda g, xp, y, axis: xp.cross(y, g, axis=axis),
    lambda g, xp, x, axis: xp.cross(g, x, axis=axis),
    impl=_cross,
)


@public
def kron(x: Any, y: Any) -> Tensor:
    """Compute the Kronecker product: `x` with each element replaced by its product with `y`.

    >>> import headgate as hg
    >>> hg.linalg.kron([1.0, 2.0], [3.0, 4.0])
    Tensor([3., 4., 6., 8.], shape=(4,), dtype=float64)
    """
    x, y = as_tensor(x), as_tensor(y)
    ndim = max(x.ndim, y.ndim)
    x_shape = (1,) * (ndim - x.ndim) + x.shape
    y_shape = (1,) * (ndim - y.ndim) + y.shape
    rows = reshape(x, tuple(size for n in x_shape for size in (n, 1)))
    columns = reshape(y, tuple(size for n in y_shape for size in (1, n)))
    return reshape(rows * columns, tuple(n * m for n, m in zip(x_shape, y_shape, strict=True)))
