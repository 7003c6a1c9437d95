"""Arrays out of nothing, and out of what Python has: numbers, nested lists, arrays.

What is made here lives in NumPy and is a constant, which no tape knows. There are three exceptions.
The functions named `..._like` make an array of their argument's library. `asarray` keeps a tensor's
history; a nested list with tensors in it is stacked, and gradient flows to them. And `full`,
`linspace` and `meshgrid` carry gradient to the tensors that they are given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.core.checks import (
    affordable,
    choice,
    extents,
    flag,
    on_host,
    optional,
    whole,
)
from headgate.core.lift import as_tensor, borrowers, lifters
from headgate.core.namespace import TENSORS, Array, owner
from headgate.core.op import op, public
from headgate.core.tensor import Tensor, constant, raw, tensor_of
from headgate.ops.elementwise import astype
from headgate.ops.shape import broadcast_to, filling, reshape


@public
def asarray(obj: Any, dtype: Any = None, copy: bool | None = None, device: Any = None) -> Tensor:
    """Return a tensor of a number, nested list, array, tensor or variable.

    A tensor stays the same tensor, and an array is copied if anybody could write to it: a tensor
    does not change. With `copy=True` there is always a copy, and with `copy=False` the result
    shares the array's memory, or it is an error. Gradient flows through, also to tensors in lists.
    Raises `ValueError` for what is not numeric or not rectangular.

    >>> hg.asarray([1, 2.5])
    Tensor([1. , 2.5], shape=(2,), dtype=float64)
    >>> x = hg.asarray(3.0)
    >>> hg.asarray([[x, 0.0], [0.0, x]])
    Tensor([[3., 0.],
            [0., 3.]], shape=(2, 2), dtype=float64)
    """
    if device is not None:
        on_host("asarray", device)
    if copy is not None:
        copy = flag("asarray", "copy", copy)
    tensor = obj if type(obj) is Tensor else _converted(obj, dtype, copy is False)
    result = tensor
    if dtype is not None and tensor.dtype != dtype:
        result = TENSORS.astype(tensor, dtype)
    if copy is False and (result is not tensor or not hasattr(obj, "dtype")):
        raise ValueError(
            f"a tensor of a {type(obj).__name__} in the dtype {result.dtype} needs a copy, and "
            "copy=False allows none"
        )
    copied = type(obj) is np.ndarray and result.value is not obj
    if copy and result is tensor and not copied and isinstance(result.value, np.ndarray):
        return tensor_of(result.value.copy(), result.node)
    return result


def _converted(obj: Any, dtype: Any, shared: bool) -> Tensor:
    value, node = (borrowers if shared else lifters)[type(obj)](obj)
    if not hasattr(value, "dtype"):
        value = raw(value, dtype, "value")
    return tensor_of(value, node)


# -- filled with one number, or nothing in particular ---------------------------------------------


@public
def zeros(shape: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Make an array of zeros.

    >>> hg.zeros((2, 3)).shape
    (2, 3)
    """
    on_host("zeros", device)
    return constant(np.zeros(extents("zeros", "shape", shape), dtype))


