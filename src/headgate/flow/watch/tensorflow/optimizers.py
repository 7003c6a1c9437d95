"""Optimizers: which variables they are given, with which gradients, and what else Keras says."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from headgate.flow.trace import Update
from headgate.flow.watch.tensorflow.notes import STEP, Stepped, count, named
from headgate.flow.watch.tensorflow.values import handle_of, norm, tensors_in, weak

if TYPE_CHECKING:
    from headgate.flow.watch.tensorflow.session import Session


@dataclass(slots=True, eq=False)
class Stepper:
    """An optimizer: what it was given."""

    optimizer: Any
    steps: int = 0
    rate: float = 0.0
    last: int = -1
    given: dict[int, None] = field(default_factory=dict)  # sources it had a gradient of


class Optimizers:
    """The optimizers of a program, and the layers of Keras that it freezes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.steppers: dict[int, Stepper] = {}
        self.freezes: list[tuple[Any, bool, int, int]] = []  # layer, flag, place, when
        self.compiled: list[tuple[Any, int]] = []  # model, when
        self.fitted: list[tuple[Any, int]] = []
        self._clock = 0
        self.steps = 0
        self._begun = False

    def begin(self) -> None:
        """Look on at Keras, which is there now, unless that has begun."""
        if self._begun:
            return
        self._begun = True
        keras = sys.modules["keras"]
        for owner in keras.optimizers.Optimizer.__mro__:
            if "apply" in vars(owner):
                self.session.replace(owner, "apply", self._apply)
                break
        for owner in keras.Variable.__mro__:
            if "__init__" in vars(owner):
                self.session.replace(owner, "__init__", self._variable)
                break
        for name, wrapper in (("compile", self._compile), ("fit", self._fit)):
            for owner in keras.Model.__mro__:
                if name in vars(owner):
                    self.session.replace(owner, name, wrapper)
                    break
        self._freezing(keras.layers.Layer)
        self._freezing(keras.Variable)

    def _variable(self, original: Any, variable: Any, *args: Any, **kwargs: Any) -> None:
        original(variable, *args, **kwargs)
        if not self.session.log.idle:
            self.session.safely(self._note_variable, variable)

    def _note_variable(self, variable: Any) -> None:
        self.session.unmade.append((weak(variable), self.session.log.here()))

    def _freezing(self, owner: Any) -> None:
        for each in owner.__mro__:
            own = vars(each).get("trainable")
            if isinstance(own, property) and own.fset is not None:
                break
        else:
            return
        original = own.fset

        def instead(layer: Any, flag: Any) -> None:
            original(layer, flag)
            if not self.session.log.idle and threading.get_ident() == self.session.thread:
                self.session.safely(self._note_flag, layer, bool(flag))

        made = property(own.fget, instead, own.fdel, own.__doc__)
        each.trainable = made

        def undo() -> None:
            if vars(each).get("trainable") is made:
                each.trainable = own

        self.session._undo.append(undo)

    def _note_flag(self, layer: Any, flag: bool) -> None:
        frame: Any = sys._getframe(1)
        while frame is not None and "headgate" in frame.f_code.co_filename:
            frame = frame.f_back
        if frame is not None and frame.f_code.co_name == "__init__":
            return
        self.freezes.append((weak(layer), flag, self.session.log.here(), self._now()))

    def _now(self) -> int:
        self._clock += 1
        return self._clock

    def _compile(self, original: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        self.compiled.append((weak(model), self._now()))
        return original(model, *args, **kwargs)

    def _fit(self, original: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        self.fitted.append((weak(model), self._now()))
        return original(model, *args, **kwargs)

    # -- steps ------------------------------------------------------------------------------------

    def _apply(
        self, original: Any, optimizer: Any, grads: Any, trainable_variables: Any = None
    ) -> Any:
        session = self.session
        if threading.get_ident() != session.thread or session.log.idle:
            return original(optimizer, grads, trainable_variables)
        grads = list(grads)
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
        if not tf.executing_eagerly():
            return self._apply_in_graph(original, optimizer, grads, trainable_variables)
        session.safely(self._note_step, optimizer, grads, trainable_variables)
        log = session.log
        log.stepping += 1
        log.quiet += 1
        try:
            return original(optimizer, grads, trainable_variables)
        finally:
            log.stepping -= 1
            log.quiet -= 1

    def _apply_in_graph(
        self, original: Any, optimizer: Any, grads: list[Any], variables: list[Any] | None
    ) -> Any:
        at = count()
        try:
            result = original(optimizer, grads, variables)
        except ValueError:  # the graph will never run
            if self.session.on and not self.session.functions.replaying:
                self.session.safely(self.session.functions.imagined)
            raise
        self.session.safely(self._note_in_graph, optimizer, grads, variables, at)
        return result

    def _note_in_graph(
        self, optimizer: Any, grads: list[Any], variables: list[Any] | None, at: int
    ) -> None:
        if variables is None:
            variables = list(getattr(optimizer, "_trainable_variables", ()))
        stepped = Stepped(
            weak(optimizer),
            self.session.graphs.line()[0],
            count(),
            list(map(named, grads)),
            list(map(named, variables)),
        )
        self.session.notes.add(STEP, stepped, at)

    def stepped(self, optimizer: Any, gradients: list[Any], variables: list[Any]) -> None:
        """Note a step that a compiled function makes."""
        found = optimizer()
        if found is not None:
            pairs = [pair for pair in zip(gradients, variables) if pair[1] is not None]
            self._note_step(found, [g for g, _ in pairs], [v for _, v in pairs])

    def _note_step(self, optimizer: Any, grads: list[Any], variables: list[Any] | None) -> None:
        session, log = self.session, self.session.log
        known = self.steppers.setdefault(id(optimizer), Stepper(optimizer))
        known.steps += 1
        self.steps += 1
        known.rate = max(known.rate, _rate(optimizer))
        if not session.on or log.idle:
            for variable in variables or ():
                leaf = log.handles.get(handle_of(variable))
                if leaf is not None:
                    log.trace.sources[leaf.number].updated = True
            return
        if variables is None:
            variables = list(getattr(optimizer, "_trainable_variables", ()))
        place = known.last = log.here()
        sources, values, sizes = [], [], []
        for gradient, variable in zip(grads, variables):
            if gradient is None:
                continue
            leaf = log.leaf(variable)
            tensor = next(tensors_in(gradient), None)
            found = None if tensor is None else log.of(tensor)
            log.trace.sources[leaf.number].updated = True
            known.given[leaf.number] = None
            sources.append(leaf.number)
            values.append(None if found is None else found.number)
            sizes.append(norm(gradient))
        number = list(self.steppers).index(id(optimizer))
        log.trace.updates.append(
            Update(place, "step", tuple(sources), tuple(values), tuple(sizes), number, known.steps)
        )


def _rate(optimizer: Any) -> float:
    try:
        return abs(float(optimizer.learning_rate))
    except Exception:
        return 1.0
