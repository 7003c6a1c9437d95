"""The watcher of Headgate's own programs: every gradient call of a run, and what came of it.

While a `Watch` is entered it looks on at all tapes, in all threads (`headgate.record.onlooker`). At
each gradient call it asks the masks for a verdict on each source before the graph is freed, and
measures the walk itself. What one call found of one source is an `Outcome`. A finding is drawn at
the end, from all outcomes of a parameter together: a parameter that got a gradient at any call is
fine, whatever stops there are on its other paths, and so is one that the program froze or declared
on purpose (`_is_fine`).

What no single call can tell is judged at the end as well: a parameter that a model uses and does
not list, one whose gradient never goes to the optimizer, and one that a layer froze before it
ever learnt anything.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from headgate.core.asked import asked, name_of
from headgate.core.birth import Lookout, Meter
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable
from headgate.flow.kinds import NONFINITE, cure, rank
from headgate.flow.patterns import names_it, names_it_at
from headgate.flow.report import Finding
from headgate.flow.trace import Place as TracePlace
from headgate.flow.statements import statements
from headgate.flow.trace import Trace
from headgate.flow.updates import updates
from headgate.flow.watch.log import Log
from headgate.flow.watcher import Watcher
from headgate.nn.layer import Layer, calls, every_layer
from headgate.record.cuts import sequence
from headgate.record.graph import Leaf, Node, Source, state
from headgate.record.magnitude import Magnitudes, leaf_of, norm
from headgate.record.onlooker import Onlooker, onlookers
from headgate.record.site import Site, caller
from headgate.record.verdict import Place, Verdict, explain

MEASURED = 20
"""So many passes of one line are looked at closely; later ones only while a gradient is missing."""

KEPT = 1000
"""So many gradient calls are kept for the report in full."""


@dataclass(slots=True)
class Outcome:
    """What one gradient call found of one source."""

    verdict: Verdict
    site: Site  # of the call
    norm: float | None
    expected: bool  # zero, but only because a factor that does get a gradient is zero as yet


@dataclass(slots=True)
class Call:
    """One gradient call."""

    site: Site
    step: int
    targets: list[str]
    looked: bool = False  # closely
    nodes: list[Node | None] = field(default_factory=list)  # of the targets, while it runs
    outcomes: dict[Any, Outcome] = field(default_factory=dict)


@dataclass(slots=True)
class Known:
    """What is known of one source over the whole run."""

    name: str
    trainable: bool = True
    made: Place | None = None
    healthy: bool = False  # a gradient arrived at some call, or its absence is no mistake
    bad: list[Outcome] = field(default_factory=list)  # the first of each kind, where none arrived
    spoilt: Outcome | None = None  # the first that was not finite, if no finite one followed
    variable: Variable | None = None
    written: int = 0  # by the time of the first call
    calls: set[tuple[int, int]] = field(default_factory=set)  # the lines that asked for it


class _End:
    """What a `with` statement calls at the end of the block in which a watch looks on.

    Only that statement holds it. An interrupt may come when it is called, and before it does
    anything: then the watch ends when the statement lets go of it.
    """

    __slots__ = ("watch",)

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def __call__(self, *exception: object) -> None:
        self.watch._end()

    def __del__(self) -> None:
        self.watch._end()


class _Ends:
    """`Watch.__exit__`: for each statement that asks for it, an end of its own."""

    def __get__(self, watch: Watch | None, kind: type[Watch]) -> Callable[..., None]:
        return kind._end if watch is None else _End(watch)


class Watch(Watcher, Onlooker):
    """Look on at all gradient calls of this process; a context manager.

    Args:
        step: a pass of each gradient call, from 0, that is looked at closely in any case.

    >>> import headgate as hg
    >>> from headgate.flow.watch.headgate import Watch
    >>> w = hg.Variable(2.0, name="w")
    >>> with Watch() as watch:
    ...     with hg.GradientTape() as tape:
    ...         loss = hg.stop_gradient(w) * 3.0
    ...     gradient = tape.gradient(loss, w)
    >>> [(finding.parameter, finding.kind) for finding in watch.findings()]
    [('w', 'stop_gradient')]
    """

    framework = "headgate"

    def __init__(self, step: int | None = None) -> None:
        self._step = step
        self.calls: list[Call] = []
        self._known: dict[Any, Known] = {}
        self._passes: dict[tuple[int, int], int] = {}
        self._codes: dict[int, Any] = {}  # keeps code objects, whose ids are keys, alive
        self._readers: dict[Source, tuple[Layer, ...]] = {}
        # By source and gradient call: where gradient enters the first op on the source, and whether
        # the call asked for it.
        self._leaks: dict[Source, dict[Site, tuple[Site | None, bool]]] = {}
        self._strays: dict[Source, tuple[str, Place | None]] = {}
        self._frozen: dict[Source, tuple[str, Site, Variable]] = {}
        self._applied: dict[Source, Site] = {}  # where an optimizer was given it
        self._beside: tuple[Any, Sequence[Any]] = None, ()
        self._lock = threading.RLock()
        self._log = Log()
        self._outer: Onlooker | None = None  # who looked on before

    def __enter__(self) -> Watch:
        self._outer = state.outside.onlooker
        onlookers.append(self)
        state.outside.onlooker = self._log
        return self

    __exit__ = _Ends()

    def _end(self, *exception: object) -> None:
        if self in onlookers:
            state.outside.onlooker = self._outer
            onlookers.remove(self)

    @property
    def trace(self) -> Trace:
        """What happened, up to `log.MOST` events, in neutral form."""
        return self._log.trace()

    # -- what an onlooker is told -----------------------------------------------------------------

    def for_recording(self) -> Log | None:
        """Let the log be told of everything in a new recording, while it has room."""
        self._log.steps.starts.append(sequence())
        return None if self._log.full else self._log

    def first_read(self, variable: Variable) -> None:
        """Note which layers were being called when a variable was read."""
        if calls.stack and variable._source not in self._readers:
            self._readers[variable._source] = tuple(calls.stack)

    def applied(self, optimizer: Any, pairs: Sequence[Any], rate: Any) -> None:
        """Note which variables an optimizer was given, and where."""
        site = caller()
        with self._lock:
            for gradient, variable in pairs:
                if gradient is not None:
                    self._applied[variable._source] = site
            self._log.steps.applied(optimizer, pairs, rate)

    def assigned(self, variable: Variable, how: str, node: Node | None) -> None:
        """Note an assignment."""
        with self._lock:
            self._log.steps.assigned(variable, how, node)

    def froze(self, pattern: str, took: dict[str, Any]) -> None:
        """Note what a freeze took out of training."""
        self._log.steps.froze(pattern, took)

    def unfroze(self, variables: Sequence[Any]) -> None:
        """Note that variables are trained again."""
        self._log.steps.unfroze(variables)

    def swapped(self, variables: Sequence[Any], averaged: bool) -> None:
        """Note that averages are in the variables, or no longer."""
        self._log.steps.swapped(variables, averaged)

    def beside(self, tape: Any, variables: Sequence[Any]) -> None:
        """Note what a function was given besides what it is differentiated by."""
        self._beside = tape, variables

    def before_gradient(
        self, tape: Any, targets: list[Any], sources: list[Any]
    ) -> tuple[Magnitudes | None, Any] | None:
        """Judge each source while the graph is there; return a meter for the walk."""
        if state.recording.walking:  # a rule differentiates for itself
            return None
        site = caller()
        with self._lock:
            place = id(site.code), site.instruction
            self._codes[place[0]] = site.code
            step = self._passes.get(place, 0)
            self._passes[place] = step + 1
            keys = [self._key(source, place, number) for number, source in enumerate(sources)]
            close = (
                step < MEASURED
                or step == self._step
                or any(not self._known[key].healthy for key in keys)
            )
            close = close and len(self.calls) < 20 * KEPT
            call = Call(site, step, [name_of(target) for target in targets], close)
            verdicts = []
            if close:
                self._look_around(site, tape, targets, sources)
                about = tape._question(targets)
                verdicts = [explain(about, asked(source)) for source in sources]
                self.calls.append(call)
        # Later passes are only looked at for what is not finite, until the first that is not.
        wary = close or all(self._known[key].spoilt is None for key in keys)
        meter = tape._meter(targets, sources, Meter if close else Lookout) if wary else None
        if tape._recording.onlooker is self._log:
            call.nodes = [
                target.node if type(target) is Tensor else tape._node(target) for target in targets
            ]
        return meter, (call, keys, verdicts, tape, targets, sources, meter, place)

    def after_gradient(self, memo: Any, gradients: list[Any]) -> None:
        """Put together what the walk brought and what the masks say."""
        call, keys, verdicts, tape, targets, sources, meter, place = memo
        with self._lock:
            inner = state.recording.in_use and state.recording.tapes != [tape._reference]
            sizes = [None if g is None else norm(g.value) for g in gradients]
            if call.nodes:
                named = list(zip(call.targets, call.nodes))
                measured = None if type(meter) is Lookout else meter
                self._log.gradient(call.site, call.step, named, sources, sizes, measured)
                if call.looked:
                    self._log.steps.came_back(call.site, call.step, gradients, sizes)
                    self._note_surroundings(call, tape, sources)
                call.nodes = []
            if not inner:
                for source, size in zip(sources, sizes):
                    if type(source) is Variable:
                        self._log.steps.passed(call.site, source._source, size, call.looked)
            alive = {
                source._source
                for source, size in zip(sources, sizes)
                if size and type(source) is Variable
            }
            for key, size in zip(keys, sizes):
                self._known[key].calls.add(place)
                if not inner and (size or (size is not None and size != size)):
                    self._known[key].healthy = True
            for key, source, size in zip(keys, sources, sizes):
                if size is not None and math.isfinite(size) and type(source) is Variable:
                    self._known[key].spoilt = None  # the program noticed, and left that step out
            if not verdicts and not all(_is_finite(size, meter) for size in sizes):
                about = tape._question(targets)
                verdicts = [explain(about, asked(source)) for source in sources]
            for key, source, verdict, size in zip(keys, sources, verdicts, sizes):
                if size is None and verdict.connected:  # a custom rule gave None in this very walk
                    verdict = explain(tape._question(targets), asked(source))
                elif size == 0 or not _is_finite(size, meter):
                    verdict = explain(tape._question(targets), asked(source), meter)
                expected = verdict.verdict == "zero" and _only_waits(source, meter, alive)
                outcome = Outcome(verdict, call.site, size, expected)
                call.outcomes[key] = outcome
                known = self._known[key]
                if verdict.verdict == "not finite":
                    known.spoilt = known.spoilt or outcome
                if not size and all(bad.verdict.kind != verdict.kind for bad in known.bad):
                    known.bad.append(outcome)

    # -- what is noted at a call ------------------------------------------------------------------

    def _note_surroundings(self, call: Call, tape: Any, sources: Sequence[Any]) -> None:
        """Note what else is known of a gradient call: what its function was given, and who has
        the variables that gradient reaches."""
        steps = self._log.steps
        of, given = self._beside
        asked = [source._source for source in sources if type(source) is Variable]
        beside = [each for each in given if each._source not in asked] if of is tape else []
        functional = of is tape
        self._beside = None, ()
        reached = [s for node in call.nodes if node is not None for s in _reached(node)]
        steps.hold([*reached, *(each._source for each in beside)])
        explicit = not tape._watch_accessed and not functional
        steps.around(call.site, call.step, explicit, beside)

    def _key(self, source: Any, place: tuple[int, int], number: int) -> Any:
        """Return what a source is known by: a variable by itself, a tensor by where it is asked."""
        if type(source) is Variable:
            key: Any = source._source
        else:
            key = (*place, number)
        if key not in self._known:
            known = self._known[key] = Known(name_of(source))
            if type(source) is Variable:
                known.trainable = source.trainable
                known.variable = source
                known.written = source._source.written
                if source._source.made is not None:
                    known.made = Place.at("created", source._source.made)
        return key

    def _look_around(self, call: Site, tape: Any, targets: list[Any], sources: list[Any]) -> None:
        """Note what gradient reaches besides the sources, and which layers are frozen."""
        asked = {source._source for source in sources if type(source) is Variable}
        for target in targets:
            node = tape._node(target)
            if node is None:
                continue
            reached = [s for s in node.recording.sources.of(node.live) if s.made is not None]
            leaks = [self._leaks.setdefault(source, {}) for source in reached]
            if any(call not in known for known in leaks):
                entrances = _entrances(node)
                for source, known in zip(reached, leaks):
                    known.setdefault(call, (entrances.get(source), source in asked))
            for source in reached:
                if source not in asked:
                    self._note_stray(source, asked)
        for layer in list(every_layer):
            for variable, site in layer._frozen_variables():
                source = variable._source
                if variable.trainable and not source.written and source in self._leaks:
                    self._frozen.setdefault(source, (variable.name, site, variable))

    def _note_stray(self, source: Source, asked: set[Source]) -> None:
        """Note a variable that a model used and does not list, though its variables are asked for.

        A variable that belongs to another model, a teacher's say, is in order.
        """
        readers = self._readers.get(source)
        if not readers:
            return
        model = readers[0]
        listed = {variable._source for variable in model.variables}
        if source in listed or not listed & asked:
            return
        for layer in list(every_layer):
            elsewhere = source in {variable._source for variable in layer.variables}
            if elsewhere and not _is_inside(layer, readers):
                return
        place = None if source.made is None else Place.at("not_registered", source.made)
        self._strays.setdefault(source, (source.name, place))

    # -- what comes out ---------------------------------------------------------------------------

    def gradients(self) -> list[dict[str, Any]]:
        """Return the calls as the report's JSON has them."""
        return [
            {
                "where": str(call.site),
                "framework": self.framework,
                "targets": call.targets,
                "sources": [
                    {
                        "name": outcome.verdict.source,
                        "verdict": outcome.verdict.verdict,
                        "norm": outcome.norm,
                        "cuts": [
                            {
                                "kind": cut.kind,
                                "file": cut.file,
                                "line": cut.line,
                                "text": cut.text,
                                "label": cut.label,
                                "shape": cut.shape,
                            }
                            for cut in outcome.verdict.cuts
                        ],
                    }
                    for outcome in call.outcomes.values()
                ],
            }
            for call in self.calls[:KEPT]
        ]

    def findings(
        self, no_flow: Sequence[str] = (), flow: Sequence[str] = (), step: int | None = None
    ) -> list[Finding]:
        found: dict[tuple[str, str], Finding] = {}
        for finding in self._all(no_flow, flow, step):
            found.setdefault((finding.parameter, finding.kind), finding)
        return sorted(found.values(), key=lambda finding: rank(finding.kind))

    def _all(
        self, no_flow: Sequence[str], flow: Sequence[str], step: int | None
    ) -> Iterator[Finding]:
        for source, leaks in self._leaks.items():
            found = [
                (asked, site)
                for call, (site, asked) in leaks.items()
                if names_it_at(source.name, _place(call), no_flow)
            ]
            if found:  # rather where nobody asked for it than where that was what the call is for
                site = min(found, key=lambda leak: leak[0])[1]
                place = None if site is None else Place.at("missing_stop", site)
                yield _finding(source.name, "connected", "missing_stop", place)
        for key, known in self._known.items():
            if names_it(known.name, no_flow):
                continue
            outcomes = known.bad
            if known.spoilt is not None and step is None:
                yield _of_spoilt(known, known.spoilt)
                continue
            if step is not None or names_it(known.name, flow):
                outcomes = [
                    call.outcomes[key]
                    for call in self.calls
                    if (step is None or call.step == step) and key in call.outcomes
                ]
                if step is not None and any(map(_arrived, outcomes)):
                    continue
            elif known.healthy:
                continue
            for outcome in outcomes:
                finding = _of(known, outcome)
                if finding is not None:
                    yield finding
                    break
        asked = {key for key in self._known if isinstance(key, Source)}
        for source, (name, place) in self._strays.items():
            if source not in asked and not source.written and not names_it(name, no_flow):
                yield _finding(name, "connected", "not_registered", place)
        for source, (name, site, variable) in self._frozen.items():
            untouched = source not in asked and not source.written
            if untouched and not _adapts(variable) and not names_it(name, no_flow):
                yield _finding(name, "not asked for", "frozen", Place.at("frozen", site))
        trace = self.trace
        for finding in [*updates(trace), *statements(trace, flow)]:
            if not names_it(finding.parameter, no_flow):
                yield finding
        for known in self._known.values():
            if known.healthy and known.variable is not None and not names_it(known.name, no_flow):
                site = self._passed_over(known)
                if site is not None:
                    place = Place.at("optimizer_mask", site)
                    yield _finding(known.name, "connected", "optimizer_mask", place)

    def _passed_over(self, known: Known) -> Site | None:
        """Return where an optimizer was given what was asked for together with a variable, if that
        variable itself was never changed."""
        assert known.variable is not None
        source = known.variable._source
        if source in self._applied or source.written > known.written:
            return None
        for key, other in self._known.items():
            if key in self._applied and other.calls & known.calls:
                return self._applied[key]
        return None


