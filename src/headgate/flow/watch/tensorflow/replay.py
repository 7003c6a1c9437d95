"""Replay: a graph is run once more, operation by operation, beside the program.

What happens inside a compiled function nobody can see. Its graph can be read, though, and each of
its operations can be run by itself, on the very values that the function is given: then it is seen
like any other, with its values, at the line that made it. Tapes of the program's own that were
entered in the function are entered here as well, at the same places, and asked the same.

Nothing of it touches the program. What would write into a variable writes into a value that is kept
here; random numbers are made here; what has other effects is left out, and what depends on it is
not looked at.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from headgate.flow.trace import Place
from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.notes import (
    ASK,
    PAUSE,
    POP,
    PUSH,
    RESUME,
    STEP,
    WATCH,
    Graph,
    Stepped,
)
from headgate.flow.watch.tensorflow.ops import WRITES
from headgate.flow.watch.tensorflow.values import Tape, carries, is_variable
from headgate.record.site import HOPS, is_users

if TYPE_CHECKING:
    from headgate.flow.watch.tensorflow.session import Session

TURNS = 100
"""So many turns of a loop are run."""

CALLS = {"PartitionedCall": "f", "StatefulPartitionedCall": "f"}
BRANCHES = {"If", "StatelessIf"}
LOOPS = {"While", "StatelessWhile"}
NEXT = {"IteratorGetNext", "IteratorGetNextAsOptional"}


class Unknown(Exception):
    """A value that only the function itself can compute."""


class Replay:
    """One run of a graph beside the program.

    Args:
        session: who looks on.
        batch: what an iterator will give, by the name of the operation that asks it.
    """

    def __init__(self, session: Session, batch: list[Any] | None = None) -> None:
        self.session = session
        self.log = session.log
        self.batch = batch
        self.imagine: Any = None  # gives a value to what nobody has given one yet
        self.written: dict[int, Any] = {}  # handle -> the value that was written into a variable
        self.random = np.random.default_rng(0)
        self.tapes: dict[int, Any] = {}  # bit -> the tape that stands for one of the graph's
        self.open: list[Tape] = []  # those that run now

    # -- a graph ----------------------------------------------------------------------------------

    def run(self, graph: Any, given: list[Any]) -> dict[str, Any]:
        """Run a graph on some values, and return what it computed, by the names of tensors."""
        known: dict[str, Any] = {}
        for symbol, value in zip(graph.inputs, given):
            known[symbol.name] = value
        notes = self.session.notes.of(graph)
        waiting = sorted(notes.notes, key=lambda note: note.at)
        operations = graph.get_operations()
        entered = len(self.open)
        skip = -1
        for number, op in enumerate(operations):
            while waiting and waiting[0].at <= number:
                skip = max(skip, self._noted(waiting.pop(0), known, graph))
            if number >= skip and not (op.outputs and all(o.name in known for o in op.outputs)):
                self._try(op, known, graph)
        while waiting:
            self._noted(waiting.pop(0), known, graph)
        for tape in reversed(self.open[entered:]):
            self.leave(tape)
        return known

    def _try(self, op: Any, known: dict[str, Any], graph: Any) -> None:
        if op.type == "Placeholder" and self.imagine is not None:
            for symbol in op.outputs:
                found = self.imagine(symbol, graph)
                if found is not None:
                    known[symbol.name] = found
        if op.type in ("NoOp", "Placeholder", "Assert", "PrintV2"):
            return
        try:
            self._run(op, known, graph)
        except Unknown:
            pass
        except (tf.errors.OpError, ValueError, TypeError, LookupError):
            if op.type in CALLS or op.type in LOOPS or op.type in BRANCHES:
                raise

    def value(self, symbol: Any, known: dict[str, Any], graph: Any) -> Any:
        """Return the value of a tensor of a graph, computed now if need be."""
        if symbol.name not in known and symbol.op.type != "Placeholder":
            self._run(symbol.op, known, graph)
        if symbol.name not in known:
            raise Unknown(symbol.name)
        return known[symbol.name]

    def _run(self, op: Any, known: dict[str, Any], graph: Any) -> None:
        place, callers = self._line(op)
        before = self.log.place, self.log.led
        self.log.place, self.log.led = place, callers
        try:
            outputs = self._outputs(op, known, graph)
        finally:
            self.log.place, self.log.led = before
        for symbol, each in zip(op.outputs, outputs):
            if each is not None:
                known[symbol.name] = each

    def _outputs(self, op: Any, known: dict[str, Any], graph: Any) -> list[Any]:
        kind = op.type
        if kind == "Const":
            constant = tf.constant(tf.make_ndarray(op.get_attr("value")))
            self.log.faint[entrance.number_of(constant)] = -1, ()
            return [constant]
        if kind == "VarIsInitializedOp":
            return [tf.constant(True)]
        if kind in NEXT:
            if self.batch is None or kind != "IteratorGetNext":
                raise Unknown(kind)
            return self.batch
        given = [self.value(each, known, graph) for each in op.inputs]
        if kind in CALLS:
            inner = _function(graph, op.get_attr(CALLS[kind]).name)
            return self._inside(inner, given)
        if kind in BRANCHES:
            taken = "then_branch" if bool(_plain(given[0])) else "else_branch"
            return self._inside(_function(graph, op.get_attr(taken).name), given[1:])
        if kind == "Case":
            branches = op.get_attr("branches")
            taken_ = min(max(int(_plain(given[0])), 0), len(branches) - 1)
            return self._inside(_function(graph, branches[taken_].name), given[1:])
        if kind in LOOPS:
            return self._loop(op, given, graph)
        if kind in WRITES:
            self._write(kind, given)
            return []
        if kind == "ReadVariableOp":
            return [self._read(given[0], op)]
        if kind in ("PyFunc", "EagerPyFunc", "PyFuncStateless"):
            return self._host(op, given)
        if op.op_def.is_stateful and not kind.startswith("Resource"):
            return [self._drawn(op, each, given) for each in op.outputs]
        if kind.startswith(("ResourceScatter", "ResourceApply", "ResourceSparse")):
            return []
        if kind == "IdentityN" and "_gradient_op_type" in op.node_def.attr:
            return self._with_own_rule(op, given, graph)
        found = list(_call(op, given))
        if kind == "StopGradient" and not op.outputs[0].consumers():
            self.log.drops(found[0])
        return found

    def _inside(self, graph: Any, given: list[Any]) -> list[Any]:
        known = self.run(graph, given)
        return [known.get(each.name) for each in graph.outputs]

    def _loop(self, op: Any, given: list[Any], graph: Any) -> list[Any]:
        condition = _function(graph, op.get_attr("cond").name)
        body = _function(graph, op.get_attr("body").name)
        for _ in range(TURNS):
            (goes_on,) = self._inside(condition, given)
            if goes_on is None or not bool(_plain(goes_on)):
                return given
            after = self._inside(body, given)
            if any(each is None for each in after):
                raise Unknown("a value in a loop")
            given = after
        raise Unknown("a long loop")

    # -- variables, random numbers, the host -------------------------------------------------------

    def _read(self, handle: Any, op: Any) -> Any:
        number = entrance.number_of(handle)
        leaf = self.log.handles.get(number)
        variable = leaf.variable() if leaf is not None else None
        self.log.quiet += 1
        try:
            if self.imagine is not None and number not in self.written:
                self.written[number] = self.imagine(op.outputs[0], None)
            if number in self.written:
                value = self._again(handle, self.written[number], variable)
            elif variable is not None:
                value = variable.read_value()
            else:
                value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=op.get_attr("dtype"))
        finally:
            self.log.quiet -= 1
        self.log.read(handle, value, None)
        return value

    def _again(self, handle: Any, written: Any, variable: Any) -> Any:
        """Return what was written into a variable as tapes see it: read, and without a past."""
        value = tf.constant(_plain(written), written.dtype)
        if variable is not None and variable.trainable:
            variable.read_value()  # so that they watch it
            self.session.unseen(
                entrance.RECORD.record_operation, "Read", [value], [handle], lambda g: [g]
            )
        return value

    def _write(self, kind: str, given: list[Any]) -> None:
        handle, value = given[0], given[1]
        number = entrance.number_of(handle)
        self.log.written(kind, [handle, value])
        self.log.quiet += 1
        try:
            before = self.written.get(number)
            if kind != "AssignVariableOp":
                if before is None:
                    before = tf.raw_ops.ReadVariableOp(resource=handle, dtype=value.dtype)
                value = before + value if kind == "AssignAddVariableOp" else before - value
            self.written[number] = value
        finally:
            self.log.quiet -= 1

    def _drawn(self, op: Any, symbol: Any, given: list[Any]) -> Any:
        """Return random numbers in the place of those that the function draws."""
        dtype, kind = symbol.dtype, op.type
        if not kind.startswith(
            ("Random", "Truncated", "ParameterizedTruncated", "Multinomial", "Stateful", "Rng")
        ):
            raise Unknown(kind)
        if kind == "RandomShuffle":
            order = self.random.permutation(int(given[0].shape[0]))
            return self._made(op, given, tf.gather(given[0], order))
        if kind == "Multinomial":
            rows = _plain(given[0]).shape[0]
            chosen = self.random.integers(0, int(given[0].shape[1]), (rows, int(_plain(given[1]))))
            return self._made(op, given, tf.constant(chosen.astype(dtype.as_numpy_dtype)))
        shape = None
        for each in given:
            if entrance.is_eager(each) and each.dtype.is_integer and len(each.shape) == 1:
                shape = tuple(_plain(each))
                break
        if shape is None or kind.startswith("Rng"):
            if not symbol.shape.is_fully_defined():
                raise Unknown(kind)
            shape = tuple(symbol.shape)
        if dtype.is_integer:
            drawn: Any = self.random.integers(0, 2**31 - 1, shape)
        elif "Uniform" in kind:
            drawn = self.random.random(shape)
        else:
            drawn = np.clip(self.random.standard_normal(shape), -2, 2)
        made = tf.constant(drawn, dtype=dtype)
        self.log.faint[entrance.number_of(made)] = -1, ()
        return made

    def _made(self, op: Any, given: list[Any], result: Any) -> Any:
        self.log.forget(result)
        self.log.operation(op.type, given, [result])
        return result

    def _host(self, op: Any, given: list[Any]) -> list[Any]:
        """Note a function of Python's that is given arrays; it is not run once more."""
        results = []
        for symbol in op.outputs:
            shape = symbol.shape
            like = [each for each in given if each.dtype == symbol.dtype]
            if shape.is_fully_defined():
                made = tf.ones(shape, symbol.dtype)
            elif like and (shape.rank is None or shape.rank == like[0].shape.rank):
                made = tf.ones_like(like[0])
            else:
                raise Unknown(op.type)
            results.append(made)
        for each in results:
            self.log.forget(each)
        self.log.operation("PyFunc", given, results)
        return results

    def _with_own_rule(self, op: Any, given: list[Any], graph: Any) -> list[Any]:
        """Note what has a rule of the program's own: the rule belongs to the graph, and only what
        it gave there is known."""
        self.log.quiet += 1
        results = [tf.identity(each) for each in given]
        self.log.quiet -= 1
        for each, result in zip(given, results):
            known = self.log.of(each)
            if known is not None:
                self.log.keep(result, known.number, known.tapes)
        gives = self.session.notes.of(graph).rules.get(op.name, [])

        def rule(*came: Any) -> list[Any]:
            found: list[Any] = []
            for k, each in enumerate(given):
                said = gives[k] if k < len(gives) else "none"
                if said == "none":
                    found.append(None)
                elif said == "zeros":
                    found.append(tf.zeros_like(each))
                else:
                    same = [g for g in came if g is not None and g.shape == each.shape]
                    found.append(same[0] if same else tf.ones_like(each))
            return found

        self.session.record("custom_gradient", results, given, rule)
        return results

    # -- what was noted ---------------------------------------------------------------------------

    def _noted(self, note: Any, known: dict[str, Any], graph: Any) -> int:
        """Do what the program did before an operation; return up to which one it did it."""
        data = note.data
        if note.what == PUSH:
            self._enter(data)
        elif note.what == POP:
            self.leave(data)
        elif note.what == PAUSE:
            self.log.paused.append(data)
        elif note.what == RESUME:
            if data in self.log.paused:
                self.log.paused.remove(data)
        elif note.what == WATCH:
            tape, watched = data
            for each in watched:
                value = self._found(each, known, graph)
                if value is not None:
                    self.session.unseen(entrance.TAPE.watch, self.tapes[tape.bit], value)
                    self.log.watched(value, tape)
        elif note.what == ASK:
            return self._ask(data, known, graph)
        elif note.what == STEP:
            self._step(data, known, graph)
            return int(data.end)
        return -1

    def _found(self, kept: Any, known: dict[str, Any], graph: Any) -> Any:
        """Return what a name, or a variable kept weakly, stands for now."""
        if kept is None:
            return None
        if isinstance(kept, str):
            try:
                return self.value(graph.get_tensor_by_name(kept), known, graph)
            except (Unknown, KeyError, ValueError, TypeError, tf.errors.OpError):
                return None
        if callable(kept):
            return kept()
        if isinstance(kept, list):
            return self._found(kept[0], known, graph)
        return kept

    def _enter(self, tape: Tape) -> None:
        made = self.tapes.get(tape.bit)
        if made is None:
            made = self.tapes[tape.bit] = tf.GradientTape(
                persistent=True, watch_accessed_variables=tape.watches
            )
        if tape not in self.open:
            self.session.unseen(entrance.TAPE._push_tape, made)
            self.open.append(tape)
            self.log.tapes.append(tape)

    def leave(self, tape: Tape) -> None:
        """Leave a tape that was entered here."""
        if tape in self.open:
            self.session.unseen(entrance.TAPE._pop_tape, self.tapes[tape.bit])
            self.open.remove(tape)
            if tape in self.log.tapes:
                self.log.tapes.remove(tape)

    def _ask(self, asked: Any, known: dict[str, Any], graph: Any) -> int:
        if asked.failed or asked.tape.bit not in self.tapes:
            return -1
        targets = [self._found(each, known, graph) for each in asked.targets]
        sources = [self._found(each, known, graph) for each in asked.sources]
        sources = [tf.constant(0.0) if each is None else each for each in sources]
        if any(each is None for each in targets):
            return -1
        tape = self.tapes[asked.tape.bit]
        own = asked.tape in self.open
        if own and not asked.tape.persistent:
            self.leave(asked.tape)
        result = self.session.asked_in_graph(asked, tape, targets, sources)
        if result is None:
            return -1
        for kept, each in zip(asked.results, result):
            if isinstance(each, tf.IndexedSlices):
                if isinstance(kept, list):
                    for name, part in zip(kept, (each.values, each.indices)):
                        if isinstance(name, str):
                            known[name] = part
            elif isinstance(kept, str) and each is not None:
                known[kept] = each
        return int(asked.end)

    def _step(self, stepped: Stepped, known: dict[str, Any], graph: Any) -> None:
        gradients = [self._found(each, known, graph) for each in stepped.gradients]
        variables = [self._found(each, known, graph) for each in stepped.variables]
        self.log.place, before = stepped.place, self.log.place
        try:
            self.session.optimizers.stepped(stepped.optimizer, gradients, variables)
        finally:
            self.log.place = before

    def _line(self, op: Any) -> tuple[int, int]:
        """Return the user's line that made an operation, and those that led there."""
        found = []
        for frame in reversed(list(op.traceback or ())):
            if is_users(frame.filename):
                found.append(Place(frame.filename, frame.lineno, frame.name))
                if len(found) > HOPS or frame.name == "<module>":
                    break
        if not found:
            return self.log.place, self.log.led
        return self.log.lines.led(found)


