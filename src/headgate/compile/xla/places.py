"""Picking and putting at places that are known while a program is traced.

XLA has two ways to pick and to put. Gathers and scatters take places that are numbers of the
program; on a CPU a scatter is a loop that also copies what it writes to, so that the gradients of
many slices of one array take far longer than all else. Places that are known need neither:

* what integers and slices pick is a slice of the program, reversed where it counts down, and its
  transpose is the same with zeros around and between (`picked`, `put`);
* an array of indices that is a constant is cut into runs, each of which is a slice (`Runs`); if
  there are few of them, they are joined, and their transposes added up. So are margins that
  mirror an array, and repetitions.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from headgate.core.namespace import Array
from headgate.ops.index import PLAIN, parts_of
from headgate.ops.shape import Shape, sizes

# -- integers and slices --------------------------------------------------------------------------


class Spans(NamedTuple):
    """What a key of integers and slices picks: along each axis, from, to, by steps of at least 1.

    `flipped` are the axes along which the key counts down. `shape` is that of what is picked, in
    which axes may be missing and others put in.
    """

    whole: Shape
    starts: list[int]
    stops: list[int]
    steps: list[int]
    flipped: list[int]
    shape: Shape

    def picked(self, x: Array) -> Array:
        """Return `x[key]`."""
        return self._reversed(self._block(x)).reshape(self.shape)

    def put(self, updates: Array) -> Array:
        """Return zeros with updates at the places of the key: `picked`, transposed."""
        return self._padded(self._as_block(updates))

    def added(self, x: Array, updates: Array) -> Array:
        """Return an array with updates added at the places of the key."""
        return self._replaced(x, self._block(x) + self._as_block(updates))

    def updated(self, x: Array, updates: Array) -> Array:
        """Return an array with updates in place of what is at the places of the key."""
        return self._replaced(x, self._as_block(updates))

    def piece(self, updates: Array) -> Piece:
        """Return updates with where they belong along each axis."""
        spans = zip(self.starts, self.stops, self.steps, strict=True)
        return tuple(range(*span) for span in spans), self._as_block(updates)

    def _sizes(self) -> Shape:
        spans = zip(self.starts, self.stops, self.steps, strict=True)
        return tuple(len(range(*span)) for span in spans)

    def _block(self, x: Array) -> Array:
        """Return what is picked, with the axes of `x` and in their order."""
        from jax import lax

        return lax.slice(x, self.starts, self.stops, self.steps)

    def _as_block(self, updates: Array) -> Array:
        """Return what is given for what is picked as `_block` has it."""
        from jax import numpy

        given = numpy.broadcast_to(updates, self.shape)
        return self._reversed(given.reshape(self._sizes()))

    def _reversed(self, block: Array) -> Array:
        from jax import lax

        return lax.rev(block, self.flipped) if self.flipped else block

    def _padded(self, block: Array) -> Array:
        """Return a block with zeros around and between."""
        from jax import lax

        widths = []
        for size, count, start, step in zip(
            self.whole, block.shape, self.starts, self.steps, strict=True
        ):
            reach = start + (count - 1) * step + 1 if count else start
            widths.append((start, size - reach, step - 1))
        return lax.pad(block, np.zeros((), block.dtype), widths)

    def _replaced(self, x: Array, block: Array) -> Array:
        """Return an array with a block in place of its own."""
        from jax import lax

        if not block.size:
            return x
        if all(step == 1 for step in self.steps):
            return lax.dynamic_update_slice(x, block, self.starts)
        here = self._padded(np.ones(block.shape, bool))
        return lax.select(here, self._padded(block), x)


def spans(key: Any, shape: Shape) -> Spans | None:
    """Return what a key picks of an array of a shape, if it is all integers and slices."""
    parts = parts_of(key)
    if not PLAIN.issuperset(map(type, parts)):
        return None
    picked = np.broadcast_to(False, shape)[key].shape  # NumPy refuses what is out of range
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    rest = [slice(None)] * (len(shape) - taken)
    found: list[Any] = []
    for part in parts if Ellipsis in parts else (*parts, Ellipsis):
        if part is Ellipsis:
            found += rest
        elif part is not None:
            found.append(part)
    starts, stops, steps, flipped = [], [], [], []
    for axis, (part, size) in enumerate(zip(found, shape, strict=True)):
        if type(part) is int:
            part = slice(part % size, part % size + 1)
        places = range(*part.indices(size))
        if places.step < 0 and len(places) > 1:
            flipped.append(axis)
            places = places[::-1]
        starts.append(places[0] if places else 0)
        stops.append(places[-1] + 1 if places else 0)
        steps.append(places.step if len(places) > 1 else 1)
    return Spans(shape, starts, stops, steps, flipped, picked)


Piece = tuple[tuple[range, ...], Array]
"""A block of an array: its places along each axis, and what is there."""


def joined(pieces: list[Piece], shape: Shape) -> list[Array]:
    """Return arrays of a shape, as few as can be, whose sum has all pieces in their places.

    Axis by axis, pieces that differ along one axis only and do not overlap are put side by side,
    with zeros in the gaps; those in the same places are added up. So the parts into which an array
    was cut are joined by one concatenation, where a sum of them, each padded, would read as much
    for every part as for the whole.
    """
    from jax import lax

    for axis in reversed(range(len(shape))):
        alike: dict[Any, dict[range, Array]] = {}
        for where, block in pieces:
            same = alike.setdefault((where[:axis], where[axis + 1 :]), {})
            places = where[axis]
            same[places] = same[places] + block if places in same else block
        pieces = []
        for (before, after), blocks in alike.items():
            rows = [_row(layer, shape[axis], axis) for layer in _layers(blocks)]
            total = functools.reduce(lax.add, rows)
            pieces.append(((*before, range(shape[axis]), *after), total))
    return [block for _, block in pieces]


def _layers(blocks: dict[range, Array]) -> list[list[tuple[range, Array]]]:
    """Return blocks in layers, in each of which they follow each other."""
    layers: list[list[tuple[range, Array]]] = []
    for places, block in sorted(blocks.items(), key=lambda item: (item[0].start, item[0].stop)):
        for layer in layers:
            if layer[-1][0].stop <= places.start:
                layer.append((places, block))
                break
        else:
            layers.append([(places, block)])
    return layers


def _row(layer: list[tuple[range, Array]], size: int, axis: int) -> Array:
    """Return blocks that follow each other as one, with zeros in the gaps."""
    from jax import lax

    end, parts = 0, []
    for k, (places, block) in enumerate(layer):
        stop = layer[k + 1][0].start if k + 1 < len(layer) else size
        reach = places[-1] + 1 if places else end
        widths = [(0, 0, 0)] * block.ndim
        widths[axis] = (
            places.start - end if places and not k else 0,
            stop - reach,
            places.step - 1,
        )
        if any(widths[axis]):
            block = lax.pad(block, np.zeros((), block.dtype), widths)
        parts.append(block)
        end = stop
    return parts[0] if len(parts) == 1 else lax.concatenate(parts, axis)


# -- constant arrays of indices -------------------------------------------------------------------

_FEW = 4
"""Up to so many runs are quicker than a gather, and far quicker than a scatter."""


class Runs(NamedTuple):
    """A constant array of indices along an axis, as runs: first index, step, and length of each."""

    axis: int
    size: int
    shape: Shape  # of the array of indices
    runs: Sequence[tuple[int, int, int]]

    def _spans(self, first: int, step: int, length: int, shape: Shape) -> Spans:
        reach = first + (length if step else 1) * (step or 1)
        place = slice(first, None if reach < 0 else reach, step or 1)
        found = spans((*[slice(None)] * self.axis, place), shape)
        assert found is not None
        return found

    def picked(self, x: Array) -> Array:
        """Return what `take` picks."""
        from jax import numpy

        parts = []
        for run in self.runs:
            part = self._spans(*run, x.shape).picked(x)
            if run[1] == 0:
                part = numpy.broadcast_to(part, self._with(x.shape, (run[2],)))
            parts.append(part)
        joined = parts[0] if len(parts) == 1 else numpy.concatenate(parts, self.axis)
        return joined.reshape(self._with(x.shape, self.shape))

    def put(self, updates: Array, shape: Shape) -> Array:
        """Return zeros with updates added at the indices: `picked`, transposed."""
        from jax import lax

        count = sum(length for _, _, length in self.runs)
        updates = updates.reshape(self._with(shape, (count,)))
        total: Any = None
        begin = 0
        for first, step, length in self.runs:
            part = lax.slice_in_dim(updates, begin, begin + length, axis=self.axis)
            if step == 0 and length > 1:
                part = part.sum(self.axis, dtype=part.dtype, keepdims=True)
            part = self._spans(first, step, length, shape).put(part)
            total = part if total is None else total + part
            begin += length
        return total

    def _with(self, shape: Shape, places: Shape) -> Shape:
        return (*shape[: self.axis], *places, *shape[self.axis + 1 :])


def runs(indices: Any, axis: int, shape: Shape) -> Runs | None:
    """Return the runs of indices along an axis of an array, if they are constant and few."""
    if not isinstance(indices, np.ndarray | np.generic | int) or not np.size(indices):
        return None
    if np.asarray(indices).dtype.kind not in "iu":
        return None
    size = shape[axis]
    places = (
        np.arange(size)[np.asarray(indices)].ravel().tolist()
    )  # NumPy refuses what is out of range
    found: list[tuple[int, int, int]] = []
    begin = 0
    while begin < len(places):
        if len(found) == _FEW:
            return None
        end = begin + 1
        step = places[end] - places[begin] if end < len(places) else 0
        while end < len(places) and places[end] - places[end - 1] == step:
            end += 1
        found.append((places[begin], step, end - begin))
        begin = end
    return Runs(axis, size, np.shape(indices), found)


# -- what is picked by its place in a matrix ------------------------------------------------------


def diagonal(xp: Any, x: Array, *, offset: int) -> Array:
    """Return the diagonals of matrices: elements of their rows joined, a row and one apart."""
    from jax import lax

    rows, columns = x.shape[-2:]
    start = offset if offset >= 0 else -offset * columns
    count = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    if not count:
        return xp.zeros((*x.shape[:-2], 0), dtype=x.dtype)
    flat = x.reshape(*x.shape[:-2], rows * columns)
    stop = start + (count - 1) * (columns + 1) + 1
    return lax.slice_in_dim(flat, start, stop, columns + 1, axis=-1)


def repeat(xp: Any, x: Array, repeats: Any, axis: int | None) -> Array:
    """Repeat each element, as often as a constant says or one for each."""
    counts = sizes(repeats)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = operator.index(axis) % x.ndim
    if len(counts) == 1:
        if counts[0] < 0:
            raise ValueError("repeats may not contain negative values.")
        longer = (*x.shape[: axis + 1], counts[0], *x.shape[axis + 1 :])
        shape = (*x.shape[:axis], x.shape[axis] * counts[0], *x.shape[axis + 1 :])
        return xp.array_module.broadcast_to(xp.expand_dims(x, axis=axis + 1), longer).reshape(shape)
    return xp.take(x, np.repeat(np.arange(x.shape[axis]), counts), axis=axis)
