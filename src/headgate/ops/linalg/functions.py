"""Functions of square matrices."""

from __future__ import annotations

from typing import Any

from headgate.core.lift import as_tensor
from headgate.core.op import public
from headgate.core.tensor import Tensor
from headgate.ops.creation import eye
from headgate.ops.linalg.products import matmul
from headgate.ops.linalg.solvers import inv
from headgate.ops.shape import broadcast_to


@public
def matrix_power(x: Any, n: int) -> Tensor:
    """Multiply a square matrix by itself `n` times; by its inverse for negative `n`.

    >>> import headgate as hg
    >>> hg.linalg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 5)
    Tensor([[1., 5.],
            [0., 1.]], shape=(2, 2), dtype=float64)
    """
    x = as_tensor(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"matrix_power: x must be square matrices, got the shape {x.shape}")
    if n < 0:
        return matrix_power(inv(x), -n)
    if n == 0:
        return broadcast_to(eye(x.shape[-1], dtype=x.dtype), x.shape)
    result: Tensor | None = None
    while True:
        if n % 2:
            result = x if result is None else matmul(result, x)
        n //= 2
        if not n:
            assert result is not None
            return result
        x = matmul(x, x)
