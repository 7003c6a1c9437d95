"""Pull: the one way into the walk. Seeds go in, a gradient or None for each origin comes out.

Tapes pull from targets to sources, tests of flow look at what such a pull would bring, and
constructs of a program pull from their results to their boundary. What differs is said by masks:
the `bits` that lead to each origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate.core.alarm import alarm
from headgate.core.cotangent import turned
from headgate.core.namespace import TENSORS, Array, common, owner
from headgate.core.tensor import Tensor, constant
from headgate.core.walk import walk
from headgate.record.graph import Leaf, Node, state
from headgate.record.onlooker import Onlooker


def pull(
    seeds: Sequence[tuple[Node, Array, Any]],
    origins: Sequence[Node | None],
    bits: Sequence[int] | None = None,
    kept: int = 0,
    lifted: bool = False,
    free: bool = False,
    onlooker: Onlooker | None = None,
    beyond: bool = True,
    border: bool = False,
) -> list[Any]:
    """Return the gradient for each origin; None for those to which nothing comes.

    A seed is a node, its value and the cotangent that it starts with (None: ones). `bits` has the
    mask that leads to each origin; without it all ways are gone, and nobody asks why one is closed.
    `border` says that cotangents and gradients are those of users, and turned on their way in and
    out. The others are those of `walk`.
    """
    numbers = {origin.seq for origin in origins if origin is not None}
    wanted = -1
    if bits is not None:
        wanted = 0
        for mask in bits:
            wanted |= mask
    found: dict[int, Any] = {}
    if seeds and numbers and wanted:
        current = state.recording
        was_walking = current.walking
        try:
            current.walking = True
            alarm.rung = False
            with np.errstate(all="ignore", invalid="call", call=alarm.ring):
                starts = [
                    (
                        node,
                        seed(
                            value,
                            turned(c) if border and c is not None else c,
                            lifted and onlooker is None,
                        ),
                    )
                    for node, value, c in seeds
                ]
                found = walk(starts, numbers, wanted, kept, lifted, free, onlooker, beyond)
                if border:
                    for number, g in found.items():
                        if g.dtype.kind == "c":
                            found[number] = turned(g)
        finally:
            current.walking = was_walking
    gradients = [None if origin is None else found.get(origin.seq) for origin in origins]
    if bits is not None and seeds:
        recording = seeds[0][0].recording
        if recording.cuts.refused:  # what is missing now, a custom rule may have withheld
            for g, mask in zip(gradients, bits, strict=True):
                if g is None and any(node.live & mask for node, _, _ in seeds):
                    recording.sources.blocked |= mask
    return gradients


def seed(value: Array, cotangent: Any, lifted: bool) -> Any:
    """Return the cotangent that a target of this value starts with, ones by default."""
    if cotangent is None:
        if isinstance(value, np.generic):  # most losses are; `ones_like` takes twice as long
            ones = np.ones((), value.dtype)
        else:
            ones = owner[type(value)].ones_like(value)
        return constant(ones) if lifted else ones
    if lifted:
        if cotangent.shape == value.shape:
            return cotangent
        return TENSORS.broadcast_to(cotangent, value.shape)
    given = cotangent.value if type(cotangent) is Tensor else cotangent
    # It becomes one of the target's library, or what passes it on would not be.
    xp = owner[common(type(value), type(given))]
    given = xp.asarray(given)
    return given if given.shape == value.shape else xp.broadcast_to(given, value.shape)


def bits_to(node: Node | None, mine: int) -> int:
    """Return the bits that lead to a source: its own if it is watched, else all that reach it."""
    if node is None:
        return 0
    if type(node) is Leaf:
        return node.own & mine or node.live & mine
    return node.live & mine
