"""Cancelling: gradients that meet and add up to exactly zero.

A straight-through sum that is written wrongly, `z + stop(q) - z`, has a gradient on each of its
paths, and none in all. There are two ways to see that in a trace.

*Measured*: the gradient of a parameter is exactly zero, and no op on its way made zeros of it. Then
there is a value on the way to which several gave something, and all of it is nothing. The line is
that of the event at which those paths have all come together.

*By structure*: sums and differences are followed with the whole number by which each value counts
in them. Where one that gradient comes back to ends up with 0, and the sum still depends on the same
parameters by way of a cut, the gradient of that sum is lost, even if others reach the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate.flow.solve import Reach
from headgate.flow.terms import SUMS
from headgate.flow.trace import GUESSED, Event, Gradient, Place

_SAME = {"identity", "positive", "astype_inexact", "astype"}
_SHIFTS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "bilinear"), 2),
    **dict.fromkeys(("layer_norm", "group_norm"), 3),
    **dict.fromkeys(("batch_norm", "instance_norm"), 4),
    "addmm": 0,
}
"""Ops that add one of their arguments to all the rest: which."""
_MOST = 32
"""So many values are followed in one sum."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Where gradient of some parameters, by number, adds up to nothing."""

    sources: tuple[int, ...]
    place: Place


def cancelled(reach: Reach) -> list[Cancelled]:
    """Return where gradients cancel, each once."""
    trace = reach.trace
    healthy: set[int] = set()
    for gradient in trace.gradients:
        if not gradient.inner:
            healthy.update(s for s, size in zip(gradient.sources, gradient.norms) if size)
    lost = _lost(reach)
    found: dict[Cancelled, None] = {}
    for gradient in trace.gradients:
        if gradient.inner:
            continue
        zero = [
            source
            for source, size in zip(gradient.sources, gradient.norms, strict=True)
            if size == 0 and source not in healthy
        ]
        if not zero and not lost:
            continue
        way, comes_back = reach.behind(gradient.targets)
        for source in zero if gradient.cotangents else ():
            for number in _meetings(reach, gradient, source, way, comes_back):
                found[Cancelled((source,), trace.place_of(trace.events[number]))] = None
        for number in lost.keys() & set(way):
            event = trace.events[number]
            sources = tuple(s for s in sorted(set(gradient.sources)) if lost[number] >> s & 1)
            if sources and any(comes_back.get(value) for value in event.outputs):
                found[Cancelled(sources, trace.place_of(event))] = None
    return list(found)


def _meetings(
    reach: Reach, gradient: Gradient, source: int, way: list[int], comes_back: dict[int, bool]
) -> list[int]:
    """Return the events at which the paths have come together over which a gradient cancels."""
    events, sizes = reach.trace.events, gradient.cotangents
    takers: dict[int, list[tuple[int, int]]] = {}
    for number in way:
        event = events[number]
        if any(comes_back.get(value) for value in event.outputs):
            for position, (value, flows) in enumerate(zip(event.inputs, event.flows, strict=True)):
                if flows:
                    takers.setdefault(value, []).append((number, position))
    todo, seen = [reach.trace.sources[source].value], set()
    found = []
    while todo:
        value = todo.pop()
        if value in seen:
            continue
        seen.add(value)
        gave = []
        for number, position in takers.get(value, ()):
            outputs = events[number].outputs
            if (number, position) in gradient.deaths:
                return []  # that is what is wrong with it
            if any(sizes.get(output) for output in outputs):
                gave.append((number, position))
            else:
                todo += outputs
        shifts = _is_read(reach, value) and all(
            _is_added(events[number], position) for number, position in gave
        )
        if len(gave) > 1 and sizes.get(value, 0) == 0 and not shifts:
            found += _meeting(reach, gave, way)
    return found


def _is_added(event: Event, position: int) -> bool:
    """Tell whether an event only adds an argument to the others."""
    return event.op == "add" or event.position(position) == _SHIFTS.get(event.op)


def _is_read(reach: Reach, value: int) -> bool:
    """Tell whether a value is a parameter as it was read.

    One that is only added, to two things that are then compared, is meant to have no effect.
    """
    return any(reach.trace.events[k].op in ("read", "watch") for k in reach.makers.get(value, ()))


def _meeting(reach: Reach, gave: list[tuple[int, int]], way: list[int]) -> list[int]:
    """Return the first event on a way at which several paths have all come together, if one is."""
    bits = {edge: 1 << number for number, edge in enumerate(gave)}
    every = (1 << len(gave)) - 1
    masks: dict[int, int] = {}
    for number in way:
        event = reach.trace.events[number]
        mask = 0
        for position, (value, flows) in enumerate(zip(event.inputs, event.flows, strict=True)):
            if flows:
                mask |= masks.get(value, 0) | bits.get((number, position), 0)
        if mask == every:
            return [number]
        for value in event.outputs if mask else ():
            masks[value] = masks.get(value, 0) | mask
    return []


def _lost(reach: Reach) -> dict[int, int]:
    """Return the sums that gradient of some sources is lost in: event -> mask of the sources.

    What may only have come from the host (`GUESSED`) makes nothing depend on them.
    """
    sums: dict[int, tuple[dict[int, int], int]] = {}  # value -> how each counts; what is stopped
    lost: dict[int, int] = {}
    surely = dict(reach.own)  # value -> mask of the sources that it depends on without guesses
    for number, event in enumerate(reach.trace.events):
        if event.label != GUESSED:
            mask = 0
            for value in event.inputs:
                mask |= surely.get(value, 0)
            for value in event.outputs if mask else ():
                surely[value] = surely.get(value, 0) | mask
        if event.op not in SUMS and event.op not in _SAME:
            continue
        signs = SUMS.get(event.op, (1,))
        if any(event.position(k) >= len(signs) for k in range(len(event.inputs))):
            continue  # another op of this name
        counts: dict[int, int] = {}
        stopped = 0
        for k, (value, flows) in enumerate(zip(event.inputs, event.flows, strict=True)):
            if not flows or not reach.by_gradient.get(value, 0):
                stopped |= surely.get(value, 0)
                continue
            inside, below = sums.get(value, ({value: 1}, 0))
            stopped |= below
            for each, count in inside.items():
                counts[each] = counts.get(each, 0) + signs[event.position(k)] * count
        gone = kept = 0
        for value, count in counts.items():
            if count:
                kept |= reach.by_gradient[value]
                stopped |= surely.get(value, 0) & ~reach.by_gradient[value]
            else:
                gone |= reach.by_gradient[value]
        if gone & stopped & ~kept:
            lost[number] = gone & stopped & ~kept
        counts = {value: count for value, count in counts.items() if count}
        if len(counts) <= _MOST:
            for value in event.outputs:
                sums[value] = counts, stopped
    return lost
