"""Elements of data sets, arrays or structures of arrays: called with, cast, stacked, padded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import optree

from headgate.core.tensor import Tensor, constant


def tensor(array: Any) -> Tensor:
    return constant(np.asarray(array))


def plain(array: Any) -> Any:
    array = np.asarray(array)
    return array if array.ndim else array[()]


def called(function: Callable[..., Any], element: Any) -> Any:
    given = optree.tree_map(tensor, element)
    return function(*given) if type(given) is tuple else function(given)


def cast(element: Any, wanted: Any) -> Any:
    """Return an element with the dtypes that are wanted, in its structure or one for all."""
    if wanted is None:
        return element
    leaves, structure = optree.tree_flatten(element)
    kinds = leaves_like(wanted, len(leaves))
    kinds = [kind if isinstance(kind, type) else getattr(kind, "dtype", kind) for kind in kinds]
    cast = [np.asarray(leaf, kind) for leaf, kind in zip(leaves, kinds)]
    return optree.tree_unflatten(structure, cast)


def leaves_like(given: Any, count: int, is_shape: bool = False) -> list[Any]:
    """Return one thing for each leaf, given one for all or a structure of them."""
    if given is None:
        return [None] * count
    tree: Any = given
    leaves: list[Any] = (
        optree.tree_leaves(tree, is_leaf=_is_shape if is_shape else None)
        if isinstance(given, tuple | list | Mapping)
        else [given]
    )
    if len(leaves) == 1 and count > 1:
        leaves = leaves * count
    if len(leaves) != count:
        raise ValueError(f"an element has {count} arrays, and {len(leaves)} are described")
    return leaves


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(
        size is None or isinstance(size, int | np.integer) for size in value
    )


def stacked(*arrays: Any) -> Any:
    try:
        return np.stack(arrays)
    except ValueError:
        shapes = sorted({np.shape(array) for array in arrays})
        raise ValueError(
            f"batch: the elements have different shapes, {shapes[0]} and {shapes[1]}; use "
            "padded_batch, or make them equal with map"
        ) from None


def padded(arrays: list[Any], shape: Any, fill: Any) -> Any:
    rank = arrays[0].ndim
    if shape is None:
        shape = [None] * rank
    sizes = [
        max(array.shape[axis] for array in arrays) if size in (None, -1) else int(size)
        for axis, size in enumerate(shape)
    ]
    result = np.full((len(arrays), *sizes), 0 if fill is None else plain(fill), arrays[0].dtype)
    for row, array in zip(result, arrays):
        if any(have > most for have, most in zip(array.shape, sizes)):
            raise ValueError(
                f"padded_batch: an element has the shape {array.shape}, more than the padded shape "
                f"{tuple(sizes)}"
            )
        row[tuple(slice(0, have) for have in array.shape)] = array
    return result


def groups(elements: Iterator[Any], size: int, drop: bool) -> Iterator[list[Any]]:
    while group := list(itertools.islice(elements, size)):
        if len(group) == size or not drop:
            yield group


def divided(count: float | None, size: int, drop: bool) -> float | None:
    if count is None or count == math.inf:
        return count
    return count // size if drop else -(-count // size)
