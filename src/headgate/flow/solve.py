"""Solver: from a trace, what gradient reaches and where it is cut.

Two searches answer everything. *Reach by value* goes forward from a source over all events: what
would change if the source changed. *Reach by gradient* goes back from the targets over the inputs
that gradient flows to. A source in the second set is connected. One that is not, and whose values
reach the targets, is cut, by the events of some kind whose input is reached by value from the
source and whose output leads to the targets: the frontier between the two sets, and what lies
before it on the same paths. One whose values do not reach the targets is unused.

Both searches go by masks. Every source has a bit; one pass forward ORs them from values to values,
and so finds the reach of all sources at once (`Reach`). Each gradient call needs one pass back from
its targets, over the events that lead there and no others.

The trace may come from any framework; nothing here knows one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from headgate.flow.trace import GUESSED, Event, Gradient, Trace


def computed_from(events: Iterable[Event], seeds: Mapping[int, int]) -> dict[int, int]:
    """Return for each value the bits of all that it was computed from, on any path."""
    masks = dict(seeds)
    for event in events:
        mask = 0
        for value in event.inputs:
            mask |= masks.get(value, 0)
        if mask:
            for output in event.outputs:
                masks[output] = masks.get(output, 0) | mask
    return masks


@dataclass(frozen=True, slots=True)
class Flow:
    """What the solver says of one source of one gradient call.

    Attributes:
        gradient: number of the call in `Trace.gradients`.
        source: number of the source in `Trace.sources`.
        verdict: "connected", "zero", "cut" or "unused".
        cuts: numbers of the events that cut its paths, from the source on; for a connected source
            those on its other paths.
        path: numbers of all events between the source and the targets.
        zero_at: number of the event at which the gradient becomes exactly zero, None if unknown.
        severing: those of `cuts` that gradient itself would have come to: no other cut lies between
            them and the source.
        zeros: all places at which the gradient becomes exactly zero on its way to the source:
            (event number, input position), the oldest first.
    """

    gradient: int
    source: int
    verdict: str
    cuts: tuple[int, ...]
    path: tuple[int, ...]
    zero_at: int | None = None
    severing: tuple[int, ...] = field(default=(), compare=False)
    zeros: tuple[tuple[int, int], ...] = field(default=(), compare=False)


def solve(trace: Trace, reach: Reach | None = None) -> list[Flow]:
    """Return a verdict for each source of each gradient call of a trace."""
    reach = reach or Reach(trace)
    return [
        flow
        for number, gradient in enumerate(trace.gradients)
        for flow in _solve_one(reach, number, gradient)
    ]


class Reach:
    """For each value of a trace, the sources that it depends on: a mask with a bit for each.

    Attributes:
        by_value: value -> mask of the sources that it depends on at all.
        by_gradient: the same, by gradient.
        own: value -> mask of the sources that it stands for.
        makers: value -> the events that make it, in order.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.by_value: dict[int, int] = {}
        self.by_gradient: dict[int, int] = {}
        self.makers: dict[int, list[int]] = {}
        for number, source in enumerate(trace.sources):
            self.by_value[source.value] = self.by_value.get(source.value, 0) | 1 << number
        self.own = dict(self.by_value)
        self.by_gradient.update(self.by_value)
        by_value, by_gradient = self.by_value, self.by_gradient
        for number, event in enumerate(trace.events):
            all_of_it = flowing = 0
            for value, flows in zip(event.inputs, event.flows, strict=True):
                all_of_it |= by_value.get(value, 0)
                if flows:
                    flowing |= by_gradient.get(value, 0)
            for value in event.outputs:
                self.makers.setdefault(value, []).append(number)
                if all_of_it:
                    by_value[value] = by_value.get(value, 0) | all_of_it
                if flowing:
                    by_gradient[value] = by_gradient.get(value, 0) | flowing

    def behind(
        self, targets: Iterable[int], guesses: bool = True, past: bool = True
    ) -> tuple[list[int], dict[int, bool]]:
        """Return what some values depend on.

        Args:
            targets: the values.
            guesses: whether to follow what may only have come from the host (`GUESSED`).
            past: whether to follow what the values of sources were once made from.

        Returns:
            The events that lead to them, in order, and the values that do: value -> whether
            gradient comes back to it from one of them.
        """
        found = dict.fromkeys(targets, True)
        todo: list[int] = []
        queued: set[int] = set()
        for value in found:
            self._queue(value, len(self.trace.events), todo, queued)
        events = []
        while todo:
            number = -heapq.heappop(todo)  # all events that take what it makes came before it
            events.append(number)
            event = self.trace.events[number]
            if not guesses and event.label == GUESSED:
                continue
            taken = list(zip(event.inputs, event.flows, strict=True))
            if not past and event.op == "read":
                taken = taken[:1]
            carries = any(found.get(value, False) for value in event.outputs)
            for value, flows in taken:
                known = found.get(value)
                if known is None:
                    self._queue(value, number, todo, queued)
                if not known:
                    found[value] = carries and flows
        events.reverse()
        return events, found

    def _queue(self, value: int, before: int, todo: list[int], queued: set[int]) -> None:
        for maker in self.makers.get(value, ()):
            if maker < before and maker not in queued:
                queued.add(maker)
                heapq.heappush(todo, -maker)


