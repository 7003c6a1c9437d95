"""The notes of a watch on what becomes of gradients: steps, assignments, freezes, and courses.

A gradient that comes back gets a footprint, a node that carries nothing (`headgate.record.graph`),
so that what is computed from it is told to the log as any other op, and an update can be followed
back to it. It gets one only at passes that are looked at closely; at all others it is a constant,
as without a watch. Whether there was one, and whether it was zero, is noted at every pass.
"""

from __future__ import annotations

import bisect
import dis
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any

from headgate.core.tensor import Tensor
from headgate.core.variable import Variable
from headgate.flow.course import looks_at, losses
from headgate.flow.statements import GATES
from headgate.flow.trace import Course, Freeze, Optimizer, Place, Source, Trace, Update
from headgate.nn.layer import every_layer
from headgate.record.graph import Footprint, Node, new_node, state
from headgate.record.graph import Source as Identity
from headgate.record.magnitude import norm
from headgate.record.site import Site, caller, where

MOST = 100_000
"""So many updates of single variables are kept, and so many variables of an optimizer."""


class Steps:
    """What happened to gradients and to variables, besides the ops."""

    def __init__(self, every: int | None = None) -> None:
        self.every = every
        self.updates: list[tuple[Any, ...]] = []
        self.kept = 0  # updates of single variables
        self.optimizers: dict[int, list[Any]] = {}  # id -> optimizer, site, steps, rate, sources
        self.freezes: list[tuple[Site, str, dict[str, Variable], set[Identity]]] = []
        self.frozen: dict[Identity, set[Identity]] = {}  # -> where to note that it was changed
        self.averaged: set[Identity] = set()
        self.outputs: dict[int, tuple[int | None, ...]] = {}  # by the number of the call
        self.surroundings: dict[int, tuple[bool, Sequence[Variable] | None]] = {}
        self.sizes: dict[int, float] = {}  # of gradients, and of what is computed from them
        self.passes: dict[tuple[int, int, str], int] = {}
        self.courses: dict[tuple[Identity, int, int], list[Any]] = {}
        self.codes: dict[int, CodeType] = {}  # keeps them alive: their ids are keys
        self.dropped: set[int] = set()  # results of stops that are thrown away
        self.held: set[Identity] = set()
        self.copied: set[Identity] = set()
        self.starts: list[int] = []  # the numbers at which recordings began

    # -- gradients --------------------------------------------------------------------------------

    def came_back(self, call: int, gradients: Sequence[Any], sizes: Sequence[float | None]) -> None:
        """Give gradients that came back a number, by which to tell what is computed from them."""
        numbers: list[int | None] = []
        for gradient, size in zip(gradients, sizes, strict=True):
            if type(gradient) is not Tensor or size is None:
                numbers.append(None)
                continue
            if gradient.node is None:
                gradient.node = new_node(Footprint, state.outside)
            numbers.append(gradient.node.seq)
            self.sizes[gradient.node.seq] = size
        self.outputs[call] = tuple(numbers)

    def around(self, call: int, explicit: bool, beside: Sequence[Variable] | None) -> None:
        """Note what a gradient call says of variables that it does not ask for."""
        self.surroundings[call] = explicit, beside

    def computed(self, inputs: Iterable[int], results: Sequence[Tensor]) -> None:
        """Measure what is computed from gradients."""
        if self.sizes and not self.sizes.keys().isdisjoint(inputs):
            for result in results:
                if result.node is not None:
                    self.sizes[result.node.seq] = norm(result.value)

    def passed(self, site: Site, source: Identity, came: str, looked: bool) -> None:
        """Note what came at a pass of a line: some gradient, a zero one or none."""
        key = source, id(site.code), site.instruction
        course = self.courses.get(key)
        if course is None:
            self.codes[id(site.code)] = site.code
            course = self.courses[key] = [site, [], 0, 0]
        if not course[1] or course[1][-1][1] != came:
            course[1].append((course[2], came))
        course[2] += 1
        course[3] += looked

    def losses(self) -> Iterator[tuple[Identity, Site, int, int]]:
        """Yield the sources that lost their gradient: the line, from which pass, of how many."""
        sources: dict[Identity, int] = {}
        sites: dict[tuple[int, int], int] = {}
        courses = [
            Course(
                sources.setdefault(source, len(sources)),
                sites.setdefault((code, instruction), len(sites)),
                tuple(runs),
                passes,
                looked,
            )
            for (source, code, instruction), (_, runs, passes, looked) in self.courses.items()
        ]
        every_source, every_site = list(sources), list(sites)
        for number, (course, step) in losses(courses).items():
            code, instruction = every_site[course.place]
            site = Site(self.codes[code], instruction)
            yield every_source[number], site, step, course.passes

    # -- updates ----------------------------------------------------------------------------------

    def _looks(self, site: Site, how: str) -> int | None:
        """Return which pass of a line this is, or None if it is not to be looked at."""
        key = id(site.code), site.instruction, how
        self.codes[id(site.code)] = site.code
        step = self.passes.get(key, 0)
        self.passes[key] = step + 1
        return step if looks_at(step, self.every) and self.kept < MOST else None

    def applied(self, optimizer: Any, pairs: Sequence[Any], rate: Any) -> None:
        """Note a step of an optimizer."""
        site = caller()
        size = abs(rate) if isinstance(rate, float) else 1.0
        known = self.optimizers.get(id(optimizer))
        if known is None:
            known = self.optimizers[id(optimizer)] = [optimizer, site, 0, 0.0, {}]
        known[1], known[2], known[3] = site, known[2] + 1, max(known[3], size)
        given = [(gradient, variable) for gradient, variable in pairs if gradient is not None]
        sources = [variable._source for _, variable in given]
        thawed = any(source not in self.frozen for source in sources)
        for source, (_, variable) in zip(sources, given):
            if len(known[4]) < MOST:
                known[4][source] = variable
            if source in self.frozen and thawed:
                self.frozen[source].add(source)
        step = self._looks(site, "step")
        if step is None:
            return
        values = [_number(gradient) for gradient, _ in given]
        sizes = [
            self.sizes.get(value) if value in self.sizes else _size(gradient)
            for value, (gradient, _) in zip(values, given)
        ]
        averages = [source for source in sources if source in self.averaged]
        self._note(site, "step", given, values, sizes, id(optimizer), step, averages)

    def assigned(self, variable: Variable, how: str, node: Node | None) -> None:
        """Note an assignment."""
        site = caller()
        step = self._looks(site, how)
        if step is not None:
            value = None if node is None else node.seq
            size = None if value is None else self.sizes.get(value)
            self._note(site, how, [(None, variable)], [value], [size], -1, step, [])

    def _note(
        self,
        site: Site,
        how: str,
        given: list[tuple[Any, Variable]],
        values: list[int | None],
        sizes: list[float | None],
        optimizer: int,
        step: int,
        averages: list[Identity],
    ) -> None:
        self.kept += len(given)
        variables = [variable for _, variable in given]
        self.updates.append((site, how, variables, values, sizes, optimizer, step, averages))

    # -- statements -------------------------------------------------------------------------------

    def froze(self, pattern: str, took: dict[str, Variable]) -> None:
        """Note a freeze."""
        changed: set[Identity] = set()
        self.freezes.append((caller(), pattern, took, changed))
        self.frozen.update((variable._source, changed) for variable in took.values())

    def unfroze(self, variables: Sequence[Variable]) -> None:
        """Note that variables are trained again."""
        for variable in variables:
            self.frozen.pop(variable._source, None)

    def swapped(self, variables: Sequence[Variable], averaged: bool) -> None:
        """Note that averages of values are put into variables, or taken out."""
        sources = {variable._source for variable in variables}
        self.averaged = self.averaged | sources if averaged else self.averaged - sources

    def hold(self, sources: Iterable[Identity]) -> None:
        """Note which of some sources some layer has, and which come from others."""
        found = set(sources)
        self.copied.update(source for source in found if source.past is not None)
        new = found - self.held
        if new:
            for layer in list(every_layer):
                self.held.update(
                    variable._source for variable in layer.variables if variable._source in new
                )

    # -- the neutral trace ------------------------------------------------------------------------

    def into(self, trace: Trace, rows: Sequence[tuple[CodeType, int]]) -> None:
        """Add all of it to the trace of the ops, whose `rows` have the sites of its events."""
        numbers = {source.value: number for number, source in enumerate(trace.sources)}
        places = {place: number for number, place in enumerate(trace.places)}

        def place(site: Site) -> int:
            line = Place(site.file, site.line, site.code.co_qualname)
            if line not in places:
                places[line] = len(trace.places)
                trace.places.append(line)
            return places[line]

        def number(variable: Variable) -> int:
            identity = variable._source
            if identity.serial not in numbers:
                numbers[identity.serial] = len(trace.sources)
                made = -1 if identity.made is None else place(identity.made)
                updated = identity.written > 0
                trace.sources.append(
                    Source(
                        identity.name,
                        identity.serial,
                        "",
                        variable.shape,
                        variable.trainable,
                        made,
                        updated,
                        alias="" if variable.name == identity.name else variable.name,
                    )
                )
            return numbers[identity.serial]

        ids: dict[int, int] = {}
        for key, (_, site, steps, rate, sources) in self.optimizers.items():
            ids[key] = len(trace.optimizers)
            trace.optimizers.append(
                Optimizer(place(site), steps, rate, tuple(map(number, sources.values())))
            )
        for site, how, variables, values, sizes, optimizer, step, averages in self.updates:
            trace.updates.append(
                Update(
                    place(site),
                    how,
                    tuple(map(number, variables)),
                    tuple(values),
                    tuple(sizes),
                    ids.get(optimizer, -1),
                    step,
                    tuple(numbers[source.serial] for source in averages),
                )
            )
        for site, pattern, took, changed in self.freezes:
            mine = [each for each in took.values() if each._source in changed]
            trace.freezes.append(
                Freeze(
                    place(site),
                    pattern,
                    tuple(took),
                    tuple(map(number, took.values())),
                    tuple(map(number, mine)),
                )
            )
        for (source, _, _), (site, runs, passes, looked) in self.courses.items():
            if source.serial in numbers:
                at = numbers[source.serial], place(site)
                trace.courses.append(Course(*at, tuple(runs), passes, looked))
        self._into_gradients(trace, number)
        for source in self.held:
            if source.serial in numbers:
                trace.sources[numbers[source.serial]].held = True
        for source in self.copied:
            if source.serial in numbers:
                trace.sources[numbers[source.serial]].copied = True
        trace.sizes = dict(self.sizes)
        for event_number, (event, (code, instruction)) in enumerate(zip(trace.events, rows)):
            if event.op in GATES and (
                fate_of(code, instruction) == "dropped" or event.outputs[0] in self.dropped
            ):
                trace.dropped.add(event_number)

    def _into_gradients(self, trace: Trace, number: Callable[[Variable], int]) -> None:
        for position, call in enumerate(trace.gradients):
            call.outputs = self.outputs.get(position, (None,) * len(call.sources))
            call.explicit, beside = self.surroundings.get(position, (False, ()))
            call.beside = None if beside is None else tuple(map(number, beside))
            before = bisect.bisect(self.starts, max(call.targets, default=0))
            call.began = self.starts[before - 1] if before else 0


