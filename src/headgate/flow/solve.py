"""Solver: from a trace, what gradient reaches and where it is cut.

Two searches answer everything. *Reach by value* goes forward from a source over all events: what
would change if the source changed. *Reach by gradient* goes back from the targets over the inputs
that gradient flows to. A source in the second set is connected. One that is not, and whose values
reach the targets, is cut, by the events of some kind whose input is reached by value from the
source and whose output leads to the targets: the frontier between the two sets, and what lies
before it on the same paths. One whose values do not reach the targets is unused.

The trace may come from any framework; nothing here knows one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headgate.flow.trace import Event, Gradient, Trace


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
    """

    gradient: int
    source: int
    verdict: str
    cuts: tuple[int, ...]
    path: tuple[int, ...]
    zero_at: int | None = None


def solve(trace: Trace) -> list[Flow]:
    """Return a verdict for each source of each gradient call of a trace."""
    return [
        flow
        for number, gradient in enumerate(trace.gradients)
        for flow in _solve_one(trace, number, gradient)
    ]


def _solve_one(trace: Trace, number: int, gradient: Gradient) -> list[Flow]:
    targets = set(gradient.targets)
    by_gradient = back(trace.events, targets, flowing_only=True)
    to_target = back(trace.events, targets, flowing_only=False)
    flows = []
    for position, source in enumerate(gradient.sources):
        value = trace.sources[source].value
        reached = forward(trace.events, {value}, flowing_only=False)
        path = tuple(
            k
            for k, event in enumerate(trace.events)
            if any(v in reached for v in event.inputs)
            and any(v in to_target for v in event.outputs)
        )
        cuts = tuple(k for k in path if _cuts(trace.events[k], reached))
        zero_at = None
        size = gradient.norms[position]
        if size is None and value in by_gradient - targets:
            verdict = "cut"
            cuts = tuple(sorted({*cuts, *_refusing(trace, gradient, value, by_gradient)}))
        elif value in by_gradient or value in targets:
            verdict = "zero" if size == 0 else "connected"
            if size == 0:
                zero_at = _zero_at(trace, gradient, path, reached)
        elif path:
            verdict = "cut"
            cuts = cuts or path[:1]  # nobody watches the source: it is cut where it is first used
        else:
            verdict = "unused"
        flows.append(Flow(number, source, verdict, cuts, path, zero_at))
    return flows


def forward(events: Iterable[Event], values: set[int], flowing_only: bool) -> set[int]:
    """Return all values that depend on some values, by gradient only or at all."""
    reached = set(values)
    for event in events:
        if any(
            value in reached and (flows or not flowing_only)
            for value, flows in zip(event.inputs, event.flows, strict=True)
        ):
            reached.update(event.outputs)
    return reached


def back(events: list[Event], values: set[int], flowing_only: bool) -> set[int]:
    """Return all values that some values depend on, by gradient only or at all."""
    reached = set(values)
    for event in reversed(events):
        if any(value in reached for value in event.outputs):
            reached.update(
                value
                for value, flows in zip(event.inputs, event.flows, strict=True)
                if flows or not flowing_only
            )
    return reached


def _cuts(event: Event, reached: set[int]) -> bool:
    return bool(event.kind) and any(
        value in reached and not flows
        for value, flows in zip(event.inputs, event.flows, strict=True)
    )


def _refusing(trace: Trace, gradient: Gradient, value: int, by_gradient: set[int]) -> Iterator[int]:
    """Yield the events that were given a cotangent and gave none, though gradient could flow.

    A custom rule does that; nobody knows before the rule is asked.
    """
    reached = forward(trace.events, {value}, flowing_only=True) & by_gradient
    for number, event in enumerate(trace.events):
        if any(output in gradient.cotangents for output in event.outputs) and any(
            taken in reached and flows and taken not in gradient.cotangents
            for taken, flows in zip(event.inputs, event.flows, strict=True)
        ):
            yield number


def _zero_at(
    trace: Trace, gradient: Gradient, path: tuple[int, ...], reached: set[int]
) -> int | None:
    """Return the first event on the way of the gradient at which it becomes exactly zero."""
    for number in reversed(path):
        event = trace.events[number]
        for position, value in enumerate(event.inputs):
            if value in reached and (number, position) in gradient.alive:
                return number
    return None
