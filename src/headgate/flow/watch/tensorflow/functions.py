"""Functions: calls of what TensorFlow has compiled, and what is seen of them.

Each call of a compiled function that is looked at is replayed first (`replay`), on the values that
it is given, and what comes out of the function itself is known from then on as what came out of the
replay. Tapes around the call see the function as one operation; the replay has tapes of its own,
which are asked for the inner cotangents once gradient comes back to the function.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.replay import NEXT, Replay, asks_iterator, operations_in
from headgate.flow.watch.tensorflow.values import carries, handle_of

if TYPE_CHECKING:
    from headgate.flow.watch.tensorflow.session import Session

RUNS = 3
"""So many calls of a function that asks for gradients are replayed."""


class Call:
    """A call that was replayed."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.computed: dict[str, Any] = {}
        self.twins: dict[int, Any] = {}  # a result of the function -> that of the replay
        self.tapes: dict[int, Any] = {}  # bit of a tape around the call -> the one in its place
        self.watched: list[Any] = []
        self.feed: Any = None  # the iterator that is given in the place of another one


class Functions:
    """All compiled functions that a program calls."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.calling: Call | None = None  # whose function runs now
        self.replaying = False
        self.unseen: set[str] = set()  # functions that could not be replayed
        self._asking: dict[int, tuple[Any, bool]] = {}
        self._runs: dict[int, tuple[Any, int]] = {}

    def called(self, original: Any, function: Any, tensor_inputs: Any, captured_inputs: Any) -> Any:
        """Call a compiled function; look at it if it is to be looked at."""
        session, given, captured = self.session, tensor_inputs, captured_inputs
        if (
            self.replaying
            or not session.hears
            or not session.functions_matter
            or not tf.executing_eagerly()
            or threading.get_ident() != session.thread
        ):
            return original(function, given, captured)
        call = session.safely(self._before, function, list(given), list(captured))
        if call is None:
            return original(function, given, captured)
        if call.feed is not None:
            index, resource, _ = call.feed
            given, captured = list(given), list(captured)
            if index < len(given):
                given[index] = resource
            else:
                captured[index - len(given)] = resource
        before, self.calling = self.calling, call
        try:
            result = original(function, given, captured)
        finally:
            self.calling = before
        session.safely(self._after, function, call, result)
        return result

    def _before(self, function: Any, given: list[Any], captured: list[Any]) -> Call | None:
        session, log = self.session, self.session.log
        graph = function.graph
        asks = self._has_asks(graph)
        if asks:
            known, count = self._runs.get(id(graph), (None, 0))
            count = count if known is not None and known() is graph else 0
            self._runs[id(graph)] = weakref.ref(graph), count + 1
            if count >= RUNS:
                session.left_off_in_graph(graph)
                return None
        arguments = given + captured
        if not asks and not log.tapes and not _variables(graph):
            tensors = [each for each in arguments if entrance.is_eager(each)]
            if not any(carries(each.dtype) and log.of(each) is not None for each in tensors):
                return None
        for variable in _variables(graph):
            log.leaf(variable)
        call = Call(Replay(session))
        log.quiet += 1
        try:
            if not self._feed(graph, arguments, call):
                self.unseen.add(str(graph.name))
                return None
        finally:
            log.quiet -= 1
        self._run(graph, arguments, call)
        return call

    def _feed(self, graph: Any, arguments: list[Any], call: Call) -> bool:
        """Take what an iterator gives next, and have the function be given the same."""
        if not any(op.type in NEXT for op, _ in operations_in(graph)):
            return True
        op = asks_iterator(graph)
        if op is None:
            return False
        names = [each.name for each in graph.inputs]
        if op.inputs[0].name not in names:
            return False
        index = names.index(op.inputs[0].name)
        types = op.get_attr("output_types")
        if any(each in (tf.variant, tf.resource) for each in types):
            return False
        shapes = [tf.TensorShape(each) for each in op.get_attr("output_shapes")]
        try:
            batch = tf.raw_ops.IteratorGetNext(
                iterator=arguments[index], output_types=types, output_shapes=shapes
            )
        except tf.errors.OutOfRangeError:
            return False
        iterator = iter(tf.data.Dataset.from_tensors(tuple(batch)))
        call.replay.batch = list(batch)
        call.feed = index, iterator._iterator_resource, iterator
        return True

    def _run(self, graph: Any, arguments: list[Any], call: Call) -> None:
        session, log = self.session, self.session.log
        for each in (*arguments, *(call.replay.batch or ())):
            if entrance.is_eager(each) and carries(each.dtype):
                if log.of(each) is None:
                    log.quiet += 1
                    session.host.returned(each)
                    log.quiet -= 1
                log.constant(each)
        around = list(log.tapes)
        real = [tape.tape() for tape in around]
        for tape in real:
            session.unseen(entrance.TAPE._pop_tape, tape)
        for known in around:
            call.tapes[known.bit] = self._twin(known, graph, arguments, call)
        self.replaying = True
        before = log.place, log.led
        log.place, log.led = log.lines.chain_here()
        try:
            call.computed = call.replay.run(graph, arguments)
        finally:
            self.replaying = False
            log.place, log.led = before
            for tape in reversed(list(call.replay.open)):
                call.replay.leave(tape)
            for twin in call.tapes.values():
                session.unseen(entrance.TAPE._pop_tape, twin)
            for tape in real:
                session.unseen(entrance.TAPE._push_tape, tape)

    def _twin(self, known: Any, graph: Any, arguments: list[Any], call: Call) -> Any:
        """Return a tape that stands for one around the call, and records the replay."""
        session, log = self.session, self.session.log
        twin = tf.GradientTape(persistent=True, watch_accessed_variables=known.watches)
        session.unseen(entrance.TAPE._push_tape, twin)
        for each in arguments:
            found = log.of(each) if entrance.is_eager(each) else None
            if found is not None and found.tapes & known.bit and carries(each.dtype):
                session.unseen(entrance.TAPE.watch, twin, each)
                call.watched.append(each)
        for variable in _variables(graph):
            if handle_of(variable) in known.explicit:
                session.unseen(entrance.TAPE.watch, twin, variable)
        return twin

    def _after(self, function: Any, call: Call, result: Any) -> None:
        log = self.session.log
        structure = function.graph.structured_outputs
        symbols = tf.nest.flatten(structure, expand_composites=True)
        results = tf.nest.flatten(result, expand_composites=True)
        pairs = zip(
            [each for each in symbols if each is not None],
            [each for each in results if each is not None],
        )
        for symbol, each in pairs:
            twin = call.computed.get(getattr(symbol, "name", ""))
            if twin is None or not entrance.is_eager(each) or not entrance.is_eager(twin):
                continue
            call.twins[entrance.number_of(each)] = twin
            known = log.of(twin)
            if known is not None and each is not twin:
                log.keep(each, known.number, known.tapes)

    def measured(self, outputs: list[Any], backward: Any) -> Any:
        """Return the rule of a function, by which inner cotangents are measured as well."""
        call, session = self.calling, self.session
        numbers = [entrance.number_of(each) for each in outputs]

        def instead(*came: Any, **more: Any) -> Any:
            if call is not None and session.walk is not None:
                session.safely(self._measure, call, numbers, came)
            return backward(*came, **more)

        return instead

    def _measure(self, call: Call, numbers: list[int], came: Any) -> None:
        session = self.session
        tape = call.tapes.get(session.walked)
        pairs = [
            (call.twins[number], g)
            for number, g in zip(numbers, came)
            if g is not None and number in call.twins
        ]
        if tape is None or not pairs:
            return
        sources = [*tape.watched_variables(), *call.watched]
        session.log.quiet += 1
        try:
            session.unseen(
                entrance.TAPE.gradient,
                tape,
                [target for target, _ in pairs],
                sources,
                output_gradients=[g for _, g in pairs],
            )
        finally:
            session.log.quiet -= 1

    def imagined(self) -> None:
        """Replay the graph that is being made, which never will run, on values made up here."""
        graph = tf.compat.v1.get_default_graph()
        replay = Replay(self.session)
        outside = {}
        current = graph
        while current is not None and hasattr(current, "captures"):
            outside.update({inner.name: each for each, inner in current.captures})
            current = current.outer_graph

        def imagine(symbol: Any, graph: Any) -> Any:
            found = outside.get(symbol.name) if graph is not None else None
            while found is not None and not entrance.is_eager(found):
                found = outside.get(getattr(found, "name", ""))
            if found is None and symbol.dtype not in (tf.resource, tf.variant):
                found = _made_up(symbol)
                self.session.log.constant(found)
            return found

        replay.imagine = imagine
        with entrance.eagerly():
            for variable in _variables(graph):
                self.session.log.leaf(variable)
            log = self.session.log
            before, self.replaying = (log.place, log.led), True
            log.place, log.led = log.lines.chain_here()
            try:
                replay.run(graph, [])
            finally:
                self.replaying = False
                log.place, log.led = before
                for tape in reversed(list(replay.open)):
                    replay.leave(tape)

    def _has_asks(self, graph: Any) -> bool:
        found = self._asking.get(id(graph))
        if found is None or found[0]() is not graph:
            graphs = {id(op.graph): op.graph for op, _ in operations_in(graph)}
            asks = any(map(self.session.notes.has_asks, graphs.values()))
            found = self._asking[id(graph)] = weakref.ref(graph), asks
        return found[1]


def _variables(graph: Any) -> list[Any]:
    try:
        return list(graph.variables)
    except Exception:  # one of them is gone
        return []


def _made_up(symbol: Any) -> Any:
    shape = (
        [2] * (symbol.shape.rank or 0)
        if symbol.shape.rank is None
        else [2 if each is None else each for each in symbol.shape]
    )
    if symbol.dtype.is_floating:
        drawn = np.random.default_rng(0).standard_normal(shape)
        return tf.constant(drawn, symbol.dtype)
    return tf.zeros(shape, symbol.dtype)
