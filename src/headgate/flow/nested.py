"""Nesting: what a loss depends on by way of a gradient that was taken outside of its tape.

A step that was learnt from a gradient, a penalty on slopes, hyperparameters by way of an inner step
of training: there the gradient itself is to be differentiated, so the inner call must run while the
outer tape records. Where it does not, what comes of it is a constant, and a parameter that only the
inner loss depends on looks as if the outer loss had never used it. The trace knows the values that
a gradient call gave, so the way can be followed through it.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate.flow.solve import Reach
from headgate.flow.trace import Place


@dataclass(frozen=True, slots=True)
class Unfollowed:
    """A parameter, by number, and the gradient call at which its way to a loss ends."""

    source: int
    call: Place


def unfollowed(reach: Reach) -> list[Unfollowed]:
    """Return the parameters that losses depend on through a gradient which no tape followed."""
    trace = reach.trace
    healthy = {
        source
        for gradient in trace.gradients
        for source, size in zip(gradient.sources, gradient.norms, strict=True)
        if size and not gradient.inner
    }
    given: dict[int, int] = {}  # value -> the call that gave it
    behind: dict[int, dict[int, bool]] = {}
    found: dict[Unfollowed, None] = {}
    for number, gradient in enumerate(trace.gradients):
        missing = [
            source
            for source, size in zip(gradient.sources, gradient.norms, strict=True)
            if size is None and source not in healthy
        ]
        if missing and given:
            _, values = reach.behind(gradient.targets)
            for call in sorted({given[value] for value in values.keys() & given.keys()}):
                inner = trace.gradients[call]
                if inner.inner:  # an outer tape followed it
                    continue
                if call not in behind:
                    _, behind[call] = reach.behind(inner.targets)
                for source in missing:
                    value = trace.sources[source].value
                    if value in behind[call] and value not in values:
                        found[Unfollowed(source, trace.places[inner.place])] = None
        given.update((value, number) for value in gradient.outputs if value is not None)
    return list(found)
