"""The watcher of Headgate's own programs: every gradient call of a run, and what came of it.

While a `Watch` is entered it looks on at all tapes, in all threads (`headgate.record.onlooker`). At
each gradient call it asks the masks for a verdict on each source before the graph is freed, and
measures the walk itself. So it hands the judge (`headgate.flow.judge`) facts of its own in place of
those that are in the trace: the masks also know what a trace has no room for, and cost less.

Only some passes of a line are looked at closely (`headgate.flow.course.looks_at`), and only what is
recorded for them is written into the log: a recording is, if a line that asked recordings of its
origin for gradients is to be looked at next. Of all other passes it is noted what came back.

What no single call can tell it finds by itself: a parameter that a model uses and does not list,
one whose gradient never goes to the optimizer, and one that a layer froze before it ever learnt
anything.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from headgate.core.asked import asked, find_names, keep_name, names_of
from headgate.core.birth import Lookout, Meter
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable
from headgate.flow.course import looks_at
from headgate.flow.judge import Call, Facts, Leak, Loss, Outcome, Parameter, Told
from headgate.flow.trace import Cut, Place, Trace
from headgate.flow.watch.log import Log
from headgate.flow.watcher import KEPT, Watcher
from headgate.nn.layer import Layer, calls, every_layer
from headgate.record.asked import Asked
from headgate.record.cuts import sequence
from headgate.record.graph import Leaf, Node, Recording, Source, state
from headgate.record.magnitude import Magnitudes, leaf_of, norm
from headgate.record.onlooker import Onlooker, all_in, onlookers, together
from headgate.record.site import Site, caller
from headgate.record.verdict import Place as Shown
from headgate.record.verdict import Verdict, explain

CHANGES = 64
"""So often a line is looked at closely because other gradients came than at its last pass."""


@dataclass(slots=True)
class Known(Parameter):
    """What is known of one source over the whole run, with what only Headgate knows of it."""

    variable: Variable | None = None
    written: int = 0  # by the time of the first call
    calls: set[tuple[int, int]] = field(default_factory=set)  # the lines that asked for it


@dataclass(slots=True)
class Asking:
    """A gradient call while it runs."""

    call: Call
    site: Site
    place: tuple[int, int]
    keys: list[Hashable]
    verdicts: list[Verdict]
    tape: Any
    targets: list[Any]
    nodes: list[Node | None]  # of the targets, if the call is logged
    sources: list[Any]
    meter: Magnitudes | None
    close: bool  # whether it is looked at closely
    beside: list[Variable] | None  # what its function is given beside, if it is a function's


@dataclass(slots=True, eq=False)
class Line:
    """A line that asks for gradients."""

    passes: int = 0
    targets: list[str] = field(default_factory=list)  # their names, when they were last looked at
    came: tuple[str, ...] = ()  # what came of the last pass
    changes: int = 0  # how often that was another thing than before
    unsettled: bool = False  # whether the last pass brought a change


@dataclass(slots=True, eq=False)
class Origin:
    """A line where recordings begin, and the lines that asked them for gradients."""

    recordings: int = 0
    lines: list[Line] = field(default_factory=list)


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
        every: how far apart the passes are that are looked at closely
            (`headgate.flow.course.looks_at`); those with a change are too.

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

    def __init__(self, step: int | None = None, every: int | None = None) -> None:
        self._step = step
        self._every = every
        self.calls: list[Call] = []
        self._known: dict[Hashable, Known] = {}
        self._places: dict[tuple[int, int], Place] = {}
        self._sought: set[Source] = set()
        self._lines: dict[tuple[int, int], Line] = {}
        self._origins: dict[tuple[int, int], Origin] = {}
        self._begun: dict[int, Origin] = {}  # by recording; a later one may have the same number
        self._codes: dict[int, Any] = {}  # keeps code objects, whose ids are keys, alive
        self._readers: dict[Source, tuple[Layer, ...]] = {}
        # By source and gradient call: where gradient enters the first op on the source, and whether
        # the call asked for it.
        self._leaks: dict[Source, dict[Site, tuple[Site | None, bool]]] = {}
        self._strays: dict[Source, tuple[str, Site | None]] = {}
        self._frozen: dict[Source, tuple[str, Site, Variable]] = {}
        self._applied: dict[Source, Site] = {}  # where an optimizer was given it
        self._lock = threading.RLock()
        self._log = Log()
        self._log.steps.every = every
        self._trace: Trace | None = None  # when it has ended
        self._beside: tuple[Any, Sequence[Variable]] = None, ()

    def __enter__(self) -> Watch:
        onlookers.append(self)
        self._trace = None
        state.outside.onlooker = together([state.outside.onlooker, self._log])
        return self

    __exit__ = _Ends()

    def _end(self, *exception: object) -> None:
        if self in onlookers:
            others = [each for each in all_in(state.outside.onlooker) if each is not self._log]
            state.outside.onlooker = together(others)
            onlookers.remove(self)

    @property
    def trace(self) -> Trace:
        """What happened, up to `log.MOST` events, in neutral form."""
        if self in onlookers:
            return self._log.trace()
        if self._trace is None:
            self._trace = self._log.trace()
        return self._trace

    # -- what an onlooker is told -----------------------------------------------------------------

    def for_recording(self, recording: Recording) -> Log | None:
        """Let the log be told of everything in a new recording, if it is to be looked at closely.

        It is if that holds for the next pass of a line that asked recordings of its origin for
        gradients, or, as long as there is none, for this one.
        """
        self._log.steps.starts.append(sequence())
        site = caller()
        place = id(site.code), site.instruction
        with self._lock:
            self._codes[place[0]] = site.code
            origin = self._origins.setdefault(place, Origin())
            self._begun[id(recording)] = origin
            number = origin.recordings
            origin.recordings += 1
            close = any(map(self._looks_at_next, origin.lines)) or (
                not origin.lines and self._looks_at(number)
            )
        return self._log if close and not self._log.full else None

    def _looks_at(self, step: int) -> bool:
        return looks_at(step, self._every) or step == self._step

    def _looks_at_next(self, line: Line) -> bool:
        return self._looks_at(line.passes) or (line.unsettled and line.changes < CHANGES)

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
            line = self._lines.setdefault(place, Line())
            step = line.passes
            line.passes += 1
            keys = self._keys(sources, place)
            origin = self._begun.get(id(tape._recording))
            if origin is not None and line not in origin.lines:
                origin.lines.append(line)
            close = (
                self._looks_at(step)
                or any(not self._known[key].healthy for key in keys)
                or (
                    line.changes < CHANGES
                    and (line.unsettled or _differs(line, tape, targets, sources))
                )
            )
            close = close and len(self.calls) < 20 * KEPT
            if close or len(line.targets) != len(targets):
                line.targets = names_of(targets)
            call = Call(self._place(site), step, line.targets)
            verdicts = []
            if close:
                self._look_around(site, tape, targets, sources)
                about = tape._question(targets)
                verdicts = [explain(about, each) for each in self._asked(sources, keys)]
                self.calls.append(call)
        # Later passes are only looked at for what is not finite, until the first that is not.
        wary = close or all(self._known[key].spoilt is None for key in keys)
        meter = tape._meter(targets, sources, Meter if close else Lookout) if wary else None
        nodes = []
        if self._log in all_in(tape._recording.onlooker):
            nodes = [
                target.node if type(target) is Tensor else tape._node(target) for target in targets
            ]
        of, given = self._beside
        self._beside = None, ()
        beside = list(given) if of is tape else None
        return meter, Asking(
            call, site, place, keys, verdicts, tape, targets, nodes, sources, meter, close, beside
        )

    def after_gradient(self, memo: Any, gradients: list[Any]) -> None:
        """Put together what the walk brought and what the masks say."""
        asking: Asking = memo
        sources, meter = asking.sources, asking.meter
        with self._lock:
            inner = state.recording.in_use and state.recording.tapes != [asking.tape._reference]
            sizes = [None if g is None else norm(g.value) for g in gradients]
            alive = {
                source._source
                for source, size in zip(sources, sizes)
                if size and type(source) is Variable
            }
            if not inner:
                self._note_course(asking, sizes)
            for key, size in zip(asking.keys, sizes):
                self._known[key].calls.add(asking.place)
                self._known[key].came(size, inner)
            verdicts = asking.verdicts
            if not verdicts and not all(_is_finite(size, meter) for size in sizes):
                about = asking.tape._question(asking.targets)
                verdicts = [explain(about, each) for each in self._asked(sources, asking.keys)]
            outcomes = []
            for source, key, verdict, size in zip(sources, asking.keys, verdicts, sizes):
                verdict = self._seen(asking, source, verdict, size)
                expected = verdict.verdict == "zero" and _only_waits(source, meter, alive)
                outcomes.append(self._outcome(verdict, asking.call.place, size, expected))
                asking.call.outcomes[key] = outcomes[-1]
                self._known[key].note(outcomes[-1])
            if asking.nodes:
                named = list(zip(asking.call.targets, asking.nodes))
                measured = None if type(meter) is Lookout else meter
                self._log.gradient(
                    asking.site, asking.call.step, named, sources, sizes, measured, outcomes, inner
                )
                if asking.close:
                    self._note_what_came(asking, gradients, sizes)

    def _seen(self, asking: Asking, source: Any, verdict: Verdict, size: float | None) -> Verdict:
        """Return the verdict on a source once it is known what came."""
        about, name = asking.tape._question(asking.targets), verdict.source
        if size is None and verdict.connected:  # a custom rule gave None in this very walk
            return explain(about, asked(source, name))
        if size == 0 or not _is_finite(size, asking.meter):
            return explain(about, asked(source, name), asking.meter)
        return verdict

    def _asked(self, sources: list[Any], keys: list[Hashable]) -> list[Asked]:
        return [asked(source, self._known[key].name) for source, key in zip(sources, keys)]

    # -- what is noted at a call ------------------------------------------------------------------

    def _outcome(
        self, verdict: Verdict, call: Place, size: float | None, expected: bool
    ) -> Outcome:
        """Return a verdict of the masks as the judge takes it."""
        cuts, severing = (tuple(map(self._cut, c)) for c in (verdict.cuts, verdict.severing))
        kind = verdict.kind or ""
        return Outcome(verdict.source, verdict.verdict, kind, cuts, size, call, expected, severing)

    def _cut(self, shown: Shown) -> Cut:
        led = self._log.callers_of(shown.number, shown.site)
        place = Place(shown.file, shown.line)
        return Cut(shown.kind, place, shown.label, shown.shape, tuple(map(self._place, led)))

    def _note_course(self, asking: Asking, sizes: list[float | None]) -> None:
        """Note which gradients came, and whether that is something new."""
        line = self._lines[asking.place]
        came = tuple(["none" if n is None else "zero" if n == 0 else "some" for n in sizes])
        line.unsettled = bool(line.came) and came != line.came
        line.changes += line.unsettled
        line.came = came
        for source, what in zip(asking.sources, came):
            if type(source) is Variable:
                self._log.steps.passed(asking.site, source._source, what, asking.close)

    def _note_what_came(
        self, asking: Asking, gradients: list[Any], sizes: list[float | None]
    ) -> None:
        """Let gradients be followed, and note who has the variables that gradient reaches."""
        steps, call = self._log.steps, len(self._log.gradients) - 1
        steps.came_back(call, gradients, sizes)
        wanted = [source._source for source in asking.sources if type(source) is Variable]
        beside = [each for each in asking.beside or () if each._source not in wanted]
        self._find_names([each._source for each in beside])
        reached = [s for node in asking.nodes if node is not None for s in _reached(node)]
        steps.hold([*reached, *(each._source for each in beside)])
        explicit = not asking.tape._watch_accessed and asking.beside is None
        steps.around(call, explicit, None if asking.beside is None else beside)

    def _place(self, site: Site) -> Place:
        key = id(site.code), site.instruction
        if key not in self._places:
            self._codes[key[0]] = site.code
            self._places[key] = Place(site.file, site.line, site.code.co_qualname)
        return self._places[key]

    def _keys(self, sources: list[Any], place: tuple[int, int]) -> list[Hashable]:
        """Return what sources are known by: a variable by itself, a tensor by where it is asked."""
        keys: list[Hashable] = [
            source._source if type(source) is Variable else (*place, number)
            for number, source in enumerate(sources)
        ]
        new = {key: source for key, source in zip(keys, sources) if key not in self._known}
        for (key, source), name in zip(new.items(), names_of(list(new.values())) if new else ()):
            known = self._known[key] = Known(name, lasting=type(source) is Variable)
            if type(source) is Variable:
                known.trainable = source.trainable
                known.variable = source
                known.written = source._source.written
                if source._source.made is not None:
                    known.made = self._place(source._source.made)
        for key, source in zip(keys, sources):
            if type(source) is Tensor:  # another one in each pass
                keep_name(source, self._known[key].name)
        return keys

    def _find_names(self, sources: list[Source]) -> None:
        """Find out what the program calls variables that were given no name, once for each."""
        find_names([source for source in sources if source not in self._sought])
        self._sought.update(sources)

    def _look_around(self, call: Site, tape: Any, targets: list[Any], sources: list[Any]) -> None:
        """Note what gradient reaches besides the sources, and which layers are frozen."""
        asked = {source._source for source in sources if type(source) is Variable}
        for target in targets:
            node = tape._node(target)
            if node is None:
                continue
            reached = [s for s in node.recording.sources.of(node.live) if s.made is not None]
            self._find_names(reached)
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
        self._strays.setdefault(source, (source.name, source.made))

    def coverage(self) -> tuple[int, int]:
        """Return how many gradient calls were looked at closely, and of how many."""
        return len(self.calls), sum(line.passes for line in self._lines.values())

    # -- what comes out ---------------------------------------------------------------------------

    def facts(self) -> Facts:
        """Return what the masks said at each call, and what was measured."""
        leaks = [
            Leak(source.name, self._place(call), site and self._place(site), was_asked)
            for source, found in self._leaks.items()
            for call, (site, was_asked) in found.items()
        ]
        steps = self._log.steps
        losses: dict[Hashable, Loss] = {
            source: Loss(self._place(site), step, passes)
            for source, site, step, passes in steps.losses()
        }
        return Facts(dict(self._known), self.calls, leaks, losses)

    def told(self) -> Iterator[Told]:
        """Yield what is wrong with a parameter beside all gradient calls."""
        asked_for = {key for key in self._known if isinstance(key, Source)}
        for source, (name, made) in self._strays.items():
            if source not in asked_for and not source.written:
                place = None if made is None else self._place(made)
                yield Told(name, "connected", "not_registered", place)
        for source, (name, site, variable) in self._frozen.items():
            if source not in asked_for and not source.written and not _adapts(variable):
                yield Told(name, "not asked for", "frozen", self._place(site))
        for known in self._known.values():
            if known.healthy and known.variable is not None:
                passing = self._passed_over(known)
                if passing is not None:
                    yield Told(known.name, "connected", "optimizer_mask", self._place(passing))

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


def _differs(line: Line, tape: Any, targets: list[Any], sources: list[Any]) -> bool:
    """Tell whether other gradients will be missing than at the last pass of a line."""
    return len(line.came) != len(sources) or any(
        (came == "none") == any(tape._connected(target, source) for target in targets)
        for came, source in zip(line.came, sources)
    )


def _reached(node: Node) -> list[Source]:
    """Return the variables that gradient of a node reaches."""
    return [source for source in node.recording.sources.of(node.live) if source.made is not None]


def _is_finite(size: float | None, meter: Magnitudes | None) -> bool:
    """Tell whether a gradient is finite, and what it is the gradient of."""
    if size is None or meter is None:
        return True
    return math.isfinite(size) and (meter.of_target is None or meter.reaches_a_source)


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

    Of a line that is passed often, the first 16 passes are recorded, then ever fewer.

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
