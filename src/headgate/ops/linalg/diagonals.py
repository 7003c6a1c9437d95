"""Diagonals of matrices, and their sum."""

from __future__ import annotations

from typing import Any

from headgate.core.op import op

trace = op(
    "trace(x, *, offset=0, dtype=None)",
    """Sum the diagonals of matrices; `offset` is how far to the right of the main one.

    >>> hg.linalg.trace([[1.0, 2.0], [3.0, 4.0]])
    Tensor(5., shape=(), dtype=float64)
    """,
    lambda g, xp, x_shape, offset: (
        g[..., None, None] * xp.eye(x_shape[-2], x_shape[-1], k=offset, dtype=g.dtype)
    ),
    impl=lambda xp, x, *, offset=0, dtype=None: xp.array_module.linalg.trace(
        x, offset=offset, dtype=dtype
    ),
)


def _diagonal_rule(g: Any, xp: Any, x_shape: Any, offset: int) -> Any:
    """Give each row its element of the cotangent, or zero, and keep the diagonal."""
    rows, columns = x_shape[-2:]
    before = max(-offset, 0)
    after = rows - before - g.shape[-1]
    zeros = [xp.zeros((*g.shape[:-1], size), dtype=g.dtype) for size in (before, after)]
    spread = xp.concat([zeros[0], g, zeros[1]], axis=-1)
    return xp.expand_dims(spread, axis=-1) * xp.eye(rows, columns, k=offset, dtype=g.dtype)


diagonal = op(
    "diagonal(x, *, offset=0)",
    """Return the diagonals of matrices; `offset` is how far to the right of the main one.

    >>> hg.linalg.diagonal([[1.0, 2.0], [3.0, 4.0]], offset=1)
    Tensor([2.], shape=(1,), dtype=float64)
    """,
    _diagonal_rule,
    impl=lambda xp, x, *, offset: xp.array_module.linalg.diagonal(x, offset=offset),
    views=True,
)
