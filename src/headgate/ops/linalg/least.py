"""Least squares, put together of pseudo-inverse and singular values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from headgate.core.lift import as_tensor
from headgate.core.namespace import TENSORS
from headgate.core.tensor import Tensor
from headgate.ops.linalg.products import matmul
from headgate.ops.linalg.solvers import pinv
from headgate.ops.linalg.spectra import svdvals
from headgate.ops.reduce import sum
from headgate.record.errors import refusal


class LeastSquares(NamedTuple):
    """What `lstsq` returns: as NumPy's, but residuals are there for any rank."""

    x: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def lstsq(x: Any, y: Any, rcond: Any = None) -> LeastSquares:
    """Find what makes `x @ result` closest to `y`, by the sum of squares; the smallest of several.

    Singular values below `rcond` times the largest count as zero. Gradient flows to x, among
    matrices of the same rank, and to y. Residuals are the sums of squares that remain.

    >>> hg.linalg.lstsq([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0]).x.numpy().round(9)
    array([1., 2.])
    """
    x, y = as_tensor(x), as_tensor(y)
    if x.ndim != 2 or y.ndim not in (1, 2) or x.shape[0] != y.shape[0]:
        raise refusal(
            ValueError,
            "lstsq: x must be a matrix and y a vector or a matrix of as many rows; they have the "
            f"shapes {x.shape} and {y.shape}",
        )
    found = matmul(pinv(x, rtol=rcond), y)
    apart = abs(y - matmul(x, found)) ** 2
    s = svdvals(x)
    least = max(x.shape) * np.finfo(s.dtype).eps if rcond is None else rcond
    rank = TENSORS.count_nonzero(TENSORS.greater(s, least * TENSORS.max(s)))
    return LeastSquares(found, sum(apart, axis=0), rank, s)