def _place(site: Site) -> TracePlace:
    return TracePlace(site.file, site.line, site.code.co_qualname)


def _arrived(outcome: Outcome) -> bool:
    """Tell whether a gradient of use came of a call."""
    return bool(outcome.norm) and outcome.verdict.verdict != "not finite"


def _is_finite(size: float | None, meter: Magnitudes | None) -> bool:
    """Tell whether a gradient is finite, and what it is the gradient of."""
    if size is None or meter is None:
        return True
    return math.isfinite(size) and (meter.of_target is None or meter.reaches_a_source)


def _of_spoilt(known: Known, outcome: Outcome) -> Finding:
    """Return the finding on a source whose gradient is NaN or infinite."""
    verdict = outcome.verdict
    place = verdict.blamed or Place.at("gradient", outcome.site)
    return _finding(known.name, verdict.verdict, verdict.kind or "nonfinite_data", place)


def _of(known: Known, outcome: Outcome) -> Finding | None:
    """Return the finding on a source that got no gradient; None if that is in order."""
    verdict = outcome.verdict
    if verdict.verdict == "not finite":
        return _of_spoilt(known, outcome)
    if outcome.norm or outcome.expected or verdict.verdict == "connected":
        return None
    if not known.trainable and verdict.kind != "frozen":
        return None
    place = verdict.blamed or Place.at("gradient", outcome.site)
    return _finding(known.name, verdict.verdict, verdict.kind or "unused_parameter", place)


