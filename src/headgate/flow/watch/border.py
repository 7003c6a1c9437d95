"""The border between frameworks: what leaves one as an array and comes into another.

Each watcher sees its own framework alone, and a value that leaves it has no history where it comes
in. So whoever sees a value leave notes it here, and whoever sees an array come in asks whether it
is one of those: the same memory may be gone by then, so they are known by what they hold (how many
elements, their sum, the sum of their squares), whatever shape they have now. Nothing is noted as
long as a program uses one framework only.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from headgate.flow.judge import INTO, Told
from headgate.flow.trace import Place, Trace

FRAMEWORKS = {"torch": "PyTorch", "jax": "JAX", "tensorflow": "TensorFlow"}
"""Frameworks that arrays may go between, by the modules that they are."""

KEPT = 256
"""So many of the last values that left are remembered."""

LARGEST = 10_000_000
"""Arrays of more elements than that are not looked into."""


class Departure(NamedTuple):
    """A value that left a framework: what it holds, its number in the trace, how and where."""

    framework: str
    print: tuple[int, float, float]
    value: int
    how: str
    place: Place


class Crossing(NamedTuple):
    """A value that left one framework and came into another."""

    departure: Departure
    into: str
    place: Place


class Border:
    """What has left, and what of it has come in elsewhere."""

    def __init__(self) -> None:
        self.left: deque[Departure] = deque(maxlen=KEPT)
        self.crossings: list[Crossing] = []

    @property
    def open(self) -> bool:
        """Whether there is more than one framework that a value could go to."""
        return sum(name in sys.modules for name in FRAMEWORKS) > 1

    def forget(self, framework: str) -> None:
        """Begin anew for one framework: what left it before has numbers of another trace."""
        self.left = deque((e for e in self.left if e.framework != framework), KEPT)
        self.crossings = [e for e in self.crossings if e.departure.framework != framework]

    def leave(self, framework: str, thing: Any, value: int, how: str, place: Place) -> None:
        """Note that a value has left a framework as an array or a number."""
        if self.open and (known := fingerprint(thing)) is not None:
            self.left.append(Departure(framework, known, value, how, place))

    def arrive(self, framework: str, things: Iterable[Any], place: Place) -> None:
        """Note what comes into a framework, as far as it has left another one."""
        if not any(each.framework != framework for each in self.left):
            return
        for thing in things:
            found = fingerprint(thing)
            if found is None:
                continue
            for each in self.left:
                if each.framework != framework and _alike(each.print, found):
                    crossing = Crossing(each, framework, place)
                    if crossing not in self.crossings:
                        self.crossings.append(crossing)


border = Border()
"""The one of this process."""


def fingerprint(thing: Any) -> tuple[int, float, float] | None:
    """Return what an array holds in short; None if it is nothing that could be told from others.

    >>> from headgate.flow.watch.border import fingerprint
    >>> fingerprint([[1.0, 2.0]]) == fingerprint([2.0, 1.0])
    True
    >>> fingerprint([0.0, 0.0]) is None
    True
    """
    try:
        array = np.asarray(thing)
        if array.dtype.kind not in "fiuV" or not 0 < array.size <= LARGEST:
            return None
        array = array.astype(np.float32).astype(np.float64)
    except Exception:  # a stand-in, or nothing that has numbers
        return None
    if array.size == 1:
        number = float(array.reshape(()))
        return None if number in (0.0, 1.0, -1.0) else (1, number, number * number)
    if array.min() == array.max():
        return None
    return array.size, float(array.sum()), float(np.square(array).sum())


def _alike(one: tuple[int, float, float], other: tuple[int, float, float]) -> bool:
    return one[0] == other[0] and all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in zip(one[1:], other[1:])
    )


def lost_abroad(trace: Trace, names: Iterable[int] | None = None) -> Iterator[Told]:
    """Yield the parameters whose values went into another framework, and that got no gradient here.

    Args:
        trace: of the framework that they left.
        names: numbers of the sources that are to be trained; all that are trainable if None.
    """
    here = [each for each in border.crossings if each.departure.framework == trace.framework]
    if not here:
        return
    reached = {
        source
        for gradient in trace.gradients
        for source, size in zip(gradient.sources, gradient.norms)
        if size
    }
    wanted = set(range(len(trace.sources)) if names is None else names) - reached
    told: set[int] = set()
    for crossing in here:
        behind = values_behind(trace, crossing.departure.value)
        for number in sorted(wanted - told):
            source = trace.sources[number]
            if source.trainable and source.value in behind:
                told.add(number)
                place = crossing.place
                label = f"{INTO}{FRAMEWORKS[crossing.into]} at {place}"
                yield Told(source.name, "cut", "host_round_trip", crossing.departure.place, label)


def values_behind(trace: Trace, value: int) -> set[int]:
    """Return a value and all values that it was computed from."""
    behind = {value}
    for event in reversed(trace.events):
        if not behind.isdisjoint(event.outputs):
            behind.update(event.inputs)
    return behind
