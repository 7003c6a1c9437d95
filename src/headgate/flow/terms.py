"""Terms: what a differentiated loss is a sum of, and which of its addends move nothing.

A loss is taken apart from its end: through sums, means, products with constants, casts and views,
down to what is no sum any more. An addend is **dead** if its value depends on a parameter that the
call asks for, and gradient of it reaches no parameter at all, though that of other addends reaches
this one: the loss shows the term, and training does not.

Many such addends are meant. Silence is kept about

* constants, and what depends on parameters that nobody asks for here;
* what is taken away again: `surrogate + stop(value - surrogate)` and all straight-through sums. A
  stop's argument then holds, with the other sign, an addend that is alive;
* a stopped value that a live addend uses as well: the entropy of a target in a divergence, the
  maximum in a log-sum-exp;
* a stopped value that another one is compared with: `target - prediction`, elementwise, unless it
  went through frozen parameters after the stop;
* a term that is only dead in some of the passes, or dead because it is zero: a hinge that does
  not bite, a weight of 0.

All of this is found in the trace alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import chain

from headgate.flow.solve import Reach
from headgate.flow.trace import GUESSED, Event, Gradient, Place, Trace

SUMS = {"add": (1, 1), "subtract": (1, -1), "negative": (-1,)}
"""Ops that add their arguments up: the sign of each."""

VIEWS = {
    "asarray",
    "astype",
    "astype_inexact",
    "broadcast_to",
    "concat",
    "expand_dims",
    "identity",
    "matrix_transpose",
    "mean",
    "moveaxis",
    "permute_dims",
    "positive",
    "reshape",
    "squeeze",
    "stack",
    "sum",
}
"""Ops that are linear in all of their arguments together, and keep the sign."""

PRODUCTS = {"multiply", "matmul", "vecdot", "tensordot", "outer"}
"""Ops that are linear in one argument where the others do not depend on parameters."""

LAYERS = {"linear", "matmul", "conv1d", "conv2d", "conv3d", "convolution", "addmm", "embedding"}
"""Ops by which parameters are applied to what comes in."""

_MOST_CUTS = 3
"""So many cuts of one term are told."""


@dataclass(frozen=True, slots=True)
class Addend:
    """One of the values that a loss is the sum of.

    Attributes:
        value: its number.
        maker: number of the event that made it, -1 if none did.
        into: number of the event that adds it to others, -1 for a target.
        live: whether gradient comes from it to any parameter.
        sum: whether it is a sum itself, of others.
    """

    value: int
    maker: int
    into: int
    live: bool
    sum: bool


@dataclass(frozen=True, slots=True)
class DeadTerm:
    """A dead addend: the parameters that it depends on, by number, its line, and the cut."""

    sources: tuple[int, ...]
    kind: str
    cut: Place
    term: Place


def dead_terms(reach: Reach) -> list[DeadTerm]:
    """Return the addends of differentiated losses that move nothing in any pass."""
    terms = _Terms(reach)
    alive: set[Hashable] = set()
    dead: dict[Hashable, list[DeadTerm]] = {}
    for gradient in reach.trace.gradients:
        if gradient.inner or not any(gradient.norms):
            continue
        addends, visited = terms.of(gradient)
        count: Counter[tuple[int, str]] = Counter()
        for addend in addends:  # each known by how often its line and op came before in this pass
            made = reach.trace.events[addend.maker]
            key = gradient.place, made.place, made.op, count[made.place, made.op]
            count[made.place, made.op] += 1
            if addend.live:
                alive.add(key)
            elif key not in alive and key not in dead:
                dead[key] = list(terms.cause(gradient, addend, addends, visited))
    found = chain.from_iterable(terms for key, terms in dead.items() if key not in alive)
    return list(dict.fromkeys(found))


class _Terms:
    """The addends of the losses of a trace."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self.trace: Trace = reach.trace
        self.depends = _dependence(reach)
        self.flowing = {event.place for event in self.trace.events if any(event.flows)}
        self.trainable = 0
        for number, source in enumerate(self.trace.sources):
            self.trainable |= source.trainable << number

    def place(self, addend: Addend) -> Place:
        """Return the line of a term: where it was made, or added if that was by the cut itself."""
        made = self.trace.events[addend.maker]
        if made.kind and addend.into >= 0:
            made = self.trace.events[addend.into]
        return self.trace.place_of(made)

    def of(self, gradient: Gradient) -> tuple[list[Addend], dict[int, int]]:
        """Return the addends of what was differentiated, and the signs of those that are alive.

        An addend that is a sum itself comes before what it is the sum of; a dead one is not taken
        apart.
        """
        live = self.trainable
        for number in gradient.sources:
            live |= 1 << number
        addends: list[Addend] = []
        visited: dict[int, int] = {}
        todo = [(value, 1, -1, len(self.trace.events)) for value in reversed(gradient.targets)]
        while todo:
            value, sign, into, before = todo.pop()
            if value in visited:  # counted already
                visited[value] = sign if visited[value] == sign else 0
                continue
            maker = self._maker(value, before)
            alive = bool(self.reach.by_gradient.get(value, 0) & live)
            if not alive and not self.depends.get(value, 0):
                continue
            inputs = self._linear(maker) if alive else None
            if alive:
                visited[value] = sign
            if maker >= 0:
                addends.append(Addend(value, maker, into, alive, inputs is not None))
            joins = inputs is not None and len(inputs) > 1
            todo += [
                (each, sign * factor, maker if joins else into, maker)
                for each, factor in reversed(inputs or ())
            ]
        return addends, visited

    def _maker(self, value: int, before: int) -> int:
        found = [number for number in self.reach.makers.get(value, ()) if number < before]
        return found[-1] if found else -1

    def _linear(self, number: int) -> list[tuple[int, int]] | None:
        """Return what an event adds up, each with its sign; None if it is no sum."""
        if number < 0:
            return None
        event = self.trace.events[number]
        given = list(enumerate(event.inputs))
        if event.op in SUMS:
            signs = SUMS[event.op]
            return [(value, signs[event.position(k)]) for k, value in given]
        if event.op in VIEWS:
            return [(value, 1) for _, value in given]
        dependent = [(k, value) for k, value in given if self.depends.get(value, 0)]
        if len(dependent) != 1:
            return None
        ((k, value),) = dependent
        if event.op in PRODUCTS or (event.op == "divide" and event.position(k) == 0):
            return [(value, 0)]
        return None

    def cause(
        self, gradient: Gradient, addend: Addend, addends: list[Addend], visited: dict[int, int]
    ) -> Iterator[DeadTerm]:
        """Yield a dead addend with what cut it, unless it is meant."""
        wanted = 0
        for number, size in zip(gradient.sources, gradient.norms, strict=True):
            wanted |= bool(size) << number  # what gets nothing at all is told elsewhere
        wanted &= self.depends.get(addend.value, 0)
        if not wanted:
            return
        way, _ = self.reach.behind([addend.value], guesses=False)
        cuts = [number for number in way if self._severs(self.trace.events[number], wanted)]
        through = [k for k in cuts if self._goes_through_frozen(k, way, gradient.began)]
        if self._is_compared_with(addend):
            cuts = through
        if not cuts or any(self._takes_away(number, visited) for number in cuts):
            return
        atoms = [each.value for each in addends if each.live and not each.sum]
        living, _ = self.reach.behind(atoms, guesses=False)
        stopped = {
            value
            for number in living
            if self.trace.events[number].kind
            for value in self.trace.events[number].inputs
        }
        made = {value for number in living for value in self.trace.events[number].outputs}
        if not through and all(
            self._is_shared(self.trace.events[number], stopped, made) for number in cuts
        ):
            return
        sources = tuple(k for k in range(wanted.bit_length()) if wanted >> k & 1)
        events = self.trace.events
        soft = [number for number in cuts if events[number].kind != "nondiff_op"] or cuts
        for number in soft[:_MOST_CUTS]:
            cut = self._line(number, way)
            yield DeadTerm(sources, events[number].kind, cut, self.place(addend))

    def _line(self, cut: int, way: list[int]) -> Place:
        """Return the line to blame for a cut.

        A line at which other values are read and keep their gradient is a function's that is called
        rightly elsewhere: then it is the first line after it, on the way to the term, of which that
        is not so.
        """
        event = self.trace.events[cut]
        if event.op != "read":
            return self.trace.place_of(event)
        reached = set(event.outputs)
        for number in way:
            later = self.trace.events[number]
            if number >= cut and (number == cut or reached & set(later.inputs)):
                reached.update(later.outputs)
                if later.place not in self.flowing:
                    return self.trace.place_of(later)
        return self.trace.place_of(event)

    def _severs(self, event: Event, wanted: int) -> bool:
        """Tell whether gradient to some sources ends at an event, and at none before it."""
        return bool(event.kind) and any(
            not flows and self.reach.by_gradient.get(value, 0) & wanted
            for value, flows in zip(event.inputs, event.flows, strict=True)
        )

    def _is_shared(self, event: Event, stopped: set[int], made: set[int]) -> bool:
        return any(value in made for value in event.outputs) or any(
            value in stopped for value in event.inputs
        )

    def _is_compared_with(self, addend: Addend) -> bool:
        """Tell whether something is taken from an addend, or it from that, element by element."""
        if addend.into < 0:
            return False
        event = self.trace.events[addend.into]
        return event.op == "subtract" and bool(event.shape)

    def _goes_through_frozen(self, cut: int, way: list[int], began: int) -> bool:
        """Tell whether what was cut in this pass is then put through frozen parameters.

        A critic that is frozen for the actor's sake is there to bring gradient back, not to be
        compared with.
        """
        event = self.trace.events[cut]
        if event.kind not in ("stop_gradient", "no_grad_block") or min(event.outputs) <= began:
            return False
        reached = set(event.outputs)
        frozen = {
            value
            for number in way
            if self.trace.events[number].op == "read" and self.trace.events[number].kind == "frozen"
            for value in self.trace.events[number].outputs
        }
        for number in way:
            later = self.trace.events[number]
            if number > cut and not reached.isdisjoint(later.inputs):
                if later.op in LAYERS and not frozen.isdisjoint(later.inputs):
                    return True
                reached.update(later.outputs)
        return False

    def _takes_away(self, number: int, visited: dict[int, int]) -> bool:
        """Tell whether what a stop takes holds a live addend with the other sign."""
        todo = [(value, 1, number) for value in self.trace.events[number].inputs]
        seen = set()
        while todo:
            value, sign, before = todo.pop()
            if (value, sign) in seen:
                continue
            seen.add((value, sign))
            if value in visited and sign * visited[value] <= 0:
                return True
            maker = self._maker(value, before)
            for each, factor in self._linear(maker) or ():
                todo.append((each, sign * factor, maker))
        return False


def _dependence(reach: Reach) -> dict[int, int]:
    """Return the sources that each value depends on, in the pass that it belongs to.

    What a frozen variable holds, or one that this tape is not to watch, is meant to be constant.
    What was written into a variable counts if it was computed while a tape recorded.
    """
    depends = dict(reach.own)
    taped = dict(reach.own)
    for event in reach.trace.events:
        mask = of_taped = 0
        if event.label == GUESSED:
            continue
        if event.op == "read":
            if event.kind not in ("frozen", "not_watched"):
                mask = depends.get(event.inputs[0], 0)
                of_taped = mask if event.kind != "outside_tape" else 0
            for value in event.inputs[1:]:
                mask |= taped.get(value, 0)
                of_taped |= taped.get(value, 0)
        else:
            for value in event.inputs:
                mask |= depends.get(value, 0)
                of_taped |= taped.get(value, 0)
        for value in event.outputs if mask else ():
            depends[value] = depends.get(value, 0) | mask
            taped[value] = taped.get(value, 0) | of_taped
    return depends
