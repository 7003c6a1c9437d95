"""The log of a JAX program: sources, gradient calls, and the events of what was differentiated.

A leaf of a tree is another array after each step, so a source is known by its name and shape in the
function that asks, or by being the very same array as at another call.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headgate.flow.trace import Cut, Death, Event, Place, Source, Trace
from headgate.flow.watch.jax.definitions import LEAVING, computed_at, made_at
from headgate.flow.watch.jax.events import CUSTOM, Captured, Recorder, Walk
from headgate.flow.watch.jax.forward import Forward, is_soft
from headgate.flow.watch.jax.measure import Measured, birth, deaths
from headgate.flow.watch.jax.names import named, names_of, numbers_of
from headgate.flow.watch.jax.places import Places, Where, function_of, home_of
from headgate.record.site import is_users


@dataclass(slots=True)
class Line:
    """A line that asks for gradients.

    Attributes:
        where: the line.
        passes: how often it was passed.
        looked: how many of these were looked at.
        outer: the function under `jit` that it lies in, None if there is none.
        came: what came of its sources at the last pass that was looked at: "some", "zero" or "nan".
    """

    where: Where
    passes: int = 0
    looked: int = 0
    came: tuple[str, ...] = ()
    ask: Ask | None = None
    outer: Any = None

    @property
    def all_passes(self) -> int:
        """How often it was passed, also where nobody counted."""
        return max(self.passes, 0 if self.outer is None else self.outer.passes)


@dataclass(slots=True)
class Ask:
    """What a gradient call differentiates, as it was written down.

    Attributes:
        line: of the call.
        sources: numbers of the sources, in the order asked for.
        targets: values that are differentiated.
        name: what the target is called.
        walk: through what is differentiated.
        forward: the function as equations.
        connected: those of the sources that gradient can reach, by structure.
        told: position of a source -> why it is not used.
        outputs: value of each gradient, None where nobody follows it.
        reads: values of the sources as they were read.
        began: number of the last value that was made before.
    """

    line: Line
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    name: str
    walk: Walk
    forward: Forward
    outputs: tuple[int | None, ...] = ()
    began: int = 0
    connected: frozenset[int] = frozenset()
    reads: tuple[int, ...] = ()
    told: dict[int, Cut] = field(default_factory=dict)


@dataclass(slots=True)
class Pass:
    """One pass of a gradient call that was looked at."""

    ask: Ask
    step: int
    norms: tuple[float, ...]
    cotangents: dict[int, float] = field(default_factory=dict)
    deaths: dict[tuple[int, int], Death] = field(default_factory=dict)
    birth: Cut | None = None
    values: tuple[int | None, ...] = ()


class Log:
    """What a JAX program was seen to differentiate."""

    def __init__(self) -> None:
        self.data = Trace("jax")
        self.places = Places(self.data)
        self.recorder = Recorder(self.data, self.places)
        self.lines: dict[tuple[Any, ...], Line] = {}
        self.passes: list[Pass] = []
        self.rules: dict[str, tuple[Any, ...]] = {}  # function with a rule -> the rule
        self._named: dict[tuple[str, tuple[int, ...], str], int] = {}
        self._arrays: dict[int, tuple[Callable[[], Any], int]] = {}
        self.errors: list[str] = []

    def fault(self, error: BaseException) -> None:
        """Note an error of the watcher's own."""
        self.errors.append(f"{type(error).__name__}: {error}".partition("\n")[0])

    # -- sources ----------------------------------------------------------------------------------

    def source(self, leaf: Any, name: str, alias: str, scope: str, where: Where) -> int:
        """Return the number of a source, made if it is not known."""
        known = self.known(leaf)
        shape = tuple(getattr(leaf, "shape", ()))
        key = name, shape, scope
        number = known if known is not None else self._named.get(key)
        if number is None:
            number = len(self.data.sources)
            made = Source(name, self.recorder.new(), shape=shape, place=where.place, alias=alias)
            self.data.sources.append(made)
        self._named.setdefault(key, number)
        self.know(leaf, number)
        return number

    def known(self, leaf: Any) -> int | None:
        """Return the source that an array is, None if it is none."""
        reference, number = self._arrays.get(id(leaf), (lambda: None, None))
        return number if reference() is leaf and leaf is not None else None

    def know(self, leaf: Any, number: int) -> None:
        """Note that an array is the value of a source."""
        try:
            self._arrays[id(leaf)] = weakref.ref(leaf), number
        except TypeError:  # a number of Python's own
            return

    # -- gradient calls ---------------------------------------------------------------------------

    def line(self, where: Where, which: str) -> Line:
        """Return what is known of a line that asks for gradients."""
        return self.lines.setdefault((where.place, where.inside, which), Line(where))

    def sources_of(
        self,
        line: Line,
        found: Forward,
        names: Sequence[str],
        outer: Callable[[Any], tuple[Any, str] | None] = lambda leaf: None,
    ) -> list[int]:
        """Return the sources that a call differentiates by.

        Args:
            line: of the call.
            found: the function.
            names: what each argument is called.
            outer: tells for a placeholder what it stands for, and what that is called.
        """
        scope = self.data.places[line.where.place].function
        pairs = [
            outer(each.leaf) or (each.leaf, names[each.argument] + each.path)
            for each in found.asked
        ]
        numbers = []
        for each, (leaf, _), name in zip(found.asked, pairs, named(pairs), strict=True):
            number = self.source(leaf, name, each.short, scope, line.where)
            self.know(each.leaf, number)
            numbers.append(number)
        return numbers

    def ask(
        self,
        line: Line,
        found: Forward,
        sources: Sequence[int],
        consts: Callable[[Any], Captured | int | None] | None = None,
        inputs: Sequence[Captured | int | None] | None = None,
    ) -> Ask:
        """Write down what a gradient call differentiates.

        Args:
            line: of the call.
            found: the function.
            sources: numbers of the sources that it asks for.
            consts: tells what a constant of the function is.
            inputs: for each thing the function takes, what it is in an outer function.
        """
        data, where = self.data, line.where
        began, first = self.recorder.count, len(data.events)
        given: list[Any] = [*inputs] if inputs is not None else [None] * len(found.given)
        for each, number in zip(found.asked, sources, strict=True):
            read = self.recorder.new()
            source = data.sources[number]
            self.recorder.note("read", [source.value], [read], [True], where, label=source.name)
            given[each.position] = read

        def captured(const: Any) -> Captured | int | None:
            number = self.known(const)
            if number is not None:
                kind = "variable_replaced" if number in sources else "not_watched"
                return Captured(data.sources[number].value, kind)
            return consts(const) if consts is not None else None

        walk = Walk(self.recorder, captured, where).through(found.closed, given)
        targets = tuple(v for v in walk.outputs[: found.targets] if v is not None)
        name = getattr(found.fun, "__name__", "") or "loss"
        line.ask = Ask(line, tuple(sources), targets, name, walk, found, began=began)
        line.ask.reads = tuple(given[each.position] for each in found.asked)
        line.ask.connected = self._behind(line.ask, first, True)
        line.ask.told = self._told(line.ask, self._behind(line.ask, first, False), first)
        return line.ask

    def _behind(self, ask: Ask, first: int, by_gradient: bool) -> frozenset[int]:
        """Return the sources that the targets of a call depend on."""
        live = set(ask.targets)
        for event in reversed(self.data.events[first:]):
            if not live.isdisjoint(event.outputs):
                for value, flows in zip(event.inputs, event.flows):
                    if flows or not by_gradient:
                        live.add(value)
        return frozenset(k for k in ask.sources if self.data.sources[k].value in live)

    def _told(self, ask: Ask, used: frozenset[int], first: int) -> dict[int, Cut]:
        """Return why sources are not used: something was computed of them before, or for nothing.

        Else it is told where they were made.
        """
        unused = [k for k, source in enumerate(ask.sources) if source not in used]
        if not unused:
            return {}
        found = ask.forward
        asked = {each.position for each in found.asked}
        others = [each for k, each in enumerate(found.given) if k not in asked]
        captured = [each for each in [*found.closed.consts, *others] if is_soft(each)]
        names = [*filter(None, names_of(captured)), *numbers_of(found.fun)]
        told = {}
        for position in unused:
            name = self.data.sources[ask.sources[position]].name
            place = computed_at(names, name)
            if place is not None:
                left = any(words in place.text for words in LEAVING)
                told[position] = Cut("host_round_trip" if left else "outside_tape", place)
                continue
            dropped = self._dropped(ask.reads[position], first)
            place = made_at(name) if dropped is None else self.data.place_of(dropped)
            if place is not None:
                callers = () if dropped is None else self.data.callers_of(dropped)
                told[position] = Cut("unused_parameter", place, callers=callers)
        return told

    def _dropped(self, read: int, first: int) -> Event | None:
        """Return the first event that depends on a value and whose result nobody takes."""
        events = self.data.events[first:]
        taken = {value for event in events for value in event.inputs}
        reached = {read}
        for event in events:
            if not reached.isdisjoint(event.inputs):
                reached.update(event.outputs)
                if taken.isdisjoint(event.outputs):
                    return event
        return None

    def passed(
        self,
        ask: Ask,
        step: int,
        norms: Sequence[float],
        seen: Measured | None = None,
        values: Sequence[int | None] = (),
    ) -> None:
        """Note what came of a pass: sizes, what was measured, and what the sources were."""
        found = Pass(ask, step, tuple(norms), values=tuple(values))
        if seen is not None:
            pairs = zip(ask.reads, seen.norms)
            seen.still = frozenset(read for read, size in pairs if size == 0)
            found.cotangents, found.deaths = deaths(
                self.data, ask.walk.visits, seen, self.whose_rule
            )
            if any(size - size != 0 for size in norms):
                found.birth = self._birth(ask, seen)
            for (event, _), death in found.deaths.items():
                if death.kind == "custom_gradient":
                    self._at_rule(ask, event)
        self.passes.append(found)

    def _birth(self, ask: Ask, seen: Measured) -> Cut | None:
        found = birth(ask.walk.visits, seen)
        if found is None:
            return None
        number, kind = found
        visit = ask.walk.visits[number]
        for note in visit.notes:
            if note.event >= 0:
                event = self.data.events[note.event]
                label = visit.draw or event.op
                place, callers = self.data.place_of(event), self.data.callers_of(event)
                return Cut(kind, place, label, event.shape, callers)
        return None

    def maker(self, value: int) -> Where | None:
        """Return the line of the event that made a value."""
        for event in reversed(self.data.events):
            if value in event.outputs:
                return Where(event.place, event.callers)
        return None

    # -- functions with a rule of their own -------------------------------------------------------

    def whose_rule(self, equation: Any) -> str:
        """Return what function of the program an equation is that has a rule, "" if it is none."""
        if equation.primitive.name not in CUSTOM:
            return ""
        inner = equation.params.get("call_jaxpr") or equation.params.get("fun_jaxpr")
        jaxpr = getattr(inner, "jaxpr", inner)
        return function_of(jaxpr) if is_users(home_of(jaxpr) or "<") else ""

    def _at_rule(self, ask: Ask, number: int) -> None:
        """Move the event of a function whose rule gives zeros to the line of that rule."""
        for visit in ask.walk.visits:
            if any(note.event == number for note in visit.notes):
                inner = visit.equation.params.get("call_jaxpr")
                info = getattr(getattr(inner, "jaxpr", inner), "debug_info", None)
                rule = self.rules.get(getattr(info, "func_src_info", ""))
                if rule is not None:
                    event = self.data.events[number]
                    called = event.place, *self.data.callers[event.callers]
                    place = self.places.lines.at(Place(*rule))
                    event.place, event.callers = place, self.places.chain(called)
                return
