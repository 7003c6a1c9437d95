"""Judge: from what is known of each gradient call, what is wrong with a program.

What one gradient call found of one source is an `Outcome`. A finding is drawn at the end, from all
outcomes of a parameter together: a parameter that got a gradient at any call is fine, whatever
stops there are on its other paths, and so is one that the program froze or declared on purpose.
This is the rule of silence, and it is the same for all frameworks.

All of it works on plain records (`Facts`). They are read out of a trace here (`facts_of`), with the
solver's help; a watcher that knows more than its trace hands in its own. What no gradient call can
tell (that a model does not list what it uses, that an optimizer passes over something) a watcher
tells by itself (`Told`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from headgate.flow.cancel import cancelled
from headgate.flow.course import losses
from headgate.flow.kinds import FACTOR, NONFINITE, cure
from headgate.flow.nested import unfollowed
from headgate.flow.patterns import names_it, names_it_at
from headgate.flow.report import Finding, told_of
from headgate.flow.solve import Flow, Reach, solve
from headgate.flow.terms import dead_terms
from headgate.flow.trace import Cut, Gradient, Place, Trace


@dataclass(slots=True)
class Outcome:
    """What one gradient call found of one source.

    Attributes:
        name: of the source.
        verdict: "connected", "zero", "not finite", "cut", "unused" or "not watched".
        kind: of the cut to blame, "" if there is none.
        cuts: the places where gradient stops, from the source on; for a zero gradient, those where
            it became zero; for one that is not finite, where that was born.
        norm: of the gradient, None where there was none.
        call: the line of the call.
        expected: whether it is zero only because a factor that does get a gradient is zero as yet.
        severing: of a source that is cut, the first cut on each of its paths.
    """

    name: str
    verdict: str
    kind: str
    cuts: tuple[Cut, ...]
    norm: float | None
    call: Place
    expected: bool = False
    severing: tuple[Cut, ...] = ()

    @property
    def arrived(self) -> bool:
        """Whether a gradient of use came of the call."""
        return bool(self.norm) and self.verdict != "not finite"

    @property
    def blamed(self) -> Cut | None:
        """The cut that the verdict is about."""
        known = (*self.severing, *self.cuts) if self.verdict == "cut" else self.cuts
        of_kind = [cut for cut in known if cut.kind == self.kind]
        return next(iter(of_kind or self.cuts), None)

    @property
    def causes(self) -> tuple[Cut, ...]:
        """All cuts that leave the source without gradient, the one to look at first being first.

        Somebody wrote a stop on purpose, so another cut comes before it. Gradient never flows
        through an index: that counts only where nothing else does.
        """
        blamed = self.blamed
        if blamed is None or len(self.severing) < 2:
            return () if blamed is None else (blamed._replace(kind=self.kind or blamed.kind),)
        hard = [cut for cut in self.severing if cut.kind not in _INDEXING] or self.severing
        ordered = sorted(hard, key=lambda cut: cut.kind in _ON_PURPOSE)
        return tuple(dict.fromkeys(ordered))[:MOST_CUTS]


_ON_PURPOSE = ("stop_gradient", "no_grad_block")
_INDEXING = ("nondiff_op", "integer_cast")

MOST_CUTS = 4
"""So many cuts of one parameter are told."""


@dataclass(slots=True)
class Call:
    """One gradient call that was looked at; its outcomes by parameter, as `Facts` knows them."""

    place: Place
    step: int
    targets: list[str]
    outcomes: dict[Hashable, Outcome] = field(default_factory=dict)


@dataclass(slots=True)
class Parameter:
    """What is known of one source over the whole run.

    Attributes:
        name: as reports call it.
        trainable: whether a missing gradient is anybody's concern.
        lasting: whether it lasts from call to call.
        made: the line on which it was made, None if unknown.
        healthy: whether a gradient arrived at some call.
        bad: the first outcomes where none arrived, one for each cause.
        spoilt: the first outcome that was not finite, if no finite one followed.
    """

    name: str
    trainable: bool = True
    lasting: bool = True
    made: Place | None = None
    healthy: bool = False
    bad: list[Outcome] = field(default_factory=list)
    spoilt: Outcome | None = None

    def note(self, outcome: Outcome) -> None:
        """Take in what a call found."""
        size = outcome.norm
        if outcome.verdict == "not finite":
            self.spoilt = self.spoilt or outcome
        cause = outcome.kind, outcome.blamed
        known = [(bad.kind, bad.blamed) for bad in self.bad]
        if not size and cause not in known and len(known) < MOST_CUTS:
            self.bad.append(outcome)

    def came(self, size: float | None, inner: bool) -> None:
        """Take in what a call returned: `inner` if that is not what the program gets."""
        if not inner and (size or (size is not None and math.isnan(size))):
            self.healthy = True
        if self.lasting and size is not None and math.isfinite(size):
            self.spoilt = None  # the program noticed, and left that step out


@dataclass(frozen=True, slots=True)
class Leak:
    """A parameter that gradient of a call reaches: where it enters, and whether it was asked of."""

    name: str
    call: Place
    entrance: Place | None
    asked: bool


class Told(NamedTuple):
    """What was found of a parameter beside the outcomes of gradient calls."""

    name: str
    verdict: str
    kind: str
    place: Place | None
    label: str = ""
    term: Place | None = None  # of the loss, where that is what is wrong
    callers: tuple[Place, ...] = ()
    further: bool = False  # whether it is one more cut of a parameter, after the first


class Loss(NamedTuple):
    """From which pass of a line on, of how many, a gradient that had been there was missing."""

    call: Place
    step: int
    passes: int


@dataclass(slots=True)
class Facts:
    """What is known of a run; parameters by whatever a watcher knows them by."""

    parameters: dict[Hashable, Parameter] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    losses: dict[Hashable, Loss] = field(default_factory=dict)


# -- the rule of silence ---------------------------------------------------------------------------


def judge(
    facts: Facts,
    told: Iterable[Told] = (),
    no_flow: Sequence[str] = (),
    flow: Sequence[str] = (),
    step: int | None = None,
    framework: str = "headgate",
) -> list[Finding]:
    """Return what is wrong, the most important first.

    Args:
        facts: what is known of the run.
        told: what the watcher found by itself.
        no_flow: patterns of parameters that gradient must not reach (`headgate.flow.patterns`);
            none is missed there.
        flow: patterns of parameters that must get a gradient wherever they are asked for.
        step: look only at this pass of each gradient call, from 0.
        framework: in whose words to say what to do.
    """
    found: dict[tuple[Any, ...], Finding] = {}
    for one in _judged(facts, told, no_flow, flow, step):
        several = one.further or one.kind in OF_A_LINE
        where = (one.place and one.place[:2], one.term) if several else ()
        found.setdefault((one.name, one.kind, *where), _finding(one, framework))
    return sorted(found.values(), key=lambda finding: finding.order)


OF_A_LINE = ("dead_term", "cancelled")
"""Kinds that are about a line of the loss: one parameter may have several findings of them."""


def lost(
    facts: Facts, no_flow: Sequence[str] = (), framework: str = "headgate"
) -> Iterator[Finding]:
    """Yield a finding for each parameter that had a gradient once, and from some pass on has none.

    What the passes say that were looked at since then is the cause.
    """
    for key, loss in facts.losses.items():
        parameter = facts.parameters.get(key)
        if parameter is None or names_it(parameter.name, no_flow):
            continue
        since = [
            call.outcomes[key]
            for call in facts.calls
            if call.place == loss.call and call.step >= loss.step and key in call.outcomes
        ]
        for one in _all_of(parameter, since):
            when = f"from step {loss.step} of {loss.passes}"
            yield replace(_finding(one, framework), when=when)


def _judged(
    facts: Facts,
    told: Iterable[Told],
    no_flow: Sequence[str],
    flow: Sequence[str],
    step: int | None,
) -> Iterator[Told]:
    told = list(told)
    explained = {one.name for one in told if one.verdict == "cut"}
    yield from _leaking(facts.leaks, no_flow)
    for key, parameter in facts.parameters.items():
        if names_it(parameter.name, no_flow):
            continue
        if parameter.spoilt is not None and step is None:
            yield _spoilt(parameter, parameter.spoilt)
            continue
        outcomes = parameter.bad
        if step is not None or names_it(parameter.name, flow):
            outcomes = [
                call.outcomes[key]
                for call in facts.calls
                if (step is None or call.step == step) and key in call.outcomes
            ]
            if step is not None and any(outcome.arrived for outcome in outcomes):
                continue
        elif parameter.healthy:
            continue
        for one in _all_of(parameter, outcomes):
            if one.kind != "unused_parameter" or one.name not in explained:
                yield one
    for one in told:
        if not names_it(one.name, no_flow):
            yield one


NOWHERE = Place("", 0)


def _all_of(parameter: Parameter, outcomes: Iterable[Outcome]) -> Iterator[Told]:
    """Yield all cuts of a parameter, the first one on each path; if there are none, what is wrong.

    Of what lies at one line one word is enough.
    """
    missing = [(each, one) for each in outcomes if (one := _missing(parameter, each)) is not None]
    # What was frozen at first, and trained later, is judged by what came then.
    missing = [pair for pair in missing if pair[1].kind != "frozen"] or missing
    cut = [(outcome, one) for outcome, one in missing if outcome.verdict == "cut"]
    known: set[Any] = set()
    for outcome, one in cut or missing[:1]:
        causes = outcome.causes if outcome.verdict == "cut" else ()
        for each in causes:
            if each.place[:2] not in known:
                yield Told(
                    one.name,
                    one.verdict,
                    each.kind,
                    each.place,
                    each.label,
                    callers=each.callers,
                    further=bool(known),
                )
                known.add(each.place[:2])
        if not causes and not known:
            yield one
            known.add(one.place and one.place[:2])


def _leaking(leaks: Iterable[Leak], no_flow: Sequence[str]) -> Iterator[Told]:
    """Yield where gradient enters a parameter that it must not reach."""
    unwanted: dict[str, list[Leak]] = {}
    for leak in leaks:
        if names_it_at(leak.name, leak.call, no_flow):
            unwanted.setdefault(leak.name, []).append(leak)
    for name, found in unwanted.items():
        # Rather where nobody asked for it than where that was what the call is for.
        leak = min(found, key=lambda leak: leak.asked)
        yield Told(name, "connected", "missing_stop", leak.entrance)


def _spoilt(parameter: Parameter, outcome: Outcome) -> Told:
    """Return the finding on a source whose gradient is NaN or infinite."""
    kind = outcome.kind or "nonfinite_data"
    cut = outcome.blamed or Cut(kind, parameter.made or outcome.call)
    return Told(parameter.name, outcome.verdict, kind, cut.place, cut.label, callers=cut.callers)


def _missing(parameter: Parameter, outcome: Outcome) -> Told | None:
    """Return the finding on a source that got no gradient; None if that is in order."""
    if outcome.verdict == "not finite":
        return _spoilt(parameter, outcome)
    if outcome.norm or outcome.expected or outcome.verdict == "connected":
        return None
    if not parameter.trainable and outcome.kind != "frozen":
        return None
    kind = outcome.kind or "unused_parameter"
    cut = outcome.blamed or Cut(kind, parameter.made or outcome.call)
    return Told(parameter.name, outcome.verdict, kind, cut.place, cut.label, callers=cut.callers)


INSIDE = "inside "
"""A label that begins so says where in a library it is, below the line of the program."""

INTO = "into "
"""A label that begins so says into which other framework a value goes, and at which line."""

_LABELLED = {"stop_gradient", "nondiff_op", "zero_derivative", "dead_term", *NONFINITE}


def _finding(one: Told, framework: str) -> Finding:
    file, line, text = ("", 0, "") if one.place is None else (*one.place[:2], one.place.text)
    told = one.kind in _LABELLED or one.label.startswith((INSIDE, INTO))
    label = one.label if told else ""
    advice = cure(one.kind, one.label, framework, one.verdict)
    return Finding(
        one.name,
        one.verdict,
        one.kind,
        file,
        line,
        text,
        advice,
        label,
        called_from=told_of(one.callers),
        term=one.term,
        further=one.further,
        framework=framework,
    )


def noticed(trace: Trace) -> Iterator[Told]:
    """Yield what is wrong with the losses of a trace: their dead terms, and what cancels."""
    reach = Reach(trace)
    for term in dead_terms(reach):
        for number in term.sources:
            name = trace.sources[number].name
            yield Told(name, "connected", "dead_term", term.cut, term.kind, term.term)
    for one in unfollowed(reach):
        yield Told(trace.sources[one.source].name, "cut", "outside_tape", one.call)
    for meeting in cancelled(reach):
        for number in meeting.sources:
            yield Told(trace.sources[number].name, "zero", "cancelled", meeting.place)


# -- the facts of a trace --------------------------------------------------------------------------


def facts_of(trace: Trace) -> Facts:
    """Read out of a trace what is to be judged."""
    facts = Facts()
    reach = Reach(trace)
    flows = iter(solve(trace, reach))
    for gradient in trace.gradients:
        place = trace.places[gradient.place]
        call = Call(place, gradient.step, list(gradient.target_names))
        facts.calls.append(call)
        known = []
        for position, number in enumerate(gradient.sources):
            source = trace.sources[number]
            key = number if source.lasting else (place, position)
            parameter = facts.parameters.get(key)
            if parameter is None:
                made = trace.places[source.place] if source.place >= 0 else None
                parameter = Parameter(source.name, source.trainable, source.lasting, made)
                facts.parameters[key] = parameter
            parameter.came(gradient.norms[position], gradient.inner)
            known.append((key, parameter))
        alive = {
            number for number, size in zip(gradient.sources, gradient.norms, strict=True) if size
        }
        for position, (key, parameter) in enumerate(known):
            outcome = _outcome(reach, gradient, position, next(flows), alive)
            call.outcomes[key] = outcome
            parameter.note(outcome)
        facts.leaks += _leaks(reach, gradient)
    for number, (course, step) in losses(trace.courses).items():
        facts.losses[number] = Loss(trace.places[course.place], step, course.passes)
    return facts


def _outcome(
    reach: Reach, gradient: Gradient, position: int, flow: Flow, alive: set[int]
) -> Outcome:
    """Return what a gradient call found of a source, by the solver's answer."""
    trace = reach.trace
    source, size = trace.sources[flow.source], gradient.norms[position]
    verdict, kind, expected = flow.verdict, "", False
    cuts = [_cut(trace, number) for number in flow.cuts]
    if position in gradient.births:
        birth = gradient.births[position]
        verdict, cuts = "not finite", [] if birth is None else [birth]
        kind = "" if birth is None else birth.kind
    elif verdict == "zero":
        cuts = [_died(reach, gradient, event, place) for event, place in flow.zeros]
        kind = cuts[0].kind if cuts else ""
        verdict = "zero" if cuts else "connected"
        if cuts and all(cut.label == FACTOR for cut in cuts):
            hard = [k for k in flow.severing if trace.events[k].kind not in _ON_PURPOSE]
            if hard:  # a factor of 0 is there only so that there is a gradient at all
                verdict, kind = "cut", _blamed(trace, flow)
                cuts = [_cut(trace, number) for number in hard]
        expected = bool(flow.zeros) and all(
            _source_of(reach, gradient.deaths[place].factor) in alive for place in flow.zeros
        )
    elif position in gradient.told:
        told = gradient.told[position]
        verdict, kind, cuts = "unused", told.kind, [told] if told.place.line else []
    elif verdict == "cut":
        kind = _blamed(trace, flow)
        if flow.severing and not trace.events[flow.severing[0]].kind:
            cuts = [cut._replace(kind=cut.kind or kind) for cut in cuts]
    elif verdict == "unused":
        kind = "unused_parameter"
    return Outcome(
        source.name,
        verdict,
        kind,
        tuple(dict.fromkeys(cuts)),
        size,
        trace.places[gradient.place],
        expected,
        tuple(dict.fromkeys(_cut(trace, number) for number in flow.severing)),
    )


