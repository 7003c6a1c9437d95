"""A session: when a TensorFlow program is looked at, and what is put in its way for that.

Each line that asks for gradients is looked at closely in its first three passes, with a function
called after each operation and every cotangent measured. Then that function is taken away, and only
the calls of `gradient` and of optimizers go through here: they count passes and see which gradients
are there. Is one missing that had been there, or there that had been missing, the next pass is
looked at.

All that is put in the way is taken back at the end.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from headgate.flow.judge import Told
from headgate.flow.trace import Place, Source, Trace
from headgate.flow.watch.border import border, lost_abroad
from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.account import account
from headgate.flow.watch.tensorflow.asks import Ask, Line, shielded
from headgate.flow.watch.tensorflow.frames import (
    inside_library,
    is_its_own,
    name_in_frames,
)
from headgate.flow.watch.tensorflow.functions import Functions
from headgate.flow.watch.tensorflow.graphs import Graphs
from headgate.flow.watch.tensorflow.host import Host
from headgate.flow.watch.tensorflow.log import MOST, Log
from headgate.flow.watch.tensorflow.mistakes import mistakes
from headgate.flow.watch.tensorflow.names import names_in_frames, own_name, path_of
from headgate.flow.watch.tensorflow.notes import (
    Notes,
)
from headgate.flow.watch.tensorflow.optimizers import Optimizers
from headgate.flow.watch.tensorflow.tapes import Tapes
from headgate.flow.watch.tensorflow.values import (
    Leaf,
    Tape,
    handle_of,
    is_variable,
    norm,
    plain,
    tensors_in,
    weak,
)
from headgate.flow.watch.tensorflow.walk import Walk

CLOSELY = 3
"""So many first passes of a line are looked at closely."""

GONE = 50
"""A line that was not called in so many calls of others is not waited for."""

CHANGES = 16
"""So often a line is looked at closely because other gradients came than before."""


began: list[weakref.ref[Session]] = []
"""All sessions that are still there, the newest last."""


class Session:
    """One time of looking on, from the import of TensorFlow or the beginning of a block."""

    def __init__(self, step: int | None = None, every: int | None = None) -> None:
        self.wanted = step
        self.every = every
        self.log = Log()
        self.host = self.log.host = Host(self.log)
        self.optimizers = Optimizers(self)
        self.notes = Notes()
        self.functions = Functions(self)
        self.on = False  # whether what happens is noted
        self.thread = threading.get_ident()
        self.asks: list[Ask] = []
        self.lines: dict[tuple[int, str], Line] = {}
        self.tapes = Tapes(self)
        self.graphs = Graphs(self)
        self.paths: dict[int, str] = {}  # source -> its path in Keras
        self.keras: dict[int, Callable[[], Any]] = {}  # handle -> the variable of Keras's
        self.unmade: list[tuple[Any, int]] = []  # variables of Keras's without a value yet, place
        self.elsewhere = 0  # gradient calls in other threads
        self._undo: list[Callable[[], None]] = []
        self._looking: list[Callable[[], None]] = []
        self.asking = 0
        self.walk: Walk | None = None
        self.walked = 0  # the tape that is asked now
        self._calls = 0
        self._events = 0
        self._accounted: tuple[Any, ...] = ()

    # -- what is put in the way -------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to look on."""
        border.forget("tensorflow")
        began[:] = [each for each in began if each() is not None] + [weakref.ref(self)]
        replace = self.replace
        replace(entrance.TAPE, "_push_tape", self.tapes.push)
        replace(entrance.TAPE, "_pop_tape", self.tapes.pop)
        replace(entrance.TAPE, "watch", self.tapes.watch)
        replace(entrance.TAPE, "stop_recording", self.tapes.stop_recording)
        replace(entrance.TAPE, "gradient", self._gradient)
        replace(entrance.TAPE, "jacobian", self._jacobian)
        replace(entrance.TAPE, "batch_jacobian", self._jacobian)
        replace(tf, "gradients", self.graphs.gradients)
        replace(entrance.FUNCTION, "_call_flat", self.functions.called)
        replace(entrance.RECORD, "record_operation", self.tapes.record)
        replace(entrance.VARIABLE, "__init__", self._variable)
        replace(entrance.OWN_VARIABLE, "assign", self._assign)
        self.host.begin(replace)
        original = entrance.rule()
        entrance.set_rule(functools.partial(self.tapes.rule, original))
        self._undo.append(lambda: entrance.set_rule(original))
        self.switch(True)

    def end(self) -> None:
        """Leave TensorFlow as it was."""
        self.switch(False)
        while self._undo:
            self._undo.pop()()

    def replace(self, owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
        """Put a function before one of TensorFlow's, which it gets as its first argument."""
        original = vars(owner)[name]

        @functools.wraps(original)
        def instead(*args: Any, **kwargs: Any) -> Any:
            return wrapper(original, *args, **kwargs)

        setattr(owner, name, instead)

        def undo() -> None:
            if vars(owner).get(name) is instead:
                setattr(owner, name, original)

        self._undo.append(undo)

    def switch(self, on: bool) -> None:
        """Begin to note what happens, or end it."""
        if on == self.on or threading.get_ident() != self.thread:
            return
        if on:
            entrance.listen(self.log.called)
        else:
            entrance.leave(self.log.called)
            self.log.attributes.clear()
            for ask in self.asks[-100:]:  # what becomes of these gradients is not seen
                if ask.updates == len(self.log.trace.updates):
                    ask.outputs = [None] * len(ask.outputs)
        self.on = self.log.listens = on

    @shielded
    def safely(self, note: Callable[..., Any], *args: Any) -> Any:
        """Call what only notes something; its errors are the watcher's."""
        return note(*args)

    @property
    def hears(self) -> bool:
        """Whether what happens now is to be noted."""
        silent = self.log.idle or self.log.quiet
        return self.on and not silent and threading.get_ident() == self.thread

    # -- tapes and variables ----------------------------------------------------------------------

    def _variable(self, original: Any, variable: Any, *args: Any, **kwargs: Any) -> None:
        original(variable, *args, **kwargs)
        if threading.get_ident() == self.thread and tf.executing_eagerly() and not self.log.idle:
            self.safely(self.log.made_variable, variable)

    # -- what tapes are told, and ask -------------------------------------------------------------

    def _assign(self, original: Any, variable: Any, *args: Any, **kwargs: Any) -> Any:
        """Note that a variable gets a value of the program's also while nobody looks."""
        log = self.log
        if not self.on and not log.stepping and not self.functions.replaying:
            log.loaded.add(handle_of(variable))
        return original(variable, *args, **kwargs)

    def _gradient(
        self,
        original: Any,
        tape: Any,
        target: Any = None,
        sources: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        def call() -> Any:
            return original(tape, target, sources, *args, **kwargs)

        zero = args[1] if len(args) > 1 else kwargs.get("unconnected_gradients", "none")
        return self._look(call, tape, target, sources, str(getattr(zero, "value", zero)) == "zero")

    def _jacobian(
        self,
        original: Any,
        tape: Any,
        target: Any = None,
        sources: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        def call() -> Any:
            return original(tape, target, sources, *args, **kwargs)

        zero = args[0] if args else kwargs.get("unconnected_gradients", "none")
        zeros = str(getattr(zero, "value", zero)) == "zero" or "batch" in original.__name__
        return self._look(call, tape, target, sources, zeros, whole=False)

    def _look(
        self,
        call: Callable[[], Any],
        tape: Any,
        target: Any,
        sources: Any,
        zero: bool,
        whole: bool = True,
    ) -> Any:
        """Make a gradient call, and note what comes of it if it is to be looked at."""
        if self.asking or self.tapes.hidden or self.log.quiet or self.log.idle or is_its_own():
            return call()
        if threading.get_ident() != self.thread:
            self.elsewhere += 1
            return call()
        if not tf.executing_eagerly():
            return self.graphs.look(call, tape, target, sources, zero, whole)
        line, step = self.line_of(self.log.here(), inside_library())
        self.leave_off(line)
        if not self.on:
            result = call()
            self.safely(self._note_change, line, result)
            return result
        line.looked += 1
        ask = self.safely(self.begin_asking, self.log.here(), step, tape, target, sources)
        if ask is None:
            return call()
        return self.perform(ask, line, call, zero, whole)

    @contextlib.contextmanager
    def within_call(self) -> Iterator[None]:
        """Note nothing that a gradient call asks in its turn."""
        self.asking += 1
        try:
            yield
        finally:
            self.asking -= 1

    def line_of(self, place: int, inside: str) -> tuple[Line, int]:
        """Return a line that asks for gradients, and how often it has done so before."""
        line = self.lines.setdefault((place, inside), Line())
        line.passes += 1
        return line, line.passes - 1

    def perform(
        self, ask: Ask, line: Line, call: Callable[[], Any], zero: bool, whole: bool
    ) -> Any:
        """Make a gradient call that is looked at."""
        assert ask.tape is not None
        ask.reads = {
            leaf.number: leaf.read for leaf in self.log.handles.values() if leaf.read is not None
        }
        running = self.log.running
        higher = running & ~ask.tape.bit
        ask.inner = bool(running and (higher or ask.tape.persistent))
        quiet = 0 if ask.inner and whole else 1
        self.asking += 1
        self.log.quiet += quiet
        self.walk = ask.walk = Walk(self.log)
        self.walked = ask.tape.bit
        if not whole:
            self.walk = None
        try:
            result = call()
        except Exception as error:
            ask.failed = type(error).__name__
            ask.broke = isinstance(error, tf.errors.OpError | LookupError)
            raise
        finally:
            self.walk = None
            self.asking -= 1
            self.log.quiet -= quiet
            self.log.passed(ask.targets)
        self._note_result(ask, line, result, zero)
        return result

    def begin_asking(self, place: int, step: int, tape: Any, target: Any, sources: Any) -> Ask:
        log = self.log
        log.quiet += 1
        try:
            targets = [each for each in tf.nest.flatten(target) if each is not None]
            numbers, names = [], []
            for each in targets:
                names.append(name_in_frames(each) or "loss")
                if is_variable(each):
                    numbers.append(log.trace.sources[log.leaf(each).number].value)
                    continue
                for tensor in tensors_in(each):
                    known = log.of(tensor)
                    numbers.append(log.new() if known is None else known.number)
            known_tape = tape if isinstance(tape, Tape) else self.tapes.tape(tape)
            ask = Ask(place, step, tuple(numbers), tuple(names), log.since, known_tape)
            ask.first, self._events = self._events, len(log.trace.events)
            ask.updates = len(log.trace.updates)
            for position, each in enumerate(tf.nest.flatten(sources)):
                ask.sources.append(self.source_of(each, ask, position))
            ask.norms = [None] * len(ask.sources)
            ask.outputs = [None] * len(ask.sources)
            self.asks.append(ask)
        finally:
            log.quiet -= 1
        self.find_names()
        return ask

    def asked_about(self, tape: Any, target: Any, sources: list[Any]) -> Ask:
        """Ask a tape beside the program; one that can be asked only once is left alone."""
        ask = self.begin_asking(self.log.here(), 0, tape, target, sources)
        if not tape._persistent or tape._tape is None:
            ask.broke = True
            return ask

        def call() -> Any:
            return self.tapes.unseen(entrance.TAPE.gradient, tape, target, sources)

        since = self.log.since
        with tape.stop_recording() if tape._recording else contextlib.nullcontext():
            self.perform(ask, Line(), call, False, True)
        self.log.since = since
        return ask

    def source_of(self, value: Any, ask: Ask, position: int) -> int:
        """Return the source that the program differentiates by, made for this call if need be."""
        log = self.log
        if is_variable(value):
            leaf = log.leaf(value)
            leaf.asked = True
            if path_of(value):
                self.paths.setdefault(leaf.number, path_of(value))
            return leaf.number
        tensor = next(tensors_in(value), None)
        known = None if tensor is None else log.of(tensor)
        if known is not None:
            for leaf in log.leaves:
                source = log.trace.sources[leaf.number]
                if source.value == known.number and not source.lasting:
                    leaf.asked = True
                    log.names.setdefault(leaf.number, name_in_frames(value))
                    return leaf.number
        elif tensor is not None:
            ask.unknown[position] = entrance.number_of(tensor)
        number = log.new() if known is None else known.number
        maker = log.makers.get(number, -1)
        place = log.trace.events[maker].place if maker >= 0 else -1
        shape = tuple(value.shape) if hasattr(value, "shape") else ()
        name = name_in_frames(value) or f"tensor of shape {shape}"
        log.trace.sources.append(Source(name, number, shape=shape, lasting=False, place=place))
        leaf = Leaf(len(log.trace.sources) - 1, weak(value) if tensor is not None else lambda: None)
        leaf.asked = True
        log.leaves.append(leaf)
        log.names[leaf.number] = name
        return leaf.number

    @shielded
    def _note_result(self, ask: Ask, line: Line, result: Any, zero: bool) -> None:
        log = self.log
        found, reads = tf.nest.flatten(result), ask.reads
        for position, each in enumerate(found[: len(ask.sources)]):
            tensor = None if each is None else next(tensors_in(each), None)
            if tensor is None:
                continue
            log.quiet += 1
            came: float | None = norm(each)
            log.quiet -= 1
            if zero and came == 0 and not self._connected(ask, position):
                came = None
            ask.norms[position] = came
            read = reads.get(ask.sources[position])
            if read is not None and ask.walk is not None and came is not None:
                ask.walk.cotangents[read.number] = came
            if came:
                log.leaves[ask.sources[position]].arrived = True
            known = log.of(tensor)
            if known is None and ask.inner:
                number = log.derived(tensor, ask.targets)
            elif known is None or not ask.inner:
                number = log.differentiated(tensor, ask.targets)
            else:
                number = known.number
                log.of_gradient.add(number)
            if came is not None:
                log.trace.sizes[number] = came
                ask.outputs[position] = number
        line.missing = _missing(found)

    def _connected(self, ask: Ask, position: int) -> bool:
        """Tell whether gradient of a call can come to one of its sources at all."""
        assert ask.tape is not None
        wanted = self.log.trace.sources[ask.sources[position]].value
        return wanted in self.log.reached(ask.targets, ask.tape.bit)

    @property
    def functions_matter(self) -> bool:
        """Whether a compiled function that is called now is to be looked at."""
        return not self.asking and not self.tapes.hidden

    def leave_off(self, line: Line) -> None:
        """Look no more once a line was looked at, and each other one that is still called.

        It is decided when the line is called again, for the steps that its gradients are given to
        come after the call.
        """
        self._calls += 1
        line.last = self._calls
        if self.every is not None or self.wanted is not None or line.looked < CLOSELY:
            return
        lines = self.lines.values()
        if all(each.looked >= CLOSELY or each.last < self._calls - GONE for each in lines):
            self.switch(False)

    def _note_change(self, line: Line, result: Any) -> None:
        """Look at the next pass if other gradients are missing than before, or the line is new."""
        missing = _missing(tf.nest.flatten(result))
        before, line.missing = line.missing, missing
        if before is not None and before != missing:
            line.looked = min(line.looked, CLOSELY - 1)
        if line.looked < CLOSELY and line.changes < CHANGES:
            line.changes += 1
            self.switch(True)

    # -- names ------------------------------------------------------------------------------------

    @shielded
    def find_names(self) -> None:
        """Find out what variables are called that have no name yet."""
        log = self.log
        for held, place in list(self.unmade):
            variable = held()
            if variable is None or handle_of(variable):
                self.unmade.remove((held, place))
                if variable is not None:
                    self.keras[handle_of(variable)] = held
                    log.homes[handle_of(variable)] = place
        for handle, leaf in log.handles.items():
            if leaf.number not in self.paths and handle in self.keras:
                variable = self.keras[handle]()
                if variable is not None and path_of(variable):
                    self.paths[leaf.number] = path_of(variable)
                    source = log.trace.sources[leaf.number]
                    source.place = log.homes.get(handle, source.place)
        unnamed: dict[int, Any] = {}
        numbers: dict[int, int] = {}
        for leaf in log.leaves:
            if leaf.number not in self.paths and leaf.number not in log.names:
                variable = leaf.variable()
                if variable is not None:
                    unnamed[id(variable)] = variable
                    numbers[id(variable)] = leaf.number
        if not unnamed:
            return
        log.quiet += 1
        try:
            for key, name in names_in_frames(unnamed).items():
                log.names[numbers[key]] = name
        finally:
            log.quiet -= 1

    def of_keras(self, leaf: Leaf) -> Any:
        """Return the variable of Keras's that a source is, None if it is none."""
        variable = leaf.variable()
        held = self.keras.get(handle_of(variable)) if variable is not None else None
        return None if held is None else held()

    def names(self) -> dict[int, str]:
        """Return what all sources are called."""
        names = {**self.log.names, **self.paths}
        for leaf in self.log.leaves:
            source = self.log.trace.sources[leaf.number]
            if leaf.number not in names:
                variable = leaf.variable()
                own = own_name(plain(variable)) if variable is not None else ""
                names[leaf.number] = own or source.name or f"variable of shape {source.shape}"
        return names

    # -- what comes out ---------------------------------------------------------------------------

    def trace(self) -> Trace:
        """Return what happened as a neutral trace."""
        trace = self.log.trace
        so_far = len(trace.events), len(trace.updates), self.optimizers.steps, *self.asks
        if so_far != self._accounted:
            self.find_names()
            account(self)
            self._accounted = so_far
        return trace

    def told(self) -> Iterable[Told]:
        """Yield what is wrong with variables beside all gradient calls."""
        trace = self.trace()
        return [*mistakes(self), *lost_abroad(trace)]

    def remarks(self) -> list[str]:
        """Return in a sentence each what could not be seen."""
        found = [f"The watcher itself failed, and saw no more: {f}." for f in self.log.faults[:1]]
        if self.functions.unseen:
            names = ", ".join(sorted(self.functions.unseen)[:3])
            found.append(
                f"Compiled functions that take several batches at once are not seen: {names}."
            )
        if self.elsewhere:
            found.append(f"Gradient calls in other threads were not looked at: {self.elsewhere}.")
        if self.log.full:
            found.append(f"After {MOST:,} operations nothing more was noted.")
        return found

    def coverage(self) -> tuple[int, int]:
        """Return how many gradient calls were looked at closely, and of how many."""
        lines = self.lines.values()
        return sum(line.looked for line in lines), sum(line.passes for line in lines)

    def place(self, number: int) -> Place | None:
        """Return a line by its number."""
        return self.log.trace.places[number] if number >= 0 else None


def _missing(found: Sequence[Any]) -> frozenset[int]:
    return frozenset(position for position, each in enumerate(found) if each is None)
