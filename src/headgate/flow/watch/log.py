"""The log of a Headgate program: what ops, gates, reads and escapes tell while somebody traces.

Rows are plain tuples, so that a program that is traced stays fast; they become the events of a
neutral trace (`headgate.flow.trace`) when somebody asks for it. A value is known by the number of
its node: no two values share one while somebody looks on. The log only reads.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any

from headgate.core.lift import INEXACT
from headgate.core.row import PICK, Op
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable
from headgate.flow.judge import NOWHERE, Outcome
from headgate.flow.trace import CHANGED, Cut, Death, Event, Gradient, Source, Trace
from headgate.flow.watch.lines import Lines
from headgate.flow.watch.steps import Steps, drops_now
from headgate.nn.layer import calls
from headgate.record.cuts import MAYBE_BACK, sequence
from headgate.record.graph import Leaf, Node, state
from headgate.record.graph import Source as Identity
from headgate.record.magnitude import Magnitudes
from headgate.record.onlooker import Onlooker
from headgate.record.site import Site, chain, where, without_comprehensions

MOST = 100_000
"""So many events are kept; what comes after is not traced."""

Led = tuple[tuple[CodeType, int], tuple[tuple[CodeType, int], ...]]
"""The user's line, and those that led there, the nearest first."""


class Log(Onlooker):
    """Everything that happened in the recordings that it was given to."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.away: dict[tuple[int, int], int] = {}  # (recording, bit of the cut) -> value
        self.sources: dict[Identity, Source] = {}
        self.gradients: list[tuple[Any, ...]] = []
        self.kept: list[Any] = []  # recordings, whose ids are keys
        # Line -> the numbers that the host made there, after something had left.
        self.numbers: dict[tuple[CodeType, int], set[float]] = {}
        self.callers: tuple[tuple[CodeType, int], ...] = ()  # of the last row
        self.steps = Steps()

    @property
    def full(self) -> bool:
        """Whether no more events are taken."""
        return len(self.rows) >= MOST

    def _chain(self, lines: tuple[tuple[CodeType, int], ...]) -> Led:
        """Return a line and those that led there; neighbours share the latter."""
        callers = lines[1:]
        if callers == self.callers:
            return lines[0], self.callers
        self.callers = callers
        return lines[0], callers

    def callers_of(self, number: int, site: Site | None) -> tuple[Site, ...]:
        """Return the lines that led to a site when the node or cut of a number was made there."""
        if site is None:
            return ()
        position = bisect_left(self.rows, number, key=lambda row: max(row[2], default=0))
        for row in self.rows[position : position + 4]:
            first, callers = row[4]
            if first[0] is site.code and first[1] == site.instruction:
                return tuple(Site(*line) for line in without_comprehensions([first, *callers])[1:])
        return ()

    # -- what happened ----------------------------------------------------------------------------

    def _note(
        self,
        op: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        flows: tuple[bool, ...],
        kind: str = "",
        label: str = "",
        like: Any = None,
    ) -> None:
        if len(self.rows) < MOST:
            stack = tuple(calls.stack)
            shape, dtype = (like.shape, like.dtype) if like is not None else ((), "")
            lines = self._chain(chain())
            row = (op, inputs, outputs, flows, lines, stack, kind, label, shape, dtype, ())
            self.rows.append(row)

    def op(
        self, op: Op, nodes: Sequence[Node | None], edges: Sequence[Any], *results: Tensor
    ) -> None:
        """Note an application of an op."""
        recording = state.recording
        if recording.walking or len(self.rows) >= MOST:
            return
        if len(results) > 1:
            soft = [result for result in results if result.node is not None and result.node.live]
            if 0 < len(soft) < len(results):  # indices came along with values: a cut, to them
                hard = [result for result in results if result.node is None or not result.node.live]
                self.op(op, nodes, edges, *soft)
                self.op(op, nodes, [None] * len(edges), *hard)
                return
        inputs, flows, positions, kind = [], [], [], ""
        for position, (node, edge) in enumerate(zip(nodes, edges)):
            if node is None:
                continue
            inputs.append(node.seq)
            positions.append(position)
            flows.append(edge is not None)
            if edge is None:
                kind = _kind(op, node, results[0]) or kind
        outputs = tuple([_number(result.node) for result in results])
        value = results[0].value
        whole = len(positions) == len(nodes)
        lines = self._chain(chain())
        row = (op.name, inputs, outputs, flows, lines, tuple(calls.stack), kind, "")
        self.rows.append((*row, value.shape, value.dtype, () if whole else positions))
        if not recording.tapes:  # where gradients are made use of
            self.steps.computed(inputs, results)

    def stopped(self, given: Any, label: str, result: Tensor) -> None:
        """Note a stop."""
        if state.recording.walking:
            return
        if type(given) is Variable:
            value = self._source(given).value
        else:
            node = given.node if type(given) is Tensor else None
            if node is None:
                return
            value = node.seq
            self.steps.computed([value], [result])
        outputs = (_number(result.node),)
        if drops_now():
            self.steps.dropped.add(outputs[0])
        self._note("stop_gradient", (value,), outputs, (False,), "stop_gradient", label, result)

    def read(self, variable: Variable, node: Node, kind: str) -> None:
        """Note that a variable is read, watched or not."""
        if state.recording.walking:
            return
        inputs = [self._source(variable).value]
        past = variable._source.past
        if past is not None and (id(past[0]), past[1]) in self.away:
            inputs.append(self.away[id(past[0]), past[1]])
        flows = (not kind, *[False] * (len(inputs) - 1))
        self._note("read", tuple(inputs), (node.seq,), flows, kind, variable.name, variable)

    def watched(self, tensor: Tensor, before: Node | None, leaf: Leaf) -> None:
        """Note that a tape begins to watch a tensor."""
        source = self.sources.get(leaf.source)
        if source is None:
            source = self.sources[leaf.source] = Source(
                leaf.source.name, leaf.source.serial, shape=tensor.shape, lasting=False
            )
        inputs = [source.value] + ([before.seq] if before is not None else [])
        flows = [True] + ([leaf.edges != ()] if before is not None else [])
        self._note("watch", tuple(inputs), (leaf.seq,), tuple(flows), like=tensor)

    def left(self, node: Node, bit: int, kind: str, how: str) -> None:
        """Note that a value leaves for the host, or goes into a variable."""
        value = sequence()
        if bit:
            self.away[id(node.recording), bit] = value
            self.kept.append(node.recording)
        self._note(how, (node.seq,), (value,), (False,), kind)

    def back(self, node: Node, earlier: int, label: str, value: Any) -> None:
        """Note that a value comes back from the host."""
        if label == MAYBE_BACK and isinstance(value, float):
            self.numbers.setdefault(where(), set()).add(value)
        inputs = tuple(
            value
            for (number, left), value in self.away.items()
            if number == id(node.recording) and left & earlier
        )
        flows = (False,) * len(inputs)
        self._note("asarray", inputs, (node.seq,), flows, "host_round_trip", label)

    def gradient(
        self,
        site: Site,
        step: int,
        targets: Sequence[tuple[str, Node | None]],
        sources: Sequence[Any],
        norms: Sequence[float | None],
        meter: Magnitudes | None,
        outcomes: Sequence[Outcome],
        inner: bool,
    ) -> None:
        """Note a gradient call and what came of it; `outcomes` is empty if nobody looked."""
        names = [outcome.name for outcome in outcomes] or [""] * len(sources)
        found = [
            self._source(source) if type(source) is Variable else self._tensor(source, name)
            for source, name in zip(sources, names)
        ]
        cotangents = {} if meter is None else {k: size for k, (_, size) in meter.nodes.items()}
        died = {} if meter is None else dict(_died(meter))
        known = [(name, node.seq) for name, node in targets if node is not None]
        births = {
            position: outcome.blamed
            for position, outcome in enumerate(outcomes)
            if outcome.verdict == "not finite"
        }
        told = {
            position: cut
            for position, outcome in enumerate(outcomes)
            if (cut := _told(outcome)) is not None
        }
        row = (site, step, known, found, tuple(norms), cotangents, died, births, told, inner)
        self.gradients.append(row)

    def _source(self, variable: Variable) -> Source:
        found = self.sources.get(variable._source)
        if found is None:
            owner = "/".join(layer.name or "" for layer in calls.stack)
            found = self.sources[variable._source] = Source(
                variable.name,
                variable._source.serial,
                owner,
                variable.shape,
                variable.trainable,
            )
        return found

    def _tensor(self, tensor: Tensor, name: str) -> Source:
        node = tensor.node
        if type(node) is Leaf and node.source in self.sources:
            return self.sources[node.source]
        name = name or f"tensor of shape {tensor.shape}"
        made = Source(name, _number(node), shape=tensor.shape, lasting=False)
        return self.sources.setdefault(Identity(made.name), made)

    # -- the neutral trace ------------------------------------------------------------------------

    def trace(self) -> Trace:
        """Return all of it as a neutral trace."""
        trace = Trace()
        lines = Lines(trace)
        place = lines.place
        inside: dict[tuple[int, ...], int] = {}  # by identity: rows keep code and layers alive

        def scope(code: Any, stack: tuple[Any, ...]) -> int:
            key = id(code), *map(id, stack)
            if key not in inside:
                names = tuple(f"{type(layer).__name__} {layer.name}" for layer in stack)
                inside[key] = lines.scope(names, code)
            return inside[key]

        for identity, source in self.sources.items():
            if identity.name != source.name:  # it was found what the program calls it
                source.alias, source.name = source.alias or source.name, identity.name
        renamed = {source.value: source.name for source in self.sources.values() if source.alias}
        made: dict[int, int] = {}  # value -> event
        words: dict[Any, str] = {}  # dtype -> its name
        known: dict[tuple[int, int, int], tuple[CodeType, int, int]] = {}
        for row in list(self.rows):
            op, inputs, outputs, flows, led_by, stack, kind, label, shape, dtype, positions = row
            here, led = led_by
            where_it_is = id(here[0]), here[1], id(led)  # rows keep them alive
            if where_it_is not in known:
                known[where_it_is] = lines.chain([here, *led])
            code, at, called_by = known[where_it_is]
            made.update(dict.fromkeys(outputs, len(trace.events)))
            if label == MAYBE_BACK and len(self.numbers.get(here, ())) > 1:
                label = CHANGED  # no constant of the program
            if dtype not in words:
                words[dtype] = str(dtype)
            if op == "read":
                label = renamed.get(inputs[0], label)
            trace.events.append(
                Event(
                    op,
                    tuple(inputs),
                    outputs,
                    tuple(flows),
                    at,
                    scope(code, stack),
                    kind,
                    label,
                    tuple(shape),
                    words[dtype],
                    positions=tuple(positions),
                    callers=called_by,
                )
            )
        numbers = {}
        for identity, source in self.sources.items():
            numbers[id(source)] = len(trace.sources)
            source.updated = identity.written > 0
            if identity.made is not None:
                source.place = place(*identity.made)
            trace.sources.append(source)
        for site, step, targets, sources, norms, cotangents, died, *more in self.gradients:
            deaths = {}
            for (output, value), death in died.items():
                if output in made:
                    event = made[output]
                    deaths[event, trace.events[event].inputs.index(value)] = death
            trace.gradients.append(
                Gradient(
                    place(*site),
                    tuple(value for _, value in targets),
                    tuple(name for name, _ in targets),
                    tuple(numbers[id(source)] for source in sources),
                    norms,
                    cotangents,
                    deaths,
                    step,
                    *more,
                )
            )
        self.steps.into(trace, [row[4][0] for row in list(self.rows)])
        return trace


def _kind(op: Op, node: Node, result: Tensor) -> str:
    """Return which cut an op is to an argument that gradient does not come back to."""
    recording = state.recording
    if node.live and node.recording is not recording:
        return "outside_tape"
    if node.live & recording.paused and not node.live & ~recording.paused:
        return "no_grad_block" if node.live & recording.stopped else "outside_tape"
    if node.live or (node.cuts and not any(op.rules) and result.dtype.kind in INEXACT):
        return op.cut_kind
    return ""


def _died(meter: Magnitudes) -> Iterator[tuple[tuple[int, int], Death]]:
    """Yield ((output, input) of an op at which a gradient became zero, how it did).

    An op with several results has a node behind those of its results; only theirs are values.
    """
    for value, givers in meter.below.items():
        for edge in givers:
            if edge in meter.died:
                zero = meter.died[edge]
                op = meter.nodes[edge[0]][0].op
                several = op.outputs and op is not PICK
                outputs = [result for result, _ in meter.below[edge[0]]] if several else edge[:1]
                factor = -1 if zero.factor is None else zero.factor.seq
                for output in outputs:
                    yield (
                        (output, value),
                        Death(zero.alive, zero.size, zero.kind, factor, zero.label),
                    )


def _told(outcome: Outcome) -> Cut | None:
    """Return what the masks say of a missing gradient that no event of the trace shows."""
    if outcome.verdict in ("unused", "not watched") and outcome.kind != "unused_parameter":
        return outcome.blamed or Cut(outcome.kind, NOWHERE)
    return None


def _number(node: Node | None) -> int:
    """Return the number of a value; a constant, which has no node, is not met again."""
    return sequence() if node is None else node.seq