def _blamed(trace: Trace, flow: Flow) -> str:
    """Return the kind of the first cut that gradient would have come to.

    It never flows through an index, so where one path goes through an op without a gradient and
    another one is cut otherwise, it is that other cut.
    """
    kinds = [trace.events[number].kind or "custom_gradient" for number in flow.severing]
    found = [kind for kind in kinds if kind != "nondiff_op"] or kinds
    return found[0] if found else "not_watched"


def _cut(trace: Trace, number: int) -> Cut:
    event = trace.events[number]
    label = event.label or (event.op if event.op != event.kind else "")
    place = trace.place_of(event)
    return Cut(event.kind, place, label, event.shape, trace.callers_of(event))


def _died(reach: Reach, gradient: Gradient, number: int, position: int) -> Cut:
    """Return where a gradient became zero: where the zeros it was multiplied with were made."""
    trace, death = reach.trace, gradient.deaths[number, position]
    event = trace.events[number]
    made = event
    if _source_of(reach, death.factor) is None and death.factor in reach.makers:
        made = trace.events[reach.makers[death.factor][0]]
    label = death.label or event.op
    return Cut(death.kind, trace.place_of(made), label, None, trace.callers_of(made))


VIEWS = {"identity", "reshape", "permute_dims", "matrix_transpose", "astype", "broadcast_to"}
"""Ops that only show a value in another form."""