def _solve_one(reach: Reach, number: int, gradient: Gradient) -> Iterator[Flow]:
    events, sources = reach.trace.events, reach.trace.sources
    targets = set(gradient.targets)
    way, found = reach.behind(gradient.targets)
    masks = []  # of each event on the way: the sources behind it
    cutting = []  # of each that is a cut: its number, those it cuts, those that had come so far
    wanted = 0
    for source in gradient.sources:
        wanted |= 1 << source
    for k in way:
        event = events[k]
        mask = cut = first = 0
        for value, flows in zip(event.inputs, event.flows, strict=True):
            of_value = reach.by_value.get(value, 0)
            mask |= of_value
            if event.kind and not flows:
                cut |= of_value
                first |= reach.by_gradient.get(value, 0)
        masks.append(mask)
        if cut & wanted:
            cutting.append((k, cut, first))
    dying = _dying(reach, gradient, way, found) if gradient.deaths else []
    surely = _surely(reach, gradient, way)
    for source, size in zip(gradient.sources, gradient.norms, strict=True):
        bit, value = 1 << source, sources[source].value
        path = tuple([k for k, mask in zip(way, masks) if mask & bit])
        cuts = tuple([k for k, cut, _ in cutting if cut & bit])
        cuts = tuple([k for k in cuts if k in surely]) or cuts
        severing = tuple([k for k, _, first in cutting if first & bit])
        severing = tuple([k for k in severing if k in surely]) or severing
        zero_at: int | None = None
        zeros: tuple[tuple[int, int], ...] = ()
        connected = found.get(value, False)
        if size is None and connected and value not in targets:
            verdict = "cut"
            severing = tuple(_refusing(reach, gradient, way, found, bit))
            cuts = tuple(sorted({*cuts, *severing}))
        elif connected or size is not None:
            verdict = "zero" if size == 0 else "connected"
            if size == 0:
                met = [k for k, _, at_all, _ in dying if at_all & bit]
                zero_at = max(met, default=None)
                zeros = tuple([(k, place) for k, place, _, first in dying if first & bit])
        elif path:
            verdict = "cut"
            cuts = cuts or path[:1]  # nobody watches the source: it is cut where it is first used
        else:
            verdict = "unused"
        yield Flow(number, source, verdict, cuts, path, zero_at, severing, zeros)


def _surely(reach: Reach, gradient: Gradient, way: list[int]) -> set[int]:
    """Return the events on a way that may be blamed before others.

    Those behind a value that may only have come back from the host (`GUESSED`) may have nothing to
    do with it: what a policy computed without gradient as it played, say. And a source that was
    made as a copy of another one, as target networks are, does not owe it a gradient. Only that a
    value with a gradient left for the host, or was put into a source, is told there as well.
    """
    events = reach.trace.events
    sure, _ = reach.behind(gradient.targets, guesses=False, past=False)
    return {*sure, *(k for k in way if events[k].kind in _MOVED)}


_MOVED = ("host_round_trip", "rewrap", "stateful_write")


def _refusing(
    reach: Reach, gradient: Gradient, way: list[int], found: dict[int, bool], bit: int
) -> Iterator[int]:
    """Yield the events that were given a cotangent and gave none, though gradient could flow.

    A custom rule does that; nobody knows before the rule is asked.
    """
    for number in way:
        event = reach.trace.events[number]
        if any(output in gradient.cotangents for output in event.outputs) and any(
            flows
            and found[taken]
            and taken not in gradient.cotangents
            and reach.by_gradient.get(taken, 0) & bit
            for taken, flows in zip(event.inputs, event.flows, strict=True)
        ):
            yield number


def _dying(
    reach: Reach, gradient: Gradient, way: list[int], found: dict[int, bool]
) -> list[tuple[int, int, int, int]]:
    """Return where a gradient becomes zero, from the sources on.

    Each with its event and position, the sources that are behind it at all, and those from which
    one comes to it without coming to another one before.
    """
    masks = {s.value: 1 << number for number, s in enumerate(reach.trace.sources)}
    dying = []
    for number in way:
        event = reach.trace.events[number]
        carried = 0
        for position, (value, flows) in enumerate(zip(event.inputs, event.flows, strict=True)):
            mask = masks.get(value, 0)
            if (number, position) in gradient.deaths:
                dying.append((number, position, reach.by_value.get(value, 0), mask))
            elif flows and found[value]:
                carried |= mask
        for value in event.outputs:
            masks[value] = masks.get(value, 0) | carried
    return dying
