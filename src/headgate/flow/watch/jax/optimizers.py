"""Optimizers: what becomes of gradients in optax, and whether parameters ever move.

An array is never changed in place, so what a step does is known by what the program has at the next
gradient call: parameters that are the same, bit by bit, were not moved. That alone is no mistake,
gradients are also asked for to be looked at. It is one where updates were computed for them. Those
of optax are seen on their way, and of functions under `jit` it is known whether they return new
parameters that depend on the gradient.

A mask is meant to freeze. It is told only of parameters that lie behind something that is trained:
whoever trains a head leaves the trunk alone. Nor is it told where something trained is added to
what a frozen parameter gives: so do adapters, and then all the rest is frozen on purpose.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from headgate.flow.judge import Told
from headgate.flow.terms import SUMS, VIEWS
from headgate.flow.trace import Trace
from headgate.flow.watch.jax.measure import norm
from headgate.flow.watch.jax.ops import PRODUCTS
from headgate.flow.watch.jax.places import Where

if TYPE_CHECKING:
    from headgate.flow.watch.jax.session import Session

MASKS = ("masked", "multi_transform", "partition", "selective_transform", "freeze")
"""Functions of optax that take parameters out of what is updated."""

_SAME = {"read", *VIEWS}
"""Ops whose result is what they take, in another form."""

SKIPPING = ("MultiSteps", "apply_every", "apply_if_finite", "maybe_update", "conditionally_mask")
"""Those that leave steps out; what they do is not judged."""


@dataclass(slots=True)
class Moved:
    """What is known of the updates of one source.

    Attributes:
        computed: the line at which updates were computed for it, None if none were.
        applied: the line at which they were added to it.
        sizes: the norm of its gradient and of its update, at each step that was looked at.
    """

    computed: Where | None = None
    applied: Where | None = None
    sizes: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class StepMark:
    """A step of optax in a function that runs beside the program."""

    sources: list[int | None]
    where: Where


class Optimizers:
    """The notes of a session on updates."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.moved: dict[int, Moved] = {}
        self.masks: list[Where] = []
        self.skips = False
        self._of: dict[int, tuple[Callable[[], Any], int]] = {}  # id of a gradient -> its source
        self._kept: list[Any] = []
        self._depth = 0
        self._steps: dict[int, int] = {}  # line -> how often passed

    # -- what is put in the way -------------------------------------------------------------------

    def arrived(self) -> None:
        """Begin to look on at optax."""
        session = self.session
        for name in MASKS:
            session.replace("optax", name, self._masking)
        for name in SKIPPING:
            session.replace("optax", name, self._skipping)
        session.replace("optax", "apply_updates", self._applying)
        kind: Any = import_module("optax").GradientTransformation
        field = vars(kind)["update"]

        def update(transformation: Any) -> Any:
            original = field.__get__(transformation)
            if not session.on or self._depth:
                return original
            return lambda *args, **kwargs: self._updating(original, args, kwargs)

        session.set(kind, "update", field, property(update))

    def _masking(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.session.hears:
            self.session.safely(lambda: self.masks.append(self.session.log.places.here()))
        with_depth, self._depth = self._depth, self._depth + 1
        try:
            return original(*args, **kwargs)
        finally:
            self._depth = with_depth

    def _skipping(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.skips = True
        return original(*args, **kwargs)

    # -- steps ------------------------------------------------------------------------------------

    def _updating(self, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        before, self._depth = self._depth, self._depth + 1
        try:
            result = original(*args, **kwargs)
        finally:
            self._depth = before
        if self.session.hears and not (self.session.outer and self.session.beside is None):
            with self.session.quietly():
                self.session.safely(self._note_update, result, args, kwargs)
        return result

    def _note_update(self, result: Any, args: Any, kwargs: Any) -> None:
        gradients = jax.tree_util.tree_leaves(args[0])
        updates = jax.tree_util.tree_leaves(result[0])
        params = jax.tree_util.tree_leaves(args[2] if len(args) > 2 else kwargs.get("params"))
        if len(gradients) != len(updates):
            return
        known = self.session.log.known
        sources = [self.of(leaf) for leaf in gradients]
        if len(params) == len(updates):
            sources = [known(p) if s is None else s for s, p in zip(sources, params)]
        where = self.session.log.places.here()
        for source, update in zip(sources, updates):
            if source is not None:
                self.is_gradient(update, source)
                self._about(source).computed = where
        beside = self.session.beside
        if beside is not None:
            beside.step(StepMark(sources, where), gradients, updates)
        elif self._looks(where.place):
            self.stepped(sources, [norm(g) for g in gradients], [norm(u) for u in updates])

    def stepped(
        self, sources: Sequence[int | None], gradients: Sequence[float], updates: Sequence[float]
    ) -> None:
        """Note the sizes of gradients and of the updates that were made of them."""
        for source, gradient, update in zip(sources, gradients, updates):
            if source is not None:
                self._about(source).sizes.append((gradient, update))

    def _applying(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if self.session.hears and not (self.session.outer and self.session.beside is None):
            with self.session.quietly():
                self.session.safely(self._note_applied, result, *args, **kwargs)
        return result

    def _note_applied(self, result: Any, params: Any, updates: Any) -> None:
        where, log = self.session.log.places.here(), self.session.log
        old, new = jax.tree_util.tree_leaves(params), jax.tree_util.tree_leaves(result)
        given = jax.tree_util.tree_leaves(updates)
        if not len(old) == len(new) == len(given):
            return
        for before, after, update in zip(old, new, given):
            source = log.known(before)
            source = self.of(update) if source is None else source
            if source is not None:
                self._about(source).applied = where
                log.know(after, source)

    def _about(self, source: int) -> Moved:
        return self.moved.setdefault(source, Moved())

    def _looks(self, place: int) -> bool:
        step = self._steps.get(place, 0)
        self._steps[place] = step + 1
        return step < 3 or not step & step - 1

    def is_gradient(self, leaf: Any, source: int) -> None:
        """Note that an array is the gradient of a source, or was made of it."""
        try:
            self._of[id(leaf)] = weakref.ref(leaf), source
        except TypeError:
            return

    def of(self, leaf: Any) -> int | None:
        """Return the source that an array is the gradient of."""
        reference, source = self._of.get(id(leaf), (lambda: None, None))
        return source if leaf is not None and reference() is leaf else None

    # -- what is wrong ----------------------------------------------------------------------------

    def told(self) -> Iterator[Told]:
        """Yield what is wrong with what the program does with its gradients."""
        histories = self.histories()
        trained = {k for k, values in histories.items() if len(set(values)) > 1}
        trained |= {k for k, m in self.moved.items() if any(update for _, update in m.sizes)}
        behind = Behind(self.session.log.data, trained, {*self.moved} - trained)
        for source, about in self.moved.items():
            values = histories.get(source, [])
            still = len(set(values)) <= 1
            lively = [(g, u) for g, u in about.sizes if g]
            if not still or about.computed is None or not lively:
                continue
            if any(update for _, update in lively):
                if len(values) > 2 and len(lively) > 1:
                    yield self._told(source, "not_applied", about.applied or about.computed)
            elif not self.skips and len(lively) == len(about.sizes):
                yield from self._zeroed(source, about, behind, len(values))

    def _zeroed(self, source: int, about: Moved, behind: Behind, passes: int) -> Iterator[Told]:
        assert about.computed is not None
        if self.masks and behind.trained:
            if behind.something_trained(source) and not behind.adapters:
                yield self._told(source, "optimizer_mask", self.masks[-1])
        elif passes > 2 and len(about.sizes) > 2:
            yield self._told(source, "zeroed_update", about.computed)

    def _told(self, source: int, kind: str, where: Where) -> Told:
        data = self.session.log.data
        callers = tuple(data.places[k] for k in data.callers[where.callers])
        name, place = data.sources[source].name, data.places[where.place]
        return Told(name, "connected", kind, place, callers=callers)

    def histories(self) -> dict[int, list[int]]:
        """Return what values each source had, at each pass that was looked at."""
        found: dict[int, list[int]] = {}
        for each in self.session.log.passes:
            for source, value in zip(each.ask.sources, each.values):
                if value is not None:
                    found.setdefault(source, []).append(value)
        return found


class Behind:
    """What lies behind what is trained: which values depend on which sources.

    Args:
        trace: of the program.
        trained: numbers of the sources that change.
        held: numbers of those that get updates of zero.
    """

    def __init__(self, trace: Trace, trained: set[int], held: set[int]) -> None:
        self.trace, self.trained, self.held = trace, trained, held

    @cached_property
    def masks(self) -> dict[int, int]:
        """Value -> a bit for each source that it depends on."""
        masks = {each.value: 1 << number for number, each in enumerate(self.trace.sources)}
        for event in self.trace.events:
            together = 0
            for value in event.inputs:
                together |= masks.get(value, 0)
            for value in event.outputs if together else ():
                masks[value] = masks.get(value, 0) | together
        return masks

    def something_trained(self, source: int) -> bool:
        """Tell whether a source is used together with what depends on some that are trained."""
        itself = {self.trace.sources[source].value}
        others = sum(1 << number for number in self.trained)
        for event in self.trace.events:
            if itself.isdisjoint(event.inputs):
                continue
            given = [self.masks.get(value, 0) for value in event.inputs]
            if len(given) == 1 and event.op in _SAME:
                itself.update(event.outputs)
            if any(mask & others and not mask >> source & 1 for mask in given):
                return True
        return False

    @cached_property
    def adapters(self) -> bool:
        """Whether something trained is added to what a source gives that is held back."""
        own = {self.trace.sources[number].value for number in self.held}
        given_by = {*own}  # what is such a source, or a product with one
        others = sum(1 << number for number in self.trained)
        for event in self.trace.events:
            given = [self.masks.get(value, 0) for value in event.inputs]
            if event.op in SUMS and any(
                one in given_by and other & others & ~mask
                for one, mask in zip(event.inputs, given)
                for other in given
            ):
                return True
            if own.isdisjoint(event.inputs):
                continue
            if event.op in _SAME:
                own.update(event.outputs)
            if event.op in _SAME or event.op in PRODUCTS:
                given_by.update(event.outputs)
        return False


def digest(leaf: Any) -> int | None:
    """Return a number that tells values of an array apart, None if they are not known."""
    if isinstance(leaf, jax.core.Tracer) or not hasattr(leaf, "dtype"):
        return None
    try:
        return hash(np.asarray(leaf).tobytes())
    except (RuntimeError, TypeError, ValueError):  # it was given away, or is on another host
        return None
