"""One walk for each element of a target, or one for all of them: the rows of a Jacobian.

A row is what a walk gives that starts with one at one element and zeros elsewhere. On NumPy's
arrays there is one walk after the other. Values that are traced belong to a library that can do the
same walk for all elements at once, and its namespace has `for_units` in its own way, so that the
program grows with the walk and not with the number of elements. If the walk is itself recorded, to
be differentiated again, it becomes a scan over the elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from headgate.core.namespace import TENSORS, Array, implementations, owner
from headgate.core.tensor import Tensor, constant
from headgate.core.traced import is_traced

Walk = Callable[[Tensor], list[Any]]
"""From the cotangent of a target to the gradient of each source, or None."""

_FEW = 8
"""Up to so many recorded walks are written out rather than repeated by a scan."""


def rows_of(walk: Walk, value: Array, batch: int, size: int, recorded: bool) -> list[Any]:
    """Return, for each source, its rows along a first axis, or None.

    `value` is the target's, of `batch` entries with `size` elements each.
    """
    if recorded:
        return _recorded(walk, value, batch, size)
    reached: list[bool] = []

    def arrays(unit: Array) -> list[Array]:
        found = walk(constant(unit))
        reached[:] = [g is not None for g in found]
        return [g.value for g in found if g is not None]

    rows = iter(owner[type(value)].for_units(arrays, value, batch=batch, size=size))
    return [constant(next(rows)) if there else None for there in reached]


def units(value: Array, batch: int, size: int) -> Iterator[Array]:
    """Yield the cotangent of each element: ones there, in all entries, and zeros elsewhere."""
    for number in range(size):
        unit = np.zeros((batch, size), np.dtype(value.dtype))
        unit[:, number] = 1
        yield unit.reshape(value.shape)


def _for_units(
    xp: Any, function: Callable[[Array], list[Array]], value: Array, batch: int, size: int
) -> list[Array]:
    """Call a function for the cotangent of each element; stack what it returns."""
    rows = [function(unit) for unit in units(value, batch, size)]
    return [xp.stack(list(column), axis=0) for column in zip(*rows, strict=True)]


implementations["for_units"] = {"any": _for_units}


def _recorded(walk: Walk, value: Array, batch: int, size: int) -> list[Any]:
    each = list(map(constant, units(value, batch, size)))
    if size <= _FEW or not is_traced(value):
        columns = zip(*map(walk, each), strict=True)
        return [
            None if column[0] is None else TENSORS.stack(list(column), axis=0) for column in columns
        ]
    from headgate.compile.control import scan

    reached: list[bool] = []

    def step(carry: Any, unit: Tensor) -> Any:
        found = walk(unit)
        reached[:] = [g is not None for g in found]
        return carry, [g for g in found if g is not None]

    _, rows = scan(step, (), TENSORS.stack(each, axis=0))
    given = iter(rows)
    return [next(given) if there else None for there in reached]
