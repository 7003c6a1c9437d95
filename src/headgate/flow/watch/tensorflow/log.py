"""The log of a TensorFlow program: what its operations computed, while somebody looks on.

TensorFlow calls a function after each operation, with what went in and what came out; the line is
on the stack at that moment. Which tapes follow a tensor is worked out here as TensorFlow does it:
a tape that runs follows what comes of something that it follows, as long as that has numbers with
gradients. So of each input it is known which tapes gradient comes back to it on, also where several
run at once.

Variables are sources; reading one is an event of its own. Constants have no number: an operation
on constants leaves no trace, only a note of what was made from what (`faint`), in case one of them
is differentiated by later on.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from headgate.flow.trace import Event, Source, Trace, Update
from headgate.flow.watch.lines import Lines
from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.frames import (
    arguments_of_operation,
    as_written,
    dropped,
    given_by_caller,
    inside_library,
    is_rewritten,
)
from headgate.flow.watch.tensorflow.ops import (
    CALL,
    GATHER,
    HANDLE,
    HOST,
    INFINITE,
    NOTHING,
    READ,
    SKIP,
    STEP,
    STOP,
    WRITE,
    WRITES,
    Row,
    row_of,
)
from headgate.flow.watch.tensorflow.values import (
    Known,
    Leaf,
    Tape,
    carries,
    handle_of,
    has_numbers,
    is_variable,
    plain,
    summed,
    weak,
)
from headgate.record.site import chain

MOST = 100_000
"""So many events are kept; what comes after is not traced."""

_FAINT = 20_000


class Log:
    """Everything that happened while somebody looked on."""

    def __init__(self) -> None:
        self.trace = Trace("tensorflow")
        self.lines = Lines(self.trace)
        self.leaves: list[Leaf] = []  # by number of the source
        self.quiet = 0  # while it is above 0, nothing is noted
        self.idle = False  # whether nothing is noted until somebody looks again
        self.stepping = 0  # while an optimizer works
        self.tapes: list[Tape] = []  # those that run now
        self.paused: list[Tape] = []  # those within stop_recording
        self.masks: list[tuple[int, ...]] = []  # of each event: the tapes on which inputs flow
        self.known: dict[int, Known] = {}  # by TensorFlow's number
        self.handles: dict[int, Leaf] = {}
        self.homes: dict[int, int] = {}  # handle -> the line at which the variable was made
        self.since = 0  # the largest value that was differentiated already
        self.faint: dict[int, tuple[int, tuple[int, ...]]] = {}  # constant -> line, made from
        self.uses: dict[int, int] = {}  # constant -> the line that first took it on a tape
        self.spoilt: set[int] = set()  # values that are not finite
        self.infinite: dict[int, str] = {}  # event at which such a value was born -> kind
        self.of_gradient: set[int] = set()  # values that were computed from gradients
        self.attributes: dict[int, tuple[Any, int]] = {}  # id of an op's attributes -> its event
        self.makers: dict[int, int] = {}  # value -> the event that made it
        self.sums: dict[tuple[tuple[int, ...], float], int] = {}  # (shape, sum) -> value
        self.host: Any = None  # who knows what left for the host
        self.faults: list[str] = []  # errors of the watcher itself
        self.names: dict[int, str] = {}  # source -> a name in the program's frames
        self.listens = False
        self.first = 0  # the number of a tensor when looking began
        self.inner: list[Any] = []  # what a function of tf.py_function has just computed
        self.place = -1  # the line of what is replayed now, -1 if nothing is
        self.led = 0  # the lines that led there
        self._values = 0
        self._latest = 0

    # -- numbers ----------------------------------------------------------------------------------

    def new(self) -> int:
        """Return a number that no value has yet."""
        self._values += 1
        return self._values

    @property
    def latest(self) -> int:
        """The largest number of a tensor that TensorFlow has given away so far."""
        return max(self._latest, 0)

    @property
    def full(self) -> bool:
        """Whether no more events are taken."""
        return len(self.trace.events) >= MOST

    @property
    def running(self) -> int:
        """The tapes that record now, as a mask."""
        return 0 if entrance.is_stopped() else self._entered()

    def _entered(self) -> int:
        mask = 0
        for tape in self.tapes:
            mask |= tape.bit
        return mask

    def keep(self, tensor: Any, number: int, tapes: int = 0) -> Known:
        """Give a tensor a number."""
        known = self.known[entrance.number_of(tensor)] = Known(number, tapes)
        return known

    def of(self, tensor: Any) -> Known | None:
        """Return what is known of a tensor."""
        return self.known.get(entrance.number_of(tensor))

    def here(self) -> int:
        """Return the number of the user's line."""
        if self.place >= 0:
            return self.place
        code, instruction = chain()[0]
        if is_rewritten(code):
            found = as_written()
            if found:
                return self.lines.led(found)[0]
        return self.lines.place(code, instruction)

    # -- sources ----------------------------------------------------------------------------------

    def leaf(self, variable: Any) -> Leaf:
        """Return what is known of a variable; it is a source from now on."""
        variable = plain(variable)
        handle = handle_of(variable)
        leaf = self.handles.get(handle)
        if leaf is not None and leaf.variable() is None and is_variable(variable):
            leaf.variable = weak(variable)
        if leaf is None:
            leaf = self._source(tuple(variable.shape), self.homes.get(handle, -1))
            leaf.variable, leaf.trainable = weak(variable), bool(variable.trainable)
            leaf.began = True
            self.handles[handle] = leaf
            self.trace.sources[leaf.number].trainable = leaf.trainable
        return leaf

    def _source(self, shape: tuple[int, ...], place: int) -> Leaf:
        leaf = Leaf(len(self.trace.sources), lambda: None)
        self.trace.sources.append(Source("", self.new(), shape=shape, place=place))
        self.leaves.append(leaf)
        return leaf

    def _leaf_of(self, handle: Any) -> Leaf | None:
        """Return the source that has some memory, whose variable runs somewhere on the stack."""
        number = entrance.number_of(handle)
        leaf = self.handles.get(number)
        if leaf is None:
            for value in given_by_caller(8):
                if is_variable(value) and handle_of(value) == number:
                    return self.leaf(value)
        return leaf

    def made_variable(self, variable: Any) -> None:
        """Note a variable that was just made."""
        handle = handle_of(variable)
        if handle in self.handles:
            leaf = self.handles[handle]
            if leaf.variable() is not None:  # it is only another view of it
                return
            leaf.variable, leaf.trainable = weak(variable), bool(variable.trainable)
            source = self.trace.sources[leaf.number]
            source.trainable = leaf.trainable
            return
        self.homes.setdefault(handle, self.here())
        self.leaf(variable).began = False

    def watched(self, tensor: Any, tape: Tape) -> None:
        """Note that a tape was told to watch a tensor or a variable."""
        if is_variable(tensor):
            tape.explicit.add(handle_of(tensor))
            self.leaf(tensor)
            return
        known = self.of(tensor)
        if known is None:
            leaf = self._source(tuple(tensor.shape), self.here())
            source = self.trace.sources[leaf.number]
            source.lasting = False
            leaf.variable = weak(tensor)
            known = self.keep(tensor, source.value)
        known.tapes |= tape.bit

    # -- operations -------------------------------------------------------------------------------

    def called(
        self,
        op: Any,
        inputs: Sequence[Any],
        attributes: Any,
        outputs: Sequence[Any],
        name: Any = None,
        graph: Any = None,
        **more: Any,
    ) -> None:
        """Note an operation; TensorFlow calls this after each one."""
        if graph is not None or self.quiet or self.idle or self.full:
            return
        self.quiet += 1
        if outputs:
            self._latest = entrance.number_of(outputs[-1])
            self.first = self.first or self._latest
        try:
            row = row_of(op.decode() if isinstance(op, bytes) else op)
            if row.role != SKIP:
                name = op.decode() if isinstance(op, bytes) else op
                self._note(name, row, inputs, attributes, outputs)
        except Exception as error:
            self.fault(error)
        finally:
            self.quiet -= 1

    def fault(self, error: Exception) -> None:
        """Note an error of the watcher itself, and look no further: the program must go on."""
        self.idle = True
        last = traceback.extract_tb(error.__traceback__)[-1]
        file = last.filename.rpartition("/")[2]
        self.faults.append(f"{type(error).__name__}: {error} ({file}:{last.lineno})")

    def _note(
        self, name: str, row: Row, inputs: Sequence[Any], attributes: Any, outputs: Sequence[Any]
    ) -> None:
        if row.role == HANDLE:
            for each in outputs:
                self.homes[entrance.number_of(each)] = self.here()
        elif row.role == READ:
            self.read(inputs[0], outputs[0], attributes)
        elif row.role == WRITE:
            self._write(name, inputs)
        elif row.role in (STEP, CALL):
            return
        elif outputs:
            before = len(self.trace.events)
            if row.role == GATHER:
                value = self._read_for(inputs[0], outputs[0])
                given = [] if value is None else [(0, value, True, 0)]
            else:
                given = self._given(self.inner if name == "EagerPyFunc" else inputs)
                if name == "EagerPyFunc":
                    self.inner = []
            if not given:
                self._faint(inputs, outputs)
            else:
                self.made(name, row, given, outputs, inputs)
            if len(self.trace.events) > before and attributes:
                self.attributes[id(attributes)] = attributes, len(self.trace.events) - 1

    def _given(self, inputs: Sequence[Any]) -> list[tuple[int, Known, bool, int]]:
        """Return the inputs that have a number: position, what is known, whether it carries a
        gradient, and TensorFlow's number."""
        found = []
        arguments: list[Any] | None = None
        for position, each in enumerate(inputs):
            number = entrance.number_of(each)
            known = self.known.get(number)
            if known is None:
                if not carries(each.dtype) or number in self.faint:
                    continue
                if arguments is None:
                    arguments = arguments_of_operation()
                if position < len(arguments) and is_variable(arguments[position]):
                    # The operation read it itself, and nobody was told.
                    variable = plain(arguments[position])
                    known = self.read(variable.handle, each, None, variable)
                elif self.host is not None:
                    known = self.host.returned(each)
                if known is None:
                    self.faint.setdefault(number, (-1, ()))
                    continue
                found.append((position, known, True, number))
            else:
                found.append((position, known, carries(each.dtype), number))
        return found

    def read(self, handle: Any, tensor: Any, attributes: Any, variable: Any = None) -> Known | None:
        """Note that a variable is read."""
        leaf = self.leaf(variable) if variable is not None else self._leaf_of(handle)
        if leaf is None:
            return None
        known = self._read(leaf, handle, tuple(tensor.shape), tensor.dtype.name)
        if known is not None:
            self.known[entrance.number_of(tensor)] = known
            if attributes:
                self.attributes[id(attributes)] = attributes, len(self.trace.events) - 1
        return known

    def _read_for(self, handle: Any, like: Any) -> Known | None:
        leaf = self._leaf_of(handle)
        if leaf is None:
            return None
        shape = self.trace.sources[leaf.number].shape
        return self._read(leaf, handle, shape, like.dtype.name)

    def _read(self, leaf: Leaf, handle: Any, shape: tuple[int, ...], dtype: str) -> Known:
        number = entrance.number_of(handle)
        entered, stopped = self._entered(), entrance.is_stopped()
        mask = 0
        for tape in self.tapes:
            if (tape.watches and leaf.trainable) or number in tape.explicit:
                mask |= tape.bit
        if not dtype.startswith(("float", "bfloat", "complex", "half")):
            mask = 0
        kind = ""
        if not mask:
            if not entered:
                kind = "no_grad_block" if self.paused else "outside_tape"
            else:
                kind = "frozen" if not leaf.trainable else "not_watched"
                if not dtype.startswith(("float", "bfloat", "complex", "half")):
                    kind = "not_watched"
        value = self.new()
        inputs = (self.trace.sources[leaf.number].value, *leaf.past)
        flows = (bool(mask), *[False] * len(leaf.past))
        self.event("read", inputs, (value,), flows, kind, shape=shape, dtype=dtype)
        self.masks.append((mask, *[0] * len(leaf.past)))
        del stopped
        return Known(value, mask)

    def _write(self, name: str, inputs: Sequence[Any]) -> None:
        """Note that a variable gets another value."""
        how = WRITES.get(name, "assign")
        handle, given = inputs[0], self._given(inputs[1:])
        leaf = self._leaf_of(handle)
        if leaf is None:
            number = entrance.number_of(handle)
            if number not in self.homes or name != "AssignVariableOp":
                return
            shape = tuple(inputs[1].shape)
            leaf = self.handles[number] = self._source(shape, self.homes[number])
        source = self.trace.sources[leaf.number]
        first, leaf.began = not leaf.began, True
        if self.stepping:
            return
        values = [known for _, known, soft, _ in given if soft]
        if not first:
            value = values[0].number if len(values) == 1 else None
            size = (self.trace.sizes.get(value or 0),)
            self.trace.updates.append(Update(self.here(), how, (leaf.number,), (value,), size))
            source.updated = True
        if how == "assign" and name == "AssignVariableOp":
            leaf.past.clear()
            leaf.loaded = leaf.loaded or not first
        plain_values = [known for known in values if known.number not in self.of_gradient]
        if plain_values:
            running = self.running
            kind = ""
            if any(known.tapes & (running or known.tapes) for known in plain_values):
                kind = "rewrap" if first else "stateful_write"
            made = self.new()
            numbers = tuple(known.number for known in plain_values)
            self.event(
                "Variable" if first else how,
                numbers,
                (made,),
                (False,) * len(numbers),
                kind,
                shape=source.shape,
            )
            self.masks.append((0,) * len(numbers))
            leaf.past.append(made)
            source.copied = source.copied or first

    def made(
        self,
        name: str,
        row: Row,
        given: Sequence[tuple[int, Known, bool, int]],
        outputs: Sequence[Any],
        inputs: Sequence[Any] = (),
    ) -> int:
        """Note the results of an operation, and return the number of its event."""
        stopped = entrance.is_stopped()
        # What a library computes while all tapes are paused is told where the result is used.
        as_if = stopped and not self.paused and row.role != STOP
        running = self._entered() if as_if else self.running
        gives = row.role not in (STOP, HOST) and name not in NOTHING and entrance.has_rule(name)
        soft = [carries(each.dtype) for each in outputs]
        masks, tracked, lost = [], 0, False
        paused = False
        for _, known, carrying, _ in given:
            flowing = known.tapes & running if carrying else 0
            if flowing and known.paused and not as_if:
                flowing, paused = 0, True
            tracked |= flowing
            passes = flowing if gives and any(soft) else 0
            masks.append(passes)
            lost = lost or (carrying and bool(known.tapes) and not passes)
        kind = ""
        if lost and not any(masks):
            kind = self._kind(name, row, any(soft), running, tracked, stopped, gives)
            kind = "no_grad_block" if paused and not kind.startswith("stop") else kind
        numbers = [self.new() for _ in outputs]
        shape = tuple(outputs[0].shape)
        label = ""
        if row.role == HOST:
            label = "numpy_function"
        event = self.event(
            row.op,
            tuple(known.number for _, known, _, _ in given),
            tuple(numbers),
            tuple(bool(mask) for mask in masks),
            kind,
            label,
            shape,
            outputs[0].dtype.name,
            tuple(position for position, _, _, _ in given),
        )
        self.masks.append(tuple(masks))
        for number, each, carrying in zip(numbers, outputs, soft):
            self.keep(each, number, tracked if carrying else 0).paused = as_if
        if any(known.number in self.of_gradient for _, known, _, _ in given):
            self.of_gradient.update(numbers)
            for number, each, carrying in zip(numbers, outputs, soft):
                if carrying and has_numbers(each):
                    self.trace.sizes[number] = float(np.linalg.norm(entrance.content(each)))
        if tracked:
            at = self.trace.events[event].place
            for each in inputs:
                self.uses.setdefault(entrance.number_of(each), at)
        if row.op == "stop_gradient" and kind and self.place < 0 and dropped():
            self.trace.dropped.add(event)
        self._check(row, event, [known.number for _, known, _, _ in given], numbers, outputs)
        return event

    def _kind(
        self, name: str, row: Row, soft: bool, running: int, tracked: int, stopped: bool, rule: bool
    ) -> str:
        """Return which cut an operation is to inputs that gradient does not come back to."""
        if row.role == STOP:
            return "stop_gradient"
        if row.role == HOST:
            return "host_round_trip"
        if not soft:
            return "integer_cast" if row.op == "astype" else "nondiff_op"
        if tracked and not rule:
            return "nondiff_op"
        if stopped or self.paused:
            return "no_grad_block"
        return "outside_tape" if rule else "nondiff_op"

    def _check(
        self,
        row: Row,
        event: int,
        inputs: list[int],
        numbers: list[int],
        outputs: Sequence[Any],
    ) -> None:
        """Note where something that is not finite was born."""
        for number, each in zip(numbers, outputs):
            if not has_numbers(each):
                continue
            total, finite = summed(each, row.op not in INFINITE)
            if each.shape.rank:
                self.sums[tuple(each.shape), total] = number
            if not finite:
                if self.spoilt.isdisjoint(inputs):
                    self.infinite.setdefault(event, "nonfinite_value")
                self.spoilt.add(number)

    def makes_constants(self) -> bool:
        """Tell whether nothing is computed with variables yet."""
        return not self.trace.events

    def operation(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Note an operation that was not run, or as another one."""
        self.quiet += 1
        try:
            self._note(name, row_of(name), inputs, None, outputs)
        finally:
            self.quiet -= 1

    def written(self, name: str, inputs: Sequence[Any]) -> None:
        """Note that a variable would get another value."""
        self.quiet += 1
        try:
            self._write(name, inputs)
        finally:
            self.quiet -= 1

    def forget(self, tensor: Any) -> None:
        """Let a tensor be a constant from now on."""
        self.known.pop(entrance.number_of(tensor), None)
        self.faint[entrance.number_of(tensor)] = -1, ()

    def drops(self, tensor: Any) -> None:
        """Note that the result of an operation is thrown away."""
        known = self.of(tensor)
        maker = -1 if known is None else self.makers.get(known.number, -1)
        if maker >= 0 and self.trace.events[maker].kind:
            self.trace.dropped.add(maker)

    def constant(self, tensor: Any) -> None:
        """Note that a tensor comes from nowhere, unless it is known."""
        number = entrance.number_of(tensor)
        if number not in self.known:
            self.faint.setdefault(number, (-1, ()))

    def _faint(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Note in short what is computed from constants."""
        if len(self.faint) > _FAINT:
            self.faint.clear()
        taken = tuple(entrance.number_of(each) for each in inputs if carries(each.dtype))
        here = self.here() if taken else -1
        if self.tapes:
            for number in taken:
                self.uses.setdefault(number, here)
        for each in outputs:
            self.faint[entrance.number_of(each)] = here, taken

    def event(
        self,
        op: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        flows: tuple[bool, ...],
        kind: str = "",
        label: str = "",
        shape: tuple[int, ...] = (),
        dtype: str = "",
        positions: tuple[int, ...] = (),
        place: int = -1,
    ) -> int:
        """Note an event at the user's line, or at another one, and return its number."""
        code, at, led = self.lines.chain(chain())
        if self.place >= 0:
            at, led = self.place, self.led
        elif is_rewritten(code) and (written := as_written()):
            at, led = self.lines.led(written)
        if place >= 0:
            at, led = place, 0
        number = len(self.trace.events)
        if positions == tuple(range(len(positions))):
            positions = ()
        self.trace.events.append(
            Event(
                op,
                inputs,
                outputs,
                flows,
                at,
                self.lines.scope((), code),
                kind,
                label or (inside_library() if kind else ""),
                shape,
                dtype,
                positions,
                led,
            )
        )
        for value in outputs:
            self.makers[value] = number
        return number

    def recorded(self, op: str, outputs: Sequence[Any], inputs: Sequence[Any], label: str) -> int:
        """Note results that gradient comes back from by a rule of their own; they were known as
        what they were computed from, and are other values from now on."""
        given = [
            (position, known, carries(each.dtype))
            for position, each in enumerate(inputs)
            if (known := self.of(each)) is not None
        ]
        running = self.running
        if not given or not running:
            return -1
        masks = tuple(known.tapes & running if soft else 0 for _, known, soft in given)
        tracked = 0
        for mask in masks:
            tracked |= mask
        numbers = tuple(self.new() for _ in outputs)
        event = self.event(
            op,
            tuple(known.number for _, known, _ in given),
            numbers,
            tuple(map(bool, masks)),
            "",
            label,
            tuple(outputs[0].shape),
            outputs[0].dtype.name,
            tuple(position for position, _, _ in given),
        )
        self.masks.append(masks)
        for number, each in zip(numbers, outputs):
            self.keep(each, number, tracked if carries(each.dtype) else 0)
        return event

    def reached(self, targets: Iterable[int], tapes: int, without: Iterable[int] = ()) -> set[int]:
        """Return the values that gradient of some others comes to on some tapes.

        Args:
            targets: the others.
            tapes: the mask of the tapes.
            without: events that it is not to come through.
        """
        found = set(targets)
        todo = list(found)
        while todo:
            number = self.makers.get(todo.pop(), -1)
            if number < 0 or number in without:
                continue
            for value, mask in zip(self.trace.events[number].inputs, self.masks[number]):
                if mask & tapes and value not in found:
                    found.add(value)
                    todo.append(value)
        return found

    def differentiated(self, gradient: Any, targets: tuple[int, ...]) -> int:
        """Note a gradient that no tape follows: what is computed from it is cut here."""
        number = self.new()
        flows = (False,) * len(targets)
        self.event("grad", targets, (number,), flows, "outside_tape")
        self.masks.append((0,) * len(targets))
        self.keep(gradient, number)
        self.of_gradient.add(number)
        return number

    def derived(self, gradient: Any, targets: tuple[int, ...]) -> int:
        """Note a derivative that tapes follow, though nobody saw how it was computed."""
        number, running = self.new(), self.running
        self.event("jacobian", targets, (number,), (bool(running),) * len(targets))
        self.masks.append((running,) * len(targets))
        self.keep(gradient, number, running)
        self.of_gradient.add(number)
        return number

    def passed(self, targets: Iterable[int]) -> None:
        """Note that a gradient call is over."""
        if self.host is not None:
            self.host.forget(self.since)
        self.sums.clear()
        self.since = max([self.since, *targets])
