"""Rows: what is known of a dense array of which most rows are zero.

The gradient of a large table by a few of its rows is an array of the table's size. It stays one:
whoever reads it sees an array like any other. But whoever makes it notes which rows it added to,
so that an optimizer whose rule leaves alone what has no gradient can compute with those rows only.
On NumPy a new array of zeros costs next to nothing, and the rows are read from it. In a program the
note has the updates too, and nothing else reads the dense array, which is then left out.

A note is found by the array itself, and is gone with it: the product of such an array with another
is an array without one. Three things keep it. Where a walk adds up what comes from several uses of
a table, the rows of the sum are those of all (`added`; it is computed from them too). What leaves
zero alone, a scaling or a clipping, is computed on the rows (`settled`, `placed`). And who adds to
an array of its own in place says so (`widen`); to a noted array that is not, nobody writes.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from headgate.core.namespace import NUMPY, Array, owner


class Rows(NamedTuple):
    """The rows of an array that are not zero."""

    indices: Array
    """Flat; one may be there twice, count from the end, or (in a program) be out of range."""

    updates: Array | None
    """What was added to each, of shape `(len(indices), *array.shape[1:])`; None if NumPy's, which
    are read from the array."""

    once: bool = False
    """Whether each is there once, from the start and in order; those out of range come last."""


notes: dict[int, tuple[weakref.ref[Any], Rows]] = {}
"""What is known of arrays, by their identity. As long as it is empty, nobody need look."""

LEAST = 1 << 16
"""Of fewer elements nothing is noted: the whole is as quick."""


def worthwhile(made: Array, count: int) -> bool:
    """Tell whether an array is to be known by so many of its rows."""
    return bool(made.size >= LEAST and 0 < count * 4 <= made.shape[0])


def note(made: Array, indices: Array, updates: Array | None = None, once: bool = False) -> None:
    """Note that an array is zero but for the rows that indices name, and what was added to them.

    It is not noted where the whole is as quick.
    """
    if not worthwhile(made, indices.size):
        return
    if updates is None:
        indices = indices.astype(np.intp, copy=False)  # those of several notes are put together
    else:
        updates = updates.reshape(indices.size, *made.shape[1:])
    _set(made, Rows(indices.reshape(-1), updates, once))


def _set(made: Array, rows: Rows) -> None:
    key = id(made)
    notes[key] = weakref.ref(made, lambda _: notes.pop(key, None)), rows


def noted(array: Array) -> Rows | None:
    """Return what was noted of an array."""
    found = notes.get(id(array)) if notes else None
    return found[1] if found is not None and found[0]() is array else None


# -- what is computed from rows -------------------------------------------------------------------


def settled(array: Array) -> tuple[Array, Array] | None:
    """Return the indices and the values of an array's rows, each once, if they are known.

    In a program there are as many as were noted: what is left over has the first index that is out
    of range, and comes last.
    """
    found = noted(array)
    if found is None:
        return None
    xp, count = owner[type(array)], array.shape[0]
    indices, updates, once = found
    if updates is None:
        rows = indices if once else np.unique(_counted(NUMPY, indices, count))
        return rows, array[rows]
    if once:
        return indices, updates
    module = xp.array_module
    if isinstance(indices, np.ndarray):
        rows, places = np.unique(_counted(NUMPY, indices, count), return_inverse=True)
    else:
        indices = _counted(xp, indices, count)
        rows, places = module.unique(
            indices, return_inverse=True, size=indices.size, fill_value=count
        )
    start = xp.zeros((rows.size, *updates.shape[1:]), updates.dtype)
    return rows, start.at[places.reshape(-1)].add(updates)


def _counted(xp: Any, indices: Array, count: int) -> Array:
    """Return indices counted from the start; each that is out of range is the first such."""
    if indices.dtype.itemsize > 4 or indices.dtype == np.uint32:
        indices = xp.clip(indices.astype(np.int64), -count - 1, count)
    indices = indices.astype(np.int32 if count < 2**31 else np.int64)
    indices = xp.where(indices < 0, indices + count, indices)
    return indices if xp is NUMPY else xp.where(indices < 0, count, indices)


def placed(like: Array, rows: Array, values: Array) -> Array:
    """Return zeros of the shape of an array with values in rows as `settled` has them."""
    xp = owner[type(like)]
    made = xp.zeros(like.shape, dtype=values.dtype)
    if xp is NUMPY:
        made[rows] = values
        note(made, rows, None, True)
    else:
        made = made.at[rows].set(values, mode="drop", indices_are_sorted=True)
        note(made, rows, values, True)
    return made


# -- sums -----------------------------------------------------------------------------------------


def copied(total: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a copy, of which the same is known."""
    found = noted(total)
    if found is None:
        return np.array(total)
    made = np.zeros(total.shape, total.dtype)
    made[found.indices] = total[found.indices]
    _set(made, found)
    return made


def added(total: Any, c: Any, own: bool) -> Any:
    """Return a sum, in place of an array that is ours; by rows where they are known."""
    there, here = noted(getattr(total, "value", total)), noted(getattr(c, "value", c))
    alike = total.shape == c.shape and total.dtype == c.dtype
    if here is not None and alike and type(total) is type(c) is np.ndarray:
        rows = here.indices if here.once else np.unique(_counted(NUMPY, here.indices, len(c)))
        made = total if own else copied(total)
        made[rows] += c[rows]
        widen(made, rows)
        return made
    if own:
        widen(total, None)
        total += c
    else:
        total = total + c
    if there is not None and here is not None and alike:
        note_sum(getattr(total, "value", total), [there, here])
    return total


def widen(made: Array, indices: Array | None) -> None:
    """Say that rows were added to an array in place; None for those that nobody knows."""
    found = noted(made)
    if found is None:
        return
    del notes[id(made)]
    if indices is not None:
        note_sum(made, [found, Rows(indices.reshape(-1), None)])


def note_sum(made: Array, parts: Sequence[Rows]) -> None:
    """Note of a sum what is known of its terms."""
    if not worthwhile(made, sum(part.indices.size for part in parts)):
        return
    if len(parts) == 1:
        _set(made, parts[0])
        return
    xp = owner[type(made)]
    if xp is NUMPY:
        _set(made, Rows(np.concatenate([part.indices for part in parts]), None))
        return
    updates = [part.updates for part in parts]
    if any(each is None for each in updates):
        return
    counter = NUMPY if all(isinstance(part.indices, np.ndarray) for part in parts) else xp
    indices = [_counted(counter, counter.asarray(part.indices), made.shape[0]) for part in parts]
    _set(
        made,
        Rows(counter.array_module.concatenate(indices), xp.array_module.concatenate(updates)),
    )
