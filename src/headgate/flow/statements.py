"""Statements without effect: a stop whose result is dropped, a freeze that freezes nothing more.

A gate returns a value and changes nothing in place. A statement that throws that value away looks
as if it stopped the gradient, and does not. A freeze is found where it was too late, for what was
to be trained had been collected before, and where a pattern of paths takes more than it says: in
`block_1*` a person reads the number one, and `block_10` is taken as well.

A stop around a constant is no finding: batches and targets are stopped to be safe, and helpers are
called with one value that has a gradient and another that has none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase, translate

from headgate.flow.patterns import covers_call, covers_name
from headgate.flow.report import Finding
from headgate.flow.trace import Freeze, Trace
from headgate.flow.updates import found
from headgate.record.cuts import bits

GATES = frozenset(
    {
        *("stop_gradient", "scale_gradient", "reverse_gradient", "route", "straight_through"),
        *("clip_gradient_by_value", "clip_gradient_by_norm", "detach"),
    }
)
"""Ops that are there for nothing but what they do to the gradient of their result."""


def statements(trace: Trace, flow: Sequence[str] = ()) -> list[Finding]:
    """Return what the program says about its gradients that has no effect, or another one.

    Args:
        trace: what happened.
        flow: patterns of parameters that must get a gradient (`headgate.flow.patterns`).
    """
    judged = (_dropped(trace), _too_late(trace), _too_much(trace), _never_asked(trace, flow))
    return [finding for findings in judged for finding in findings]


def _dropped(trace: Trace) -> Iterator[Finding]:
    """Find gates whose result is thrown away, with the sources whose gradient still flows.

    Whatever else is computed from their argument was to be without it; if nothing is, nobody is
    misled.
    """
    if not trace.dropped:
        return
    takers = Counter(value for event in trace.events for value in event.inputs)
    masks = {source.value: 1 << number for number, source in enumerate(trace.sources)}
    told: set[tuple[int, int]] = set()
    for number, event in enumerate(trace.events):
        mask = before = 0
        for value, flows in zip(event.inputs, event.flows, strict=True):
            before |= masks.get(value, 0)
            if flows:
                mask |= masks.get(value, 0)
        if mask:
            for output in event.outputs:
                masks[output] = masks.get(output, 0) | mask
        used = any(takers[value] > 1 for value in event.inputs)
        if number in trace.dropped and event.op in GATES and used:
            for source in bits(before):
                if (source, event.place) not in told:
                    told.add((source, event.place))
                    name = trace.sources[source].name
                    yield found(trace, name, "dropped_gate", event.place, "connected", event.op)


def _too_late(trace: Trace) -> Iterator[Finding]:
    """Find sources that were frozen, and that an optimizer changes with others all the same."""
    for freeze in trace.freezes:
        for source in freeze.changed:
            name = trace.sources[source].name
            yield found(trace, name, "freeze_too_late", freeze.place, "connected", freeze.pattern)


def _too_much(trace: Trace) -> Iterator[Finding]:
    """Find patterns that end a number with `*` and took numbers with more digits."""
    for freeze in trace.freezes:
        for name in taken_beside(freeze):
            pattern = freeze.pattern
            yield found(trace, name, "freeze_too_much", freeze.place, "not asked for", pattern)


def taken_beside(freeze: Freeze) -> list[str]:
    """Return the paths that a freeze took only because `*` stands for further digits, too.

    There are none if it took nothing else: then that is what was meant.

    >>> from headgate.flow.statements import taken_beside
    >>> from headgate.flow.trace import Freeze
    >>> taken_beside(Freeze(0, "block_1*", ("block_1/kernel", "block_10/kernel")))
    ['block_10/kernel']
    """
    if not re.search(r"\d\*", freeze.pattern):
        return []
    # A star behind a digit begins with something that is none.
    strict = re.sub(r"(?<=\d)\\?\*", "\N{OBJECT REPLACEMENT CHARACTER}*", freeze.pattern)
    exact = re.compile(translate(strict).replace("\N{OBJECT REPLACEMENT CHARACTER}", r"(?!\d)"))
    meant = {name for name in freeze.took if exact.match(name)}
    more = [name for name in freeze.took if name not in meant and fnmatchcase(name, freeze.pattern)]
    return more if meant else []


def _never_asked(trace: Trace, flow: Sequence[str]) -> Iterator[Finding]:
    """Find sources that were declared to get a gradient, and of which none is ever asked."""
    if not flow:
        return
    asked = {source for call in trace.gradients for source in call.sources}
    calls = [trace.places[call.place] for call in trace.gradients]
    frozen = {source: freeze for freeze in trace.freezes for source in freeze.sources}
    for number, source in enumerate(trace.sources):
        if number in asked or not any(
            covers_name(source.name, pattern) and any(covers_call(call, pattern) for call in calls)
            for pattern in flow
        ):
            continue
        if number in frozen:
            yield found(trace, source.name, "frozen", frozen[number].place, "not asked for")
        else:
            kind = "unlisted" if source.trainable else "frozen"
            yield found(trace, source.name, kind, source.place, "not asked for")