def _number(gradient: Any) -> int | None:
    node = gradient.node if type(gradient) is Tensor else None
    return None if node is None else node.seq


def _size(gradient: Any) -> float | None:
    if type(gradient) is Variable:
        return norm(gradient._value)
    return norm(gradient.value) if type(gradient) is Tensor else None


def drops_now() -> bool:
    """Tell whether the user's call that runs now throws its result away, also by way of functions
    that do nothing but return it."""
    here = where()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (frame.f_code, frame.f_lasti) != here:
        frame = frame.f_back
    while frame is not None:
        fate = fate_of(frame.f_code, frame.f_lasti)
        if fate != "returned":
            return fate == "dropped"
        frame = frame.f_back
    return False


@functools.cache
def fate_of(code: CodeType, instruction: int) -> str:
    """Tell whether the result of a call is "dropped", "returned" or "used" otherwise.

    It is dropped too where it goes to a name that nobody reads.

    >>> from headgate.flow.watch.steps import fate_of
    >>> def f(x):
    ...     abs(x)
    ...     y = abs(x)
    ...     z = abs(x)
    ...     return abs(y)
    >>> import dis
    >>> calls = [i.offset for i in dis.get_instructions(f) if i.opname == "CALL"]
    >>> [fate_of(f.__code__, offset) for offset in calls]
    ['dropped', 'used', 'dropped', 'returned']
    """
    instructions = list(dis.get_instructions(code))
    # While it runs, a call stands at its own instruction or at one that is only a cache behind it.
    call = max((k for k, each in enumerate(instructions) if each.offset <= instruction), default=-1)
    if call < 0 or not instructions[call].opname.startswith("CALL"):
        return "used"
    follows = instructions[call + 1]
    if follows.opname in ("STORE_FAST", "STORE_NAME"):
        # What a notebook's cell stores may be read in another one.
        whole = follows.opname == "STORE_FAST" or code.co_filename.endswith(".py")
        return "used" if not whole or _reads(code, follows.argval) else "dropped"
    return {"POP_TOP": "dropped", "RETURN_VALUE": "returned"}.get(follows.opname, "used")


def _reads(code: CodeType, name: str) -> bool:
    """Tell whether some code, or a function in it, reads a name."""
    return any(
        "LOAD" in each.opname and name in _names(each) for each in dis.get_instructions(code)
    ) or any(_reads(inner, name) for inner in code.co_consts if isinstance(inner, CodeType))


def _names(instruction: dis.Instruction) -> tuple[Any, ...]:
    found = instruction.argval
    return found if isinstance(found, tuple) else (found,)