def _plain(tensor: Any) -> Any:
    return entrance.content(tensor)


def _function(graph: Any, name: Any) -> Any:
    """Return the graph of a function that a graph calls."""
    name = name.decode() if isinstance(name, bytes) else name
    found = entrance.graph_of(graph, name)
    if found is None:
        raise Unknown(name)
    return found


@functools.cache
def _parameters(kind: str) -> tuple[Any, tuple[str, ...]]:
    function = getattr(tf.raw_ops, kind, None)
    if function is None:
        raise Unknown(kind)
    return function, tuple(inspect.signature(function).parameters)


def _call(op: Any, given: list[Any]) -> Iterator[Any]:
    """Run an operation of a graph by itself."""
    function, names = _parameters(op.type)
    attributes = {each.name for each in op.op_def.attr}
    # Some inputs have another name in Python, at the same place.
    inputs = [name for name in names if name not in attributes and name != "name"]
    known = {each.name for each in op.op_def.input_arg}
    free = iter([name for name in inputs if name not in known])
    arguments: dict[str, Any] = {}
    position = 0
    for each in op.op_def.input_arg:
        name = each.name if each.name in inputs else next(free)
        if each.number_attr or each.type_list_attr:
            count = op.get_attr(each.number_attr or each.type_list_attr)
            count = count if isinstance(count, int) else len(count)
            arguments[name] = given[position : position + count]
            position += count
        else:
            arguments[name] = given[position]
            position += 1
    for name in names:
        if name in attributes and name not in arguments:
            arguments[name] = op.get_attr(name)
    result = function(**arguments)
    if result is None or isinstance(result, tf.Operation):
        return
    if isinstance(result, list | tuple):
        for part in result:
            yield from part if isinstance(part, list) else [part]
    else:
        yield result


def asks_iterator(graph: Any) -> Any:
    """Return the only operation of a graph that asks an iterator, None if there is none or more."""
    found = [op for op in operations_in(graph) if op[0].type in NEXT]
    if len(found) != 1 or found[0][1] or found[0][0].type != "IteratorGetNext":
        return None
    return found[0][0]


def operations_in(graph: Any, looping: bool = False, deep: int = 0) -> Iterator[tuple[Any, bool]]:
    """Yield all operations of a graph and of the functions that it calls, and whether in a loop."""
    for op in graph.get_operations():
        yield op, looping
        if deep > 8:
            continue
        names = []
        if op.type in CALLS:
            names = [op.get_attr("f").name]
        elif op.type in LOOPS:
            names = [op.get_attr("body").name]
        elif op.type in BRANCHES:
            names = [op.get_attr("then_branch").name, op.get_attr("else_branch").name]
        for name in names:
            inner = entrance.graph_of(graph, name)
            if inner is not None:
                yield from operations_in(inner, looping or op.type in LOOPS, deep + 1)


__all__ = ["Graph", "Replay", "Unknown", "asks_iterator", "carries", "is_variable", "operations_in"]
