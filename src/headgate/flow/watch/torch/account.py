"""The account of a session: what happened in a PyTorch program, as a neutral trace.

Events are in the log already. What is found out only at the end is added here: what sources are
called, which of them are anybody's concern, and so whom each gradient call should have reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.flow.solve import Reach
from headgate.flow.trace import Cut, Event, Freeze, Gradient, Optimizer
from headgate.flow.watch.torch.graph import Walk
from headgate.flow.watch.torch.mistakes import copies_in_optimizers, was_assigned
from headgate.flow.watch.torch.names import names_of
from headgate.flow.watch.torch.steps import courses
from headgate.flow.watch.torch.values import Leaf

if TYPE_CHECKING:
    from headgate.flow.watch.torch.records import Ask
    from headgate.flow.watch.torch.session import Session

BROKEN = ("a second time", "modified by an inplace operation")
"""Parts of what PyTorch says where a walk broke off: nothing that came of it is to be judged."""


def account(session: Session) -> None:
    """Put what is found out at the end into the trace of a session's log."""
    log, trace = session.log, session.log.trace
    for number, name in names_of(session).items():
        trace.sources[number].name = name
    renamed = {source.value: source.name for source in trace.sources}
    for event in trace.events:
        if event.op == "read":
            event.label = renamed.get(event.inputs[0], "")
    optimized = session.optimized = _optimized(session)
    asked = {number for ask in session.asks for number in ask.explicit or ()}
    for leaf in log.leaves:
        source = trace.sources[leaf.number]
        source.lasting = leaf.parameter or leaf.number in optimized
        tensor = leaf.tensor()
        source.trainable = leaf.asks if tensor is None else tensor.requires_grad
        if not source.lasting and leaf.number in asked:
            source.trainable = True
        source.copied = leaf.loaded
        source.updated = source.updated or was_assigned(session, leaf)
    reach = session.reach = Reach(trace)
    copies = {
        log.leaf(parameter)
        for known, _ in copies_in_optimizers(session)
        for parameter in known.parameters
    }
    session.concerns = {leaf for leaf in log.leaves if _matters(session, leaf, optimized)} - copies
    if not session.steppers:
        session.concerns |= _cut_by_mistake(session, reach)
    session.differentiated = {
        leaf.number
        for leaf in log.leaves
        for ask in session.asks
        if ask.inner
        for value in ask.targets
        if reach.by_value.get(value, 0) >> leaf.number & 1
    }
    trace.gradients = [
        _as_gradient(session, ask, optimized, reach)
        for ask in session.asks
        if not any(words in ask.failed for words in BROKEN)
    ]
    trace.courses = [*courses(session)]
    trace.freezes = _freezes(session)
    trace.optimizers = [
        Optimizer(
            known.last,
            known.steps,
            known.rate,
            tuple(log.leaf(p).number for p in known.parameters if p.requires_grad),
        )
        for known in session.steppers.values()
        if known.steps
    ]


def _optimized(session: Session) -> dict[int, int]:
    """Return the sources that optimizers have: source -> number of the optimizer."""
    return {
        session.log.leaf(parameter).number: number
        for number, known in enumerate(session.steppers.values())
        for parameter in known.parameters
    }


_MISTAKES = ("host_round_trip", "rewrap", "checkpoint", "stateful_write")


def _cut_by_mistake(session: Session, reach: Reach) -> set[Leaf]:
    """Return the parameters whose values go on into trained ones, cut by what is no stop.

    Where no optimizer says what is trained, a whole model without a gradient may be a teacher. But
    what a teacher says is compared with, and is not what the next layer takes.
    """
    mask, events = 0, reach.trace.events
    for ask in session.asks:
        way, comes_back = reach.behind(ask.targets, guesses=False, past=False)
        alive = {
            value
            for number in way
            if events[number].op == "read"
            for value in events[number].outputs
            if comes_back.get(value) and events[number].flows[0]
        }
        for number in way:
            if events[number].kind in _MISTAKES and _is_taken_on(events, way, number, alive):
                event = events[number]
                for value, flows in zip(event.inputs, event.flows, strict=True):
                    mask |= 0 if flows else reach.by_gradient.get(value, 0)
    return {
        leaf
        for leaf in session.log.leaves
        if leaf.parameter and leaf.asks and mask >> leaf.number & 1
    }


def _is_taken_on(events: list[Event], way: list[int], cut: int, alive: set[int]) -> bool:
    """Tell whether what comes of a cut meets parameters that are trained, as in a layer."""
    reached = set(events[cut].outputs)
    for number in way:
        if number > cut and not reached.isdisjoint(events[number].inputs):
            if not alive.isdisjoint(events[number].inputs):
                return True
            reached.update(events[number].outputs)
    return False