_LABELLED = {"stop_gradient", "nondiff_op", "zero_derivative", *NONFINITE}


def _finding(name: str, verdict: str, kind: str, place: Place | None) -> Finding:
    if place is None:
        return Finding(name, verdict, kind, "", 0, "", cure(kind))
    label = place.label if kind in _LABELLED else ""
    advice = cure(kind, label)
    return Finding(name, verdict, kind, place.file, place.line, place.text, advice, label)


def _only_waits(source: Any, meter: Magnitudes | None, alive: set[Source]) -> bool:
    """Tell whether a gradient is zero only because of a factor that is zero and is being trained.

    So it is with the first step of a low-rank adapter, one of whose factors starts at zero.
    """
    number = None if meter is None else meter.number(asked(source))
    if meter is None or number is None:
        return False
    zeros = meter.zeros(number)
    leaves = [leaf_of(zero.factor) for zero in zeros]
    return bool(leaves) and all(leaf is not None and leaf.source in alive for leaf in leaves)


def _entrances(node: Node) -> dict[Source, Site | None]:
    """Return the line of the first op on each source that gradient of a node reaches."""
    first: dict[Source, Node] = {}
    todo, seen = [node], {node.seq}
    while todo:
        current = todo.pop()
        for edge in current.edges or ():
            parent = None if edge is None else edge[0]
            if type(parent) is Leaf and current.site is not None:
                known = first.setdefault(parent.source, current)
                if current.seq < known.seq:
                    first[parent.source] = current
            if parent is not None and parent.seq not in seen:
                seen.add(parent.seq)
                todo.append(parent)
    return {source: found.site and Site(*found.site) for source, found in first.items()}


