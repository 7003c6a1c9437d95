"""Tapes: when they record, what they watch, and what they are told and ask.

A tape that is entered, left, paused or told to watch something is noted: at once where operations
run at once, among the notes of a graph where one is made. What Python code itself puts on the tapes
has a rule of its own, and so have compiled functions; each rule that is asked is measured.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.frames import is_its_own, within_py_function
from headgate.flow.watch.tensorflow.notes import PAUSE, POP, PUSH, RESUME, WATCH, named
from headgate.flow.watch.tensorflow.values import Tape, handle_of, is_variable, weak
from headgate.flow.watch.tensorflow.walk import CUSTOM, Walk

if TYPE_CHECKING:
    from headgate.flow.watch.tensorflow.session import Session


class Tapes:
    """All tapes of a program."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.known: dict[int, tuple[Any, Tape]] = {}  # id -> weakly the tape, what is known of it
        self._hidden = 0  # while it is the watcher itself that uses tapes
        self._bits = 0

    @property
    def hidden(self) -> bool:
        """Whether it is the watcher itself that uses a tape now."""
        return self._hidden > 0

    def new_bit(self) -> int:
        """Return the bit of one more tape."""
        self._bits += 1
        return 1 << self._bits - 1

    def tape(self, tape: Any) -> Tape:
        """Return what is known of a tape."""
        found = self.known.get(id(tape))
        if found is None or found[0]() is not tape:
            known = Tape(
                1 << self._bits,
                bool(tape._watch_accessed_variables),
                -1,
                weak(tape),
                bool(tape._persistent),
            )
            self._bits += 1
            found = self.known[id(tape)] = weakref.ref(tape), known
        return found[1]

    def unseen(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Use a tape as the watcher itself, which is not noted."""
        self._hidden += 1
        try:
            return function(*args, **kwargs)
        finally:
            self._hidden -= 1

    def sees(self) -> bool:
        if self._hidden or self.session.log.idle or threading.get_ident() != self.session.thread:
            return False
        return not is_its_own()

    def push(self, original: Any, tape: Any) -> None:
        original(tape)
        if self.sees():
            self.session.safely(self._note_push, tape)

    def _note_push(self, tape: Any) -> None:
        known = self.tape(tape)
        if not tf.executing_eagerly():
            self.session.notes.add(PUSH, known)
        elif known not in self.session.log.tapes:
            self.session.log.tapes.append(known)

    def pop(self, original: Any, tape: Any) -> None:
        original(tape)
        if self.sees():
            self.session.safely(self._note_pop, tape)

    def _note_pop(self, tape: Any) -> None:
        known = self.tape(tape)
        if not tf.executing_eagerly():
            self.session.notes.add(POP, known)
        elif known in self.session.log.tapes:
            self.session.log.tapes.remove(known)

    def watch(self, original: Any, tape: Any, tensor: Any) -> None:
        original(tape, tensor)
        if self.sees() and not self.session.log.quiet and not within_py_function():
            self.session.safely(self._note_watch, tape, tensor)

    def _note_watch(self, tape: Any, tensor: Any) -> None:
        known = self.tape(tape)
        found = [
            each
            for each in tf.nest.flatten(tensor)
            if is_variable(each) or isinstance(each, tf.Tensor)
        ]
        if not tf.executing_eagerly():
            known.explicit.update(handle_of(each) for each in found if is_variable(each))
            self.session.notes.add(WATCH, (known, list(map(named, found))))
        elif self.session.on:
            for each in found:
                self.session.log.watched(each, known)

    def stop_recording(self, original: Any, tape: Any) -> Any:
        return _Paused(self.session, original(tape), tape)

    def record(
        self,
        original: Any,
        op_type: Any,
        output_tensors: Any,
        input_tensors: Any,
        backward_function: Any,
        forward_function: Any = None,
    ) -> None:
        outputs, inputs, rule = list(output_tensors), list(input_tensors), backward_function
        if self.sees() and not tf.executing_eagerly():
            rule = self.session.safely(self._noting_rule, outputs, rule) or rule
        elif self.session.hears and self.session.functions.calling is not None:
            rule = self.session.functions.measured(outputs, rule)
        elif self.session.hears:
            rule = self.session.safely(self._recorded, op_type, outputs, inputs, rule) or rule
        original(op_type, outputs, inputs, rule, forward_function)

    def put(self, op: str, outputs: list[Any], inputs: list[Any], backward: Any) -> None:
        """Put an operation with a rule of its own on the tapes, and note it."""
        entrance.RECORD.record_operation(op, outputs, inputs, backward)

    def _recorded(self, op: Any, outputs: Any, inputs: Any, backward: Any) -> Any:
        """Note an operation that has a rule of its own; return its rule, measured."""
        outputs, inputs = list(outputs), list(inputs)
        if not outputs or not all(entrance.is_eager(each) for each in (*outputs, *inputs)):
            return None
        number = self.session.log.recorded(str(op), outputs, inputs, CUSTOM)
        return self._measured(number, inputs, backward) if number >= 0 else None

    def _noting_rule(self, outputs: Any, backward: Any) -> Any:
        """Return a rule of the program's own that notes what it gives while a graph is made."""
        op = getattr(next(iter(outputs), None), "op", None)
        if op is None or op.type != "IdentityN":
            return None
        rules, name = self.session.notes.of(op.graph).rules, op.name

        def instead(*came: Any, **more: Any) -> Any:
            gave = backward(*came, **more)
            rules[name] = [_said_of(each) for each in gave]
            return gave

        return instead

    def _measured(self, number: int, inputs: list[Any], backward: Any) -> Any:
        def instead(*came: Any, **more: Any) -> Any:
            gave = backward(*came, **more)
            walk = self.session.walk
            if walk is not None:
                self.session.safely(_passed, walk, number, inputs, came, gave)
            return gave

        return instead

    def rule(
        self,
        original: Any,
        op: str,
        attributes: Any,
        count: int,
        inputs: Any,
        outputs: Any,
        came: Any,
        skipped: Any,
        scope: Any,
    ) -> Any:
        """Answer a tape that asks for the gradient of an operation, and measure the answer."""
        gave = original(op, attributes, count, inputs, outputs, came, skipped, scope)
        if self.session.walk is not None:
            known = self.session.log.attributes.get(id(attributes))
            if known is not None:
                log, quiet = self.session.log, self.session.log.quiet
                log.quiet += 1
                self.session.safely(
                    _passed, self.session.walk, known[1], inputs, came, gave, skipped or ()
                )
                log.quiet = quiet
        return gave

    # -- gradient calls ---------------------------------------------------------------------------


class _Paused:
    """What `stop_recording` gives: entering it pauses a tape."""

    def __init__(self, session: Session, original: Any, tape: Any) -> None:
        self._session, self._original, self._tape = session, original, tape

    def __enter__(self) -> Any:
        result = self._original.__enter__()
        session = self._session
        known = session.tapes.tape(self._tape)
        if tf.executing_eagerly():
            session.log.paused.append(known)
        else:
            session.safely(session.notes.add, PAUSE, known)
        return result

    def __exit__(self, *exception: Any) -> Any:
        session = self._session
        known = session.tapes.tape(self._tape)
        if not tf.executing_eagerly():
            session.safely(session.notes.add, RESUME, known)
        elif known in session.log.paused:
            session.log.paused.remove(known)
        return self._original.__exit__(*exception)


def _passed(walk: Walk, number: int, inputs: Any, came: Any, gave: Any, skipped: Any = ()) -> None:
    gave = gave if isinstance(gave, list | tuple) else [gave]
    walk.passed(number, inputs or (), came, gave, skipped)


def _said_of(gradient: Any) -> str:
    """Return in a word what a rule of the program's own gives, as far as the graph tells."""
    if gradient is None:
        return "none"
    op = getattr(gradient, "op", None)
    kind = getattr(op, "type", "")
    if kind == "ZerosLike":
        return "zeros"
    if op is not None and kind == "Const":
        return "some" if tf.make_ndarray(op.get_attr("value")).any() else "zeros"
    if op is not None and kind in ("Fill", "BroadcastTo"):
        return _said_of(op.inputs[1] if kind == "Fill" else op.inputs[0])
    return "some"
