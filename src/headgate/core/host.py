"""The host: values that leave for it, and what comes back from there.

A value may leave the tape for the host: as `float(x)`, `x.numpy()`, `numpy.asarray(x)`, or into a
variable. What comes back is a constant. So such an **escape** of a watched value is noted as a cut,
and the recording remembers the last value that left there; an argument that comes from the host is
then compared with what has left, in case somebody asks later where the gradient went. While nothing
has left, an argument costs nothing more.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from headgate.record.cuts import BACK, MAYBE_BACK
from headgate.record.graph import Node, Recording, ghost, state
from headgate.record.site import where


def note_escape(
    node: Node | None, kind: str, how: str, shape: tuple[int, ...], left: Any = None
) -> tuple[Recording, int] | None:
    """Note that a watched value goes on where no tape can follow it, and as what it `left`.

    Returns the recording and the bit of the cut there; None if no tape knew the value.
    """
    if node is None:
        return None
    recording = node.recording
    if not (node.live or node.cuts):
        if recording.onlooker is not None and kind == "host_round_trip":
            recording.onlooker.left(node, 0, "", how)
        return None
    bit = recording.cuts.add(kind, node.live, node.cuts, how, shape)
    recording.cuts.escapes |= bit
    if recording.in_use and kind == "host_round_trip":
        recording.departed[bit] = weakref.ref(left) if isinstance(left, np.ndarray) else left
    if recording.onlooker is not None:
        recording.onlooker.left(node, bit, kind, how)
    return recording, bit


def came_back(value: Any, constants: tuple[Any, ...] | None = None) -> Node | None:
    """Return a node for a value that comes from the host, if it left from here before.

    Whether it is the same array (or a view of it) or an equal number can be told. Anything else
    that was made on the host since something left there may have been computed from it; numbers
    that stand in the user's code (or are the given constants) are taken for what they are.
    """
    recording = state.recording
    if not recording.departed or recording.walking:
        return None
    if _is_literal(value, where()[0].co_consts if constants is None else constants):
        return None
    label, earlier = MAYBE_BACK, recording.cuts.escapes
    for bit, left in recording.departed.items():
        if _is_same(value, left() if type(left) is weakref.ref else left):
            label, earlier = BACK, bit
            break
    bit = recording.cuts.add("host_round_trip", 0, earlier, label, getattr(value, "shape", ()))
    node = ghost(recording, bit)
    if recording.onlooker is not None and node is not None:
        recording.onlooker.back(node, earlier, label, value)
    return node


def _is_same(value: Any, left: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_is_same(item, left) for item in value)
    if isinstance(left, np.ndarray):
        return isinstance(value, np.ndarray) and np.may_share_memory(value, left)
    if isinstance(value, np.ndarray) and value.ndim:
        return False
    return not isinstance(left, list) and left is not None and bool(value == left)


def _is_literal(value: Any, constants: tuple[Any, ...]) -> bool:
    if isinstance(value, list | tuple):
        return tuple(value) in constants or all(_is_literal(item, constants) for item in value)
    if isinstance(value, bool | int | float | complex):
        if type(value) is int and value == 0:  # what sum() begins with
            return True
        return any(type(each) is type(value) and each == value for each in constants)
    return False
