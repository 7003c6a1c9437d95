"""Graphs: gradient calls that become a part of a graph, and are asked anew in each replay of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.asks import Line
from headgate.flow.watch.tensorflow.frames import as_written, name_in_frames
from headgate.flow.watch.tensorflow.names import path_of
from headgate.flow.watch.tensorflow.notes import ASK, POP, PUSH, WATCH, Asked, count, named
from headgate.flow.watch.tensorflow.replay import operations_in
from headgate.flow.watch.tensorflow.values import Tape, is_variable

if TYPE_CHECKING:
    from headgate.flow.watch.tensorflow.session import Session


class Graphs:
    """What asks for gradients while graphs are made."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def line(self) -> tuple[int, int]:
        """Return the number of the user's line that runs while a graph is made, and its callers."""
        found = as_written()
        return self.session.log.lines.led(found) if found else (self.session.log.here(), 0)

    def look(
        self,
        call: Callable[[], Any],
        tape: Any,
        target: Any,
        sources: Any,
        zero: bool,
        whole: bool,
    ) -> Any:
        """Make a gradient call that becomes a part of a graph, and note it for each of its runs."""
        asked = self.session.safely(self._asked, tape, target, sources, zero, whole)
        if asked is None:
            return call()
        start = count()
        with self.session.within_call():
            result = call()
        asked.end = count()
        asked.results = list(map(named, tf.nest.flatten(result)))
        self.session.notes.add(ASK, asked, start)
        return result

    def gradients(self, original: Any, ys: Any, xs: Any, *args: Any, **kwargs: Any) -> Any:
        """Note what asks a graph for gradients without a tape."""
        if not self.session.tapes.sees() or self.session.asking or tf.executing_eagerly():
            return original(ys, xs, *args, **kwargs)
        start = count()
        result = original(ys, xs, *args, **kwargs)
        self.session.safely(self._note_gradients, ys, xs, result, start)
        return result

    def _note_gradients(self, ys: Any, xs: Any, result: Any, start: int) -> None:
        tape = Tape(self.session.tapes.new_bit(), True, -1, lambda: None, True)
        asked = self._asked(tape, ys, xs, False, True)
        asked.end, asked.results = count(), list(map(named, tf.nest.flatten(result)))
        self.session.notes.add(PUSH, tape, 0)
        names = [op.name for op in tf.compat.v1.get_default_graph().get_operations()]
        for each in tf.nest.flatten(xs):
            if not is_variable(each) and isinstance(each, tf.Tensor):
                self.session.notes.add(WATCH, (tape, [named(each)]), names.index(each.op.name) + 1)
        self.session.notes.add(POP, tape, start)
        self.session.notes.add(ASK, asked, start)

    def _asked(self, tape: Any, target: Any, sources: Any, zero: bool, whole: bool) -> Asked:
        place, callers = self.line()
        targets = [each for each in tf.nest.flatten(target) if each is not None]
        asking = tf.nest.flatten(sources)
        for each in asking:
            if is_variable(each):
                leaf = self.session.log.leaf(each)
                leaf.asked = True
                if path_of(each):
                    self.session.paths.setdefault(leaf.number, path_of(each))
        names = [name_in_frames(each) or "loss" for each in targets]
        known = tape if isinstance(tape, Tape) else self.session.tapes.tape(tape)
        kept, asked = list(map(named, targets)), list(map(named, asking))
        return Asked(known, place, "", 0, kept, names, asked, [], zero, whole, callers)

    def asked_again(
        self, asked: Asked, tape: Any, targets: list[Any], sources: list[Any]
    ) -> list[Any] | None:
        """Ask a tape of a replay what the graph's own was asked; return what came."""
        line, step = self.session.line_of(asked.place, asked.inside)
        line.looked += 1
        before = self.session.log.place, self.session.log.led
        self.session.log.place, self.session.log.led = asked.place, asked.callers
        try:
            ask = self.session.begin_asking(asked.place, step, asked.tape, targets, sources)
            ask.names = tuple(asked.names)

            def call() -> Any:
                return self.session.tapes.unseen(entrance.TAPE.gradient, tape, targets, sources)

            result = self.session.perform(ask, line, call, asked.zero, True)
        except (tf.errors.OpError, ValueError, TypeError, LookupError):
            return None
        finally:
            self.session.log.place, self.session.log.led = before
        return list(result) if asked.whole else None

    def left_off(self, graph: Any) -> list[Line]:
        """Note a call of a function that is not looked at any more; return the lines in it."""
        found = []
        for inner in {id(op.graph): op.graph for op, _ in operations_in(graph)}.values():
            for note in self.session.notes.of(inner).notes:
                if note.what == ASK:
                    line, _ = self.session.line_of(note.data.place, note.data.inside)
                    self.session.leave_off(line)
                    found.append(line)
        return found