@public
def ones(shape: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Make an array of ones.

    >>> hg.ones(2)
    Tensor([1., 1.], shape=(2,), dtype=float64)
    """
    on_host("ones", device)
    return constant(np.ones(extents("ones", "shape", shape), dtype))


@public
def full(shape: Any, fill_value: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Make an array that holds one value everywhere; gradient flows to the value.

    >>> hg.full((2,), 7.0)
    Tensor([7., 7.], shape=(2,), dtype=float64)
    """
    on_host("full", device)
    return broadcast_to(
        asarray(filling("full", "fill_value", fill_value), dtype), extents("full", "shape", shape)
    )


@public
def empty(shape: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Make an array whose elements are anything.

    >>> hg.empty((2, 3)).shape
    (2, 3)
    """
    on_host("empty", device)
    return constant(np.empty(extents("empty", "shape", shape), dtype))


def _like(name: str, x: Any, *fill: Any, dtype: Any) -> Tensor:
    value: Array = as_tensor(x).value
    return constant(getattr(owner[type(value)].array_module, name)(value, *fill, dtype=dtype))


@public
def zeros_like(x: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Make zeros in the shape and dtype of another array; a constant.

    >>> hg.zeros_like([1.0, 2.0])
    Tensor([0., 0.], shape=(2,), dtype=float64)
    """
    on_host("zeros_like", device)
    return _like("zeros_like", x, dtype=dtype)


@public
def ones_like(x: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Make ones in the shape and dtype of another array; a constant.

    >>> hg.ones_like([1.0, 2.0])
    Tensor([1., 1.], shape=(2,), dtype=float64)
    """
    on_host("ones_like", device)
    return _like("ones_like", x, dtype=dtype)


@public
def full_like(x: Any, fill_value: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Fill the shape of another array, in its dtype, with one number; a constant.

    >>> hg.full_like([1.0, 2.0], 7)
    Tensor([7., 7.], shape=(2,), dtype=float64)
    """
    on_host("full_like", device)
    return _like("full_like", x, filling("full_like", "fill_value", fill_value), dtype=dtype)


@public
def empty_like(x: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """Make an array in the shape and dtype of another one, whose elements are anything.

    >>> hg.empty_like([1.0, 2.0]).shape
    (2,)
    """
    on_host("empty_like", device)
    return _like("empty_like", x, dtype=dtype)


# -- patterns -------------------------------------------------------------------------------------


@public
def eye(
    n_rows: int, n_cols: int | None = None, k: int = 0, dtype: Any = None, device: Any = None
) -> Tensor:
    """Make a matrix with ones on a diagonal, the k-th above the main one.

    >>> hg.eye(2)
    Tensor([[1., 0.],
            [0., 1.]], shape=(2, 2), dtype=float64)
    """
    on_host("eye", device)
    n_rows, k = whole("eye", "n_rows", n_rows, 0), whole("eye", "k", k)
    n_cols = optional(whole, "eye", "n_cols", n_cols, 0)
    affordable("eye", "n_rows", (n_rows, n_rows if n_cols is None else n_cols))
    return constant(np.eye(n_rows, n_cols, k, dtype or float))


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


@public
def arange(
    start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, device: Any = None
) -> Tensor:
    """Count from `start` up to, not including, `stop`; from 0 to `start` if `stop` is left out.

    >>> hg.arange(3)
    Tensor([0, 1, 2], shape=(3,), dtype=int64)
    """
    on_host("arange", device)
    start, stop, step = _number(start), _number(stop), _number(step)
    numbers: Any = np.arange  # its types know no dtype that is computed
    first, last = (0, start) if stop is None else (start, stop)
    return constant(numbers(first, last, step, dtype))


@public
def linspace(
    start: Any,
    stop: Any,
    num: int,
    dtype: Any = None,
    endpoint: bool = True,
    device: Any = None,
) -> Tensor:
    """Divide the way from `start` to `stop` evenly into `num` numbers; gradient flows to both.

    >>> hg.linspace(0.0, 1.0, 5)
    Tensor([0.  , 0.25, 0.5 , 0.75, 1.  ], shape=(5,), dtype=float64)
    """
    on_host("linspace", device)
    num = whole("linspace", "num", num, 0)
    endpoint = flag("linspace", "endpoint", endpoint)
    affordable("linspace", "num", (num,))
    low, high = as_tensor(start), as_tensor(stop)
    if low.node is None and high.node is None:
        ends = [np.asarray(end.value if type(end) is Tensor else end) for end in (start, stop)]
        return constant(np.linspace(ends[0], ends[1], num, endpoint, dtype=dtype))
    kind = np.result_type(low.dtype, high.dtype, 1.0)
    weights = np.linspace(0.0, 1.0, num, endpoint).astype(kind)
    weights = weights.reshape(-1, *(1,) * max(low.ndim, high.ndim))
    made: Tensor = TENSORS.add(TENSORS.multiply(low, 1 - weights), TENSORS.multiply(high, weights))
    return made if dtype is None else astype(made, dtype)


@public
def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Tensor]:
    """Return, for 1-d arrays of coordinates, one array per coordinate of all points of the grid.

    With `indexing="xy"` the first array counts along the second axis, with "ij" along the first.

    >>> x, y = hg.meshgrid([1.0, 2.0, 3.0], [4.0, 5.0])
    >>> y
    Tensor([[4., 4., 4.],
            [5., 5., 5.]], shape=(2, 3), dtype=float64)
    """
    choice("meshgrid", "indexing", indexing, ("xy", "ij"))
    tensors = [as_tensor(array) for array in arrays]
    if any(tensor.ndim > 1 for tensor in tensors):
        shapes = ", ".join(str(tensor.shape) for tensor in tensors)
        raise ValueError(f"meshgrid: coordinates must be 1-d, and have the shapes {shapes}")
    order = list(range(len(tensors)))
    if indexing == "xy":
        order[:2] = order[1::-1]
    shape = [1] * len(tensors)
    for tensor, axis in zip(tensors, order, strict=True):
        shape[axis] = tensor.size
    return [
        broadcast_to(reshape(tensor, (-1, *[1] * (len(order) - axis - 1))), shape)
        for tensor, axis in zip(tensors, order, strict=True)
    ]


# -- rows -----------------------------------------------------------------------------------------


def _one_hot(xp: Any, indices: Array, depth: int, dtype: Any) -> Array:
    indices = xp.asarray(indices)
    affordable("one_hot", "depth", (*indices.shape, depth))
    if indices.dtype.kind not in "iu":
        raise TypeError(
            f"indices must be integers, and these are {indices.dtype}; "
            "convert them with headgate.astype(indices, int)"
        )
    return (indices[..., None] == xp.array_module.arange(depth)).astype(dtype or float)


one_hot = op(
    "one_hot(indices, *, depth, dtype=None)",
    """Make, in a new last axis, ones at integer indices and zeros elsewhere.

    An index out of range, -1 say, makes zeros only.

    >>> hg.one_hot([1, 0], 3)
    Tensor([[0., 1., 0.],
            [1., 0., 0.]], shape=(2, 3), dtype=float64)
    """,
    None,
    impl=_one_hot,
    checks={"depth": (whole, 0)},
)

tril = op(
    "tril(x, *, k=0)",
    """Keep what is on and below the k-th diagonal of each matrix; the rest is zero.

    >>> hg.tril([[1.0, 2.0], [3.0, 4.0]])
    Tensor([[1., 0.],
            [3., 4.]], shape=(2, 2), dtype=float64)
    """,
    lambda g, xp, k: xp.tril(g, k=k),
    keeps_shape=True,
    checks={"k": (whole,)},
)

triu = op(
    "triu(x, *, k=0)",
    """Keep what is on and above the k-th diagonal of each matrix; the rest is zero.

    >>> hg.triu([[1.0, 2.0], [3.0, 4.0]])
    Tensor([[1., 2.],
            [0., 4.]], shape=(2, 2), dtype=float64)
    """,
    lambda g, xp, k: xp.triu(g, k=k),
    keeps_shape=True,
    checks={"k": (whole,)},
)
