"""Regularizers: what a weight, or the result of a layer, adds to the loss.

They have Keras' names and formulas. A layer takes them as `kernel_regularizer=`,
`bias_regularizer=` and so on, after the weights that it makes, and `activity_regularizer=` for its
result; `layer.losses` computes what they add.
"""

from __future__ import annotations

from typing import Any

from headgate.core.checks import choice, number
from headgate.core.lift import as_tensor
from headgate.core.settings import Settled
from headgate.core.tensor import Tensor
from headgate.naming import find
from headgate.ops.elementwise import abs, square
from headgate.ops.linalg.products import matmul
from headgate.ops.reduce import sum
from headgate.ops.shape import matrix_transpose


class Regularizer(Settled):
    """Base of all regularizers: call it with a weight; a subclass has a `__call__`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> class Spread(nn.Regularizer):
    ...     def __call__(self, x):
    ...         return hg.var(x)
    >>> layer = nn.Dense(2, kernel_regularizer=Spread(), kernel_initializer="ones")
    >>> layer(hg.ones((1, 3))).shape, [loss.numpy() for loss in layer.losses]
    ((1, 2), [np.float32(0.0)])
    """

    def __call__(self, x: Any) -> Tensor:
        """Return what a weight adds to the loss."""
        raise NotImplementedError(
            f"{type(self).__name__} must define __call__(self, x) for weights such as this one of "
            f"shape {as_tensor(x).shape}"
        )


class L1(Regularizer):
    """`l1` times the sum of the sizes of all elements.

    >>> from headgate import nn
    >>> nn.L1(0.5)([1.0, -2.0]).numpy()
    np.float64(1.5)
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = number("L1", "l1", l1, "[0, inf)")

    def __call__(self, x: Any) -> Tensor:
        """Return the penalty."""
        return self.l1 * sum(abs(x))  # type: ignore[no-any-return]


class L2(Regularizer):
    """`l2` times the sum of the squares of all elements.

    >>> from headgate import nn
    >>> nn.L2(0.5)([1.0, -2.0]).numpy()
    np.float64(2.5)
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = number("L2", "l2", l2, "[0, inf)")

    def __call__(self, x: Any) -> Tensor:
        """Return the penalty."""
        return self.l2 * sum(square(x))  # type: ignore[no-any-return]


class L1L2(Regularizer):
    """The sum of `L1` and `L2`.

    >>> from headgate import nn
    >>> nn.L1L2(l1=0.5, l2=0.5)([1.0, -2.0]).numpy()
    np.float64(4.0)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = number("L1L2", "l1", 0.0 if l1 is None else l1, "[0, inf)")
        self.l2 = number("L1L2", "l2", 0.0 if l2 is None else l2, "[0, inf)")

    def __call__(self, x: Any) -> Tensor:
        """Return the penalty."""
        return self.l1 * sum(abs(x)) + self.l2 * sum(square(x))  # type: ignore[no-any-return]


class OrthogonalRegularizer(Regularizer):
    """Penalizes how far the rows or columns of a matrix are from being orthogonal to each other.

    Args:
        factor: what the mean of the sizes of all products of two of them is multiplied with.
        mode: "rows" or "columns".

    >>> from headgate import nn
    >>> nn.OrthogonalRegularizer(0.5)([[1.0, 0.0], [0.0, 1.0]]).numpy()
    np.float64(0.0)
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = number("OrthogonalRegularizer", "factor", factor, "[0, inf)")
        self.mode = choice("OrthogonalRegularizer", "mode", mode, ("rows", "columns"))

    def __call__(self, x: Any) -> Tensor:
        """Return the penalty.

        Raises:
            ValueError: not a matrix.
        """
        x = as_tensor(x)
        if x.ndim != 2:
            raise ValueError(
                f"OrthogonalRegularizer takes a matrix, and this weight has the shape {x.shape}"
            )
        axis = 1 if self.mode == "rows" else 0
        unit = x / as_tensor(sum(square(x), axis=axis, keepdims=True) + 1e-12) ** 0.5
        products = (
            matmul(unit, matrix_transpose(unit))
            if self.mode == "rows"
            else matmul(matrix_transpose(unit), unit)
        )
        size = x.shape[1 - axis]
        apart = sum(abs(products)) - sum(abs(sum(square(unit), axis=axis)))
        return self.factor * 0.5 * apart / max(size * (size - 1) / 2.0, 1.0)  # type: ignore[no-any-return]


REGULARIZERS: dict[str, Any] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
    "L1": L1,
    "L2": L2,
    "L1L2": L1L2,
    "OrthogonalRegularizer": OrthogonalRegularizer,
}


def get_regularizer(identifier: Any) -> Any:
    """Return a regularizer, a function of a weight, given one or its name; None for None.

    Raises:
        ValueError: an unknown name, or something that cannot be called.

    >>> from headgate.nn.regularizers import get_regularizer
    >>> get_regularizer("l2").l2
    0.01
    """
    if isinstance(identifier, str):
        return find("regularizer", REGULARIZERS, identifier)()
    if identifier is not None and not callable(identifier):
        raise ValueError(
            f"a regularizer is a name such as 'l2' or a function of a weight, not {identifier!r}"
        )
    return identifier
