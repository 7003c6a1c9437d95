"""Updates: what becomes of gradients after they came back, and which variables are passed over.

A gradient call may be all right and training still be wrong: what came back is multiplied away,
goes to another variable or to none, or is given to an optimizer that stands still. All of that is
seen by following values forward, with a bit for each source: the bits of a value are the sources
whose **gradients** are in it, or the sources that it was computed **from**. A third set of bits
says which sources gradient would **reach** a value from, asked for or not: those of the target
that nobody asks for, and nobody changes, are parameters that were left out.

What cannot be followed is not judged: a gradient that goes through NumPy has no bits, and what it
is given to gets no finding. Everything here is judged over all passes that were looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from headgate.flow.kinds import cure
from headgate.flow.report import Finding
from headgate.flow.solve import computed_from
from headgate.flow.trace import Gradient, Trace, Update
from headgate.record.cuts import bits

Masks = dict[int, int]
"""Value -> a bit for each source."""


def updates(trace: Trace) -> list[Finding]:
    """Return what is wrong with what the program does with its gradients."""
    gradients = gradients_in(trace)
    reached = _reached(trace)
    fresh = list(_born_each_pass(trace, reached))
    judged = (
        _not_for_it(trace, gradients),
        _zeroed(trace, gradients),
        _kept_back(trace, gradients),
        _never_applied(trace, gradients),
        _standing_still(trace),
        _on_averages(trace),
        fresh,
        _unlisted(trace, reached, {finding.parameter for finding in fresh}),
    )
    return [finding for findings in judged for finding in findings]


def found(trace: Trace, name: str, kind: str, place: int, verdict: str, label: str = "") -> Finding:
    """Return a finding at a line of a trace."""
    framework = trace.framework
    advice = cure(kind, framework=framework, verdict=verdict)
    at = ("", 0, "")
    if place >= 0:
        line = trace.places[place]
        at = line.file, line.line, line.text
    return Finding(name, verdict, kind, *at, advice, label, framework=framework)


# -- what is in a value ----------------------------------------------------------------------------


def gradients_in(trace: Trace, only: Callable[[float], bool] = lambda norm: True) -> Masks:
    """Return for each value the sources whose gradients are in it, only those of some norm."""
    seeds: Masks = {}
    for call in trace.gradients:
        for source, output, norm in zip(call.sources, call.outputs, call.norms):
            if output is not None and norm is not None and only(norm):
                seeds[output] = seeds.get(output, 0) | 1 << source
    return computed_from(trace.events, seeds) if seeds else {}


def _kin(trace: Trace) -> list[int]:
    """Return for each source the sources that its value comes from, other than by a gradient."""
    seeds: Masks = {source.value: 1 << number for number, source in enumerate(trace.sources)}
    masks = computed_from((event for event in trace.events if event.op != "grad"), seeds)
    number = {source.value: number for number, source in enumerate(trace.sources)}
    kin = [1 << number for number in range(len(trace.sources))]
    for event in trace.events:
        if event.op in ("read", "watch") and event.inputs[0] in number:
            kin[number[event.inputs[0]]] |= masks.get(event.outputs[0], 0)
    for update in trace.updates:
        for source, value in zip(update.sources, update.values):
            if update.optimizer < 0 and value is not None:
                kin[source] |= masks.get(value, 0)
    return kin


def _reached(trace: Trace) -> Masks:
    """Return for each value two bits for each source: whether gradient flows from there, and
    whether it would, had the source been watched when it was read."""
    masks: Masks = {source.value: 1 << 2 * number for number, source in enumerate(trace.sources)}
    unwatched = sum(1 << 2 * number + 1 for number in range(len(trace.sources)))
    for event in trace.events:
        mask = 0
        if event.op == "read":
            mask = masks.get(event.inputs[0], 0)
            if event.kind:
                mask = mask << 1 & unwatched if event.kind == "not_watched" else 0
        else:
            for value, flows in zip(event.inputs, event.flows, strict=True):
                if flows:
                    mask |= masks.get(value, 0)
                elif not event.kind:  # nothing stops here; it is what comes in that has no gradient
                    mask |= masks.get(value, 0) & unwatched
        if mask:
            for output in event.outputs:
                masks[output] = masks.get(output, 0) | mask
    return masks


# -- what an update is given -----------------------------------------------------------------------


def _not_for_it(trace: Trace, gradients: Masks) -> Iterator[Finding]:
    """Find sources that are only ever given gradients of other ones.

    So does whoever trains a copy and gives its gradients to the original (the first order of MAML,
    asynchronous workers): then one comes from the other, or nobody asks for the original's own.
    """
    given: dict[int, list[tuple[Update, int]]] = {}
    for update in trace.updates:
        for source, value in zip(update.sources, update.values):
            mask = 0 if value is None else gradients.get(value, 0)
            if mask or update.optimizer >= 0:
                given.setdefault(source, []).append((update, mask))
    wrong = {
        source: pairs
        for source, pairs in given.items()
        if all(mask and not mask >> source & 1 for _, mask in pairs) and _has_own(trace, source)
    }
    kin = _kin(trace) if wrong else []
    for source, pairs in wrong.items():
        others = 0
        for _, mask in pairs:
            others |= mask
        numbers = list(bits(others))
        if any(kin[other] >> source & 1 or kin[source] >> other & 1 for other in numbers):
            continue
        names = ", ".join(dict.fromkeys(trace.sources[other].name for other in numbers[:3]))
        name, place = trace.sources[source].name, pairs[0][0].place
        yield found(trace, name, "wrong_variable", place, "connected", names)
    yield from _given_away(trace, given)


def _given_away(trace: Trace, given: dict[int, list[tuple[Update, int]]]) -> Iterator[Finding]:
    """Find sources that never change, and whose gradients go to one that has its own as well."""
    told: set[int] = set()
    for other, pairs in given.items():
        for update, mask in pairs:
            source = mask.bit_length() - 1
            if mask != 1 << max(source, 0) or source in given or source in told:
                continue
            known = trace.sources[source]
            kept = _is_parameter(trace, source) and not known.updated and not known.copied
            if kept and _has_own(trace, source) and _has_own(trace, other):
                told.add(source)
                name = trace.sources[other].name
                yield found(trace, known.name, "wrong_variable", update.place, "connected", name)


def _has_own(trace: Trace, source: int) -> bool:
    """Tell whether some call brought a gradient of a source, which could be followed."""
    return any(
        asked == source and norm and output is not None
        for call in trace.gradients
        for asked, norm, output in zip(call.sources, call.norms, call.outputs)
    )


def _zeroed(trace: Trace, gradients: Masks) -> Iterator[Finding]:
    """Find sources all of whose updates are zero, although their gradients were not."""
    alive = gradients_in(trace, bool)
    given: dict[int, list[tuple[Update, int | None, float | None]]] = {}
    for update in trace.updates:
        for source, value, size in zip(update.sources, update.values, update.sizes):
            followed = value is not None and gradients.get(value, 0) >> source & 1
            if update.optimizer >= 0 or (followed and update.how != "assign"):
                given.setdefault(source, []).append((update, value, size))
    for source, triples in given.items():
        if all(size == 0 for _, _, size in triples) and _has_own(trace, source):
            its_own = [gradients.get(value or 0, 0) >> source & 1 for _, value, _ in triples]
            lively = [alive.get(value or 0, 0) >> source & 1 for _, value, _ in triples]
            if all(its_own) and not any(lively):
                continue  # the gradient that it was given is zero itself
            update, value, _ = triples[-1]
            place = None if value is None else _became_zero(trace, value, alive, source)
            place = update.place if place is None else place
            yield found(trace, trace.sources[source].name, "zeroed_update", place, "zero")


def _became_zero(trace: Trace, value: int, alive: Masks, source: int) -> int | None:
    """Return the line of the first op on the way to a value at which a gradient became zero."""
    needed, first = {value}, None
    for event in reversed(trace.events):
        if needed.isdisjoint(event.outputs):
            continue
        mine = [taken for taken in event.inputs if alive.get(taken, 0) >> source & 1]
        needed.update(mine)
        if any(trace.sizes.get(output) == 0 for output in event.outputs) and any(
            trace.sizes.get(taken) for taken in mine
        ):
            first = event.place
    return first


def _kept_back(trace: Trace, gradients: Masks) -> Iterator[Finding]:
    """Find sources whose gradients are dropped while others of the same calls are put to use.

    By assignments, that is: of optimizers it is known what they were given, and what not.
    """
    used = _used(trace)
    calls: dict[int, list[tuple[Gradient, int]]] = {}
    for call in _followed(trace):
        for position, source in enumerate(call.sources):
            calls.setdefault(source, []).append((call, position))
    assigned: dict[int, Update] = {}
    for update in trace.updates:
        for source, value in zip(update.sources, update.values):
            if update.optimizer < 0 and value is not None and gradients.get(value, 0) >> source & 1:
                assigned.setdefault(source, update)
    for source, asked in calls.items():
        if not _is_parameter(trace, source) or trace.sources[source].updated:
            continue
        if not all(_is_dropped(call, position, used) for call, position in asked):
            continue
        beside = [other for call, _ in asked for other in call.sources if other in assigned]
        if beside:
            place = assigned[beside[0]].place
            yield found(trace, trace.sources[source].name, "not_applied", place, "connected")


def _never_applied(trace: Trace, gradients: Masks) -> Iterator[Finding]:
    """Find lines that ask for gradients of which nothing is used, while other variables train.

    Or while the same ones train by what other lines bring, and by nothing else: so it is with the
    gradient of a second loss. Who asks a function for its value and gradient may want the value.
    """
    used = _used(trace)
    lines: dict[tuple[int, tuple[int, ...]], list[Gradient]] = {}
    for call in _followed(trace):
        lines.setdefault((call.place, call.sources), []).append(call)
    stepped = {source for optimizer in trace.optimizers for source in optimizer.sources}
    known: set[int] = set()  # sources whose updates come of their own gradients
    unknown: set[int] = set()
    for update in trace.updates:
        for source, value in zip(update.sources, update.values):
            own = value is not None and gradients.get(value, 0) >> source & 1
            (known if own else unknown).add(source)
    known -= unknown
    stepped |= known
    for (place, sources), calls in lines.items():
        if (
            len(calls) > 1
            and all(_is_parameter(trace, source) for source in sources)
            and (
                all(call.beside is None for call in calls) and known.issuperset(sources)
                if any(trace.sources[source].updated for source in sources)
                else stepped.difference(sources)
            )
            and all(_is_dropped(c, k, used) for c in calls for k in range(len(c.sources)))
        ):
            for source in sources:
                name = trace.sources[source].name
                yield found(trace, name, "not_applied", place, "connected")


def _followed(trace: Trace) -> list[Gradient]:
    """Return the calls that asked for certain gradients, which can be followed."""
    return [call for call in trace.gradients if call.demanded and any(call.outputs)]


def _used(trace: Trace) -> set[int]:
    """Return the values that something was computed or differentiated from, or that were given."""
    used = {value for event in trace.events for value in event.inputs}
    used.update(value for update in trace.updates for value in update.values if value is not None)
    used.update(value for call in trace.gradients for value in call.targets)
    return used


def _is_dropped(call: Gradient, position: int, used: set[int]) -> bool:
    """Tell whether a gradient arrived, could be followed, and went nowhere."""
    output = call.outputs[position] if position < len(call.outputs) else None
    return bool(call.norms[position]) and output is not None and output not in used


def _is_parameter(trace: Trace, source: int) -> bool:
    """Tell whether a source is something that one trains."""
    known = trace.sources[source]
    return known.trainable and known.lasting and known.place >= 0


def _standing_still(trace: Trace) -> Iterator[Finding]:
    """Find optimizers whose rate was never anything but zero; a schedule may begin there."""
    for optimizer in trace.optimizers:
        if optimizer.steps > 1 and optimizer.rate == 0:
            for source in optimizer.sources:
                name = trace.sources[source].name
                yield found(trace, name, "zero_rate", optimizer.place, "connected")


def _on_averages(trace: Trace) -> Iterator[Finding]:
    """Find sources that are trained on while they hold the averages of their values."""
    for update in trace.updates:
        if update.optimizer >= 0:
            for source in update.averages:
                name = trace.sources[source].name
                yield found(trace, name, "averages_trained", update.place, "connected")


# -- who is left out -------------------------------------------------------------------------------


def _unlisted(trace: Trace, reached: Masks, known: set[str]) -> Iterator[Finding]:
    """Find variables that a loss is computed with, that nobody asks for, and that never change.

    What a model holds is that model's business: whoever trains a probe leaves the trunk alone.
    """
    asked = {source for call in trace.gradients for source in call.sources}
    passes: dict[tuple[int, int], int] = {}  # a batch in a variable is there in one pass only
    for call in trace.gradients:
        if not any(trace.sources[source].updated for source in call.sources):
            continue
        mask = 0
        for target in call.targets:
            mask |= reached.get(target, 0)
        for bit in bits(mask):
            number, unwatched = divmod(bit, 2)
            source = trace.sources[number]
            if number in asked or not _is_parameter(trace, number) or source.name in known:
                continue
            if (number not in (call.beside or ())) if unwatched else call.explicit:
                continue
            if source.updated or source.held or source.copied:
                continue
            count = passes[number, call.place] = passes.get((number, call.place), 0) + 1
            if count == 2:
                yield found(trace, source.name, "unlisted", source.place, "not asked for")


def _born_each_pass(trace: Trace, reached: Masks) -> Iterator[Finding]:
    """Find variables that a step makes anew in each of its passes."""
    used = _used(trace)
    asked: dict[int, list[tuple[Gradient, int]]] = {}
    lines: dict[int, list[Gradient]] = {}
    for call in trace.gradients:
        lines.setdefault(call.place, []).append(call)
        for position, source in enumerate(call.sources):
            asked.setdefault(source, []).append((call, position))
    steps: dict[int, list[int]] = {}  # source -> the optimizers that changed it
    for update in trace.updates:
        for source in update.sources:
            steps.setdefault(source, []).append(update.optimizer)
    told: set[int] = set()
    for calls in lines.values():
        times: dict[int, int] = {}  # in how many passes a source is there
        # Line -> for each pass, what was made there.
        made: dict[int, list[tuple[Gradient, set[int]]]] = {}
        for call in calls:
            here: dict[int, set[int]] = {}
            mask = 0
            for target in call.targets:
                mask |= reached.get(target, 0)
            for bit in bits(mask):
                if not bit % 2 and _is_parameter(trace, bit // 2):
                    times[bit // 2] = times.get(bit // 2, 0) + 1
                    place = trace.sources[bit // 2].place
                    here.setdefault(place, set()).add(bit // 2)
            for place, sources in here.items():
                made.setdefault(place, []).append((call, sources))
        lasting = _lasting(calls)
        trains = any(trace.sources[source].updated for source in lasting)
        for place, here_made in made.items():
            once = [(c, {s for s in sources if times[s] == 1}) for c, sources in here_made]
            generations = [(call, sources) for call, sources in once if sources]
            every = [source for _, sources in generations for source in sources]
            if place in told or len(generations) < 2 or not _follow_one_another(trace, generations):
                continue
            own = [_optimizers_of(source, steps) for source in every]
            if any(trace.sources[source].updated for source in every):
                # One optimizer goes on, with one step for each of them.
                anew = len(generations) > 2 and len(set(own)) == 1 and own[0] is not None
            else:
                anew = trains and all(
                    _is_inner(trace, calls, source)
                    and all(_is_dropped(*pair, used) for pair in asked.get(source, ()))
                    for source in every
                )
            if anew:
                told.add(place)
                names = dict.fromkeys(trace.sources[source].name for source in generations[0][1])
                for name in names:
                    yield found(trace, name, "born_each_pass", place, "not asked for")


def _follow_one_another(trace: Trace, generations: list[tuple[Gradient, set[int]]]) -> bool:
    """Tell whether all sources of a pass were made after the pass before it was over."""
    return all(
        min(trace.sources[source].value for source in sources) > max(before.targets, default=0)
        for (before, _), (_, sources) in pairwise(generations)
    )


def _lasting(calls: list[Gradient]) -> set[int]:
    """Return the sources that more than one of these calls asks for."""
    once: set[int] = set()
    more: set[int] = set()
    for call in calls:
        more.update(once.intersection(call.sources))
        once.update(call.sources)
    return more


def _optimizers_of(source: int, steps: Mapping[int, list[int]]) -> int | None:
    """Return the optimizer that made the one step that a source had."""
    found = steps.get(source, [])
    return found[0] if len(found) == 1 and found[0] >= 0 else None


def _is_inner(trace: Trace, calls: list[Gradient], source: int) -> bool:
    """Tell whether a source was made in the step itself: a batch that is wrapped is made before."""
    value = trace.sources[source].value
    return trace.sources[source].held or any(
        call.began <= value < max(call.targets, default=0) for call in calls
    )
