"""Rows: what is known of a dense array of which most rows are zero.

The gradient of a large table by a few of its rows is an array of the table's size. It stays one:
whoever reads it sees an array like any other. But whoever makes it notes which rows it added to,
and what, so that an optimizer whose rule leaves alone what has no gradient can compute with those
rows only. On NumPy a new array of zeros costs nothing where nobody writes, and a compiled program
leaves out the dense array that nobody reads.

A note is found by the array itself, and is gone with it: the sum or the product of two such arrays
is an array without one. Nobody may write to a noted array, and nobody does: the walk adds in place
only to sums that it has made itself.
"""

from __future__ import annotations

import weakref
from typing import Any

from headgate.core.namespace import Array

_notes: dict[int, tuple[weakref.ref[Any], Array, Array]] = {}

LEAST = 1 << 16
"""Of fewer elements nothing is noted: the whole is as quick."""


def note(made: Array, indices: Array, updates: Array) -> None:
    """Note that an array is zero but for updates, added to the rows that indices name."""
    if made.size < LEAST or indices.size * 4 > made.shape[0] or not indices.size:
        return
    key = id(made)
    _notes[key] = weakref.ref(made, lambda _: _notes.pop(key, None)), indices, updates


def noted(array: Array) -> tuple[Array, Array] | None:
    """Return the indices and updates of an array's rows, if they are known."""
    found = _notes.get(id(array)) if _notes else None
    return found[1:] if found is not None and found[0]() is array else None