def _reached(node: Node) -> list[Source]:
    """Return the variables that gradient of a node reaches."""
    return [source for source in node.recording.sources.of(node.live) if source.made is not None]


def _is_inside(layer: Layer, readers: tuple[Layer, ...]) -> bool:
    """Tell whether a layer is one of those being called, or lies in the outermost of them."""
    return layer in readers or layer in readers[0]._all_layers({})


def _adapts(variable: Variable) -> bool:
    """Tell whether a frozen variable lies in a layer with weights of its own that are trained.

    So it is with adapters: what they wrap is frozen on purpose.
    """
    holders = [layer for layer in list(every_layer) if any(v is variable for v in layer.variables)]
    return any(
        layer._trainable and any(map(layer._trains, layer._members()[0])) for layer in holders
    )


def trace() -> Watch:
    """Record what a block computes and differentiates, to look at its flow of gradient.

    Returns:
        A context manager. Its attribute `trace` is the record (`headgate.flow.trace.Trace`),
        `findings()` lists what is wrong, `text()`, `mermaid()` and `dot()` draw the flow, `html()`
        makes a page of it, and a notebook shows that page.

    >>> import headgate as hg
    >>> w = hg.Variable([1.0, 2.0], name="w")
    >>> with hg.trace() as flow:
    ...     with hg.GradientTape() as tape:
    ...         loss = hg.sum(hg.round(w) * w)
    ...     gradient = tape.gradient(loss, w)
    >>> [event.op for event in flow.trace.events]
    ['read', 'round', 'multiply', 'sum']
    """
    return Watch()