def _freezes(session: Session) -> list[Freeze]:
    """Return the lines that said last that sources need no gradient."""
    frozen: dict[int, list[int]] = {}
    for leaf in session.log.leaves:
        tensor = leaf.tensor()
        if tensor is not None and not tensor.requires_grad:
            place = leaf.flags[-1][1] if leaf.flags else session.moved.get(leaf.number, -1)
            if place >= 0:
                frozen.setdefault(place, []).append(leaf.number)
    sources = session.log.trace.sources
    return [
        Freeze(
            place,
            "",
            tuple(sources[k].name for k in numbers),
            tuple(numbers),
            tuple(k for k in numbers if k in session.moved),
        )
        for place, numbers in frozen.items()
    ]


def _matters(session: Session, leaf: Leaf, optimized: dict[int, int]) -> bool:
    """Tell whether a missing gradient of a source is anybody's concern.

    An optimizer says so. Where there is none, what has parts that got a gradient does, and
    everything if nothing got one.
    """
    tensor = leaf.tensor()
    if tensor is not None and not tensor.requires_grad:
        return False
    if any(leaf.number == old for old, _, _ in session.replaced) or leaf.number in session.scripted:
        return False
    if not leaf.arrived and (leaf.handed or was_assigned(session, leaf)):
        return False  # the program itself moves it
    if tensor is not None and not leaf.asks:  # it was frozen when it was looked at last
        return False
    if session.steppers:
        return leaf.number in optimized
    if not leaf.parameter:
        return leaf.asked
    alive = [each for each in session.reached() if each.parameter]
    if not alive:
        return True
    root = session.paths.get(leaf.number, (None, ""))[0]
    return any(session.paths.get(each.number, (None, ""))[0] == root for each in alive)


def _as_gradient(session: Session, ask: Ask, optimized: dict[int, int], reach: Reach) -> Gradient:
    log, walk = session.log, ask.walk
    assert walk is not None
    if ask.explicit is not None:
        sources, norms, outputs = ask.explicit, ask.norms, ask.outputs
        norms = norms or [None] * len(sources)
        outputs = outputs or [None] * len(sources)
    else:
        found: dict[int, float | None] = {
            leaf.number: size for leaf, size in ask.arrived.items() if leaf in session.concerns
        }
        alive = [leaf for leaf in ask.arrived if leaf.parameter or leaf.number in optimized]
        starved = _starved(session)
        groups = {optimized.get(number) for number in found} - {None}
        roots = {session.paths[number][0] for number in found if number in session.paths}
        for leaf in log.leaves:
            if leaf.number in found or leaf not in session.concerns:
                continue
            behind = any(reach.by_value.get(v, 0) >> leaf.number & 1 for v in ask.targets)
            if leaf.number in session.differentiated and not behind:
                continue  # it counts by what it does to a slope, and that may be nothing
            same = (
                not alive
                or leaf.number in starved
                or behind
                or optimized.get(leaf.number, -1) in groups
                or session.paths.get(leaf.number, (-1, ""))[0] in roots
            )
            if same:
                found[leaf.number] = None
        sources = sorted(found)
        norms = [found[number] for number in sources]
        outputs = [ask.gradients.get(number) for number in sources]
    births: dict[int, Cut | None] = {}
    for position, size in enumerate(norms):
        if size is not None and size - size != 0:
            births[position] = ask.birth or _birth(session, ask, walk)
    return Gradient(
        ask.place,
        ask.targets,
        ask.names,
        tuple(sources),
        tuple(norms),
        dict(walk.cotangents),
        dict(walk.deaths),
        ask.step,
        births,
        ask.unasked | _copies(session, ask, sources, norms, reach),
        ask.inner,
        tuple(outputs),
        ask.began,
        None,
        ask.explicit is not None,
        ask.explicit is not None,
    )


def _starved(session: Session) -> set[int]:
    """Return the sources of optimizers that step again and again and never have a gradient."""
    return {
        session.log.leaf(parameter).number
        for known in session.steppers.values()
        if known.steps > 1 and not known.fed
        for parameter in known.parameters
    }


def _copies(
    session: Session, ask: Ask, sources: list[int], norms: list[float | None], reach: Reach
) -> dict[int, Cut]:
    """Return of which sources the target was not computed, but of what they were made from."""
    if ask.explicit is None or None not in norms:
        return {}
    trace, found = session.log.trace, {}
    _, behind = reach.behind(ask.targets)
    for position, (number, size) in enumerate(zip(sources, norms)):
        source = trace.sources[number]
        if size is None and not source.lasting and source.value not in behind:
            _, before = reach.behind([source.value])
            if any(value in behind for value in before) and source.place >= 0:
                found[position] = Cut("non_leaf", trace.places[source.place])
    return found


def _birth(session: Session, ask: Ask, walk: Walk) -> Cut | None:
    """Return where what is not finite in a gradient was born."""
    trace = session.log.trace
    later = [each.first for each in session.asks if each.first > ask.first]
    last = min(later, default=len(trace.events))
    values = sorted(number for number in session.log.infinite if ask.first <= number < last)
    numbers = [*values, *walk.births]
    kind = "nonfinite_value" if values else "nonfinite_slope"
    for number in numbers:
        if number < len(trace.events):
            event = trace.events[number]
            return Cut(kind, trace.place_of(event), event.op, event.shape, trace.callers_of(event))
    return None