def _source_of(reach: Reach, value: int) -> int | None:
    """Return the source that a value simply is, as it was read; None if it was computed."""
    seen = set()
    while value in reach.makers and value not in seen:
        seen.add(value)
        event = reach.trace.events[reach.makers[value][0]]
        if event.op not in VIEWS and event.op not in ("read", "watch"):
            return None
        value = event.inputs[0]
    mask = reach.own.get(value, 0)
    return mask.bit_length() - 1 if mask else None


def _leaks(reach: Reach, gradient: Gradient) -> Iterator[Leak]:
    """Yield all parameters that gradient of a call reaches, asked for or not."""
    trace = reach.trace
    way, found = reach.behind(gradient.targets)
    entrances: dict[int, Place] = {}  # by value
    for number in way:
        event = trace.events[number]
        if not any(found.get(value) for value in event.outputs):
            continue
        for value, flows in zip(event.inputs, event.flows, strict=True):
            if flows and event.op not in ("read", "watch"):
                entrances.setdefault(value, trace.place_of(event))
    readers: dict[int, list[int]] = {}
    for number in way:
        event = trace.events[number]
        if event.op in ("read", "watch"):
            readers.setdefault(event.inputs[0], []).extend(event.outputs)
    for number, source in enumerate(trace.sources):
        if source.lasting and found.get(source.value):
            places = [entrances[v] for v in readers.get(source.value, ()) if v in entrances]
            entrance = places[0] if places else entrances.get(source.value)
            asked = number in gradient.sources
            yield Leak(source.name, trace.places[gradient.place], entrance, asked)
