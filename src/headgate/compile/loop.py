"""The body of a traced loop: what it carries, and what is known of a step and of its gradient.

What comes out of a step goes into the next one, so the body is traced until nothing new is found
(`Loop`). The walk through it is traced together with it: the cotangents of a step are inputs of the
same program. What runs it is in `headgate.compile.repeat`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optree

from headgate.compile.construct import (
    Outcome,
    check_written,
    in_words,
    inner,
    places,
    pulled,
    rank,
    record,
)
from headgate.compile.executor import Executor, Form
from headgate.core.again import Moment, as_it_is, boundary, input_node, known_linear, unlogged
from headgate.core.lift import as_tensor, lift
from headgate.core.namespace import TENSORS, Array
from headgate.core.scope import stage
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.core.variable import Variable
from headgate.record.cuts import bits, sequence
from headgate.record.errors import TracingError, describe, refusal
from headgate.record.graph import Node, bits_of, state, unrecorded

_PASSES = 20  # so often a body may be traced, and once more for each array that it carries


class Carried:
    """An array that a loop carries, or takes in steps.

    `live` and `cuts` are those that it ever has in the loop, `node` is where gradient goes on.
    """

    __slots__ = ("cuts", "form", "live", "node", "value")

    def __init__(self, executor: Executor, leaf: Any, stepwise: bool = False) -> None:
        self.value, self.node = lift(leaf)
        form = executor.form_of(self.value)
        self.form = form._replace(shape=form.shape[1:]) if stepwise else form
        self.live = self.cuts = 0
        if self.node is not None:
            self.live, self.cuts = state.recording.admit(self.node)
        if not self.live:
            self.node = None

    def given(self, executor: Executor, recorded: bool) -> Tensor:
        """Return what the loop was given, with its history if that is recorded."""
        value = executor.cast(self.value, self.form.dtype)
        return tensor_of(value, self.node if recorded else None)


def _places_of(cuts: int) -> set[Any]:
    """Return where cuts are, and what they sever of variables and of what is watched now.

    A tape inside a body has bits and sources of its own each time, and so cuts of its own.
    """
    recording = state.recording
    lasting = bits_of(recording.tapes)
    for source, bit in recording.sources.untaped.items():
        if source.made is not None:
            lasting |= bit
    found = [recording.cuts[number] for number in bits(cuts)]
    return {(cut.kind, cut.site, cut.covers & lasting) for cut in found}


class Loop:
    """The body of a loop, a function from (carry, x) to (carry, y), and what is known of it.

    What comes out of a step goes into the next one. So the body is traced until nothing new is
    found: what masks the carried arrays have, what a Python number among them becomes, and which
    variables are written and therefore carried, too.

    The gradients that its program computes are numbered: first those for what is carried and soft
    (gradient can flow through it), then for what is taken in steps and soft, then for the captured
    nodes. `met` tells of each result to which of these it leads.
    """

    def __init__(
        self,
        executor: Executor,
        name: str,
        body: Callable[[Any, Any], Any],
        init: Any,
        xs: Any,
    ) -> None:
        self.executor = executor
        self.name = name
        self.body = body
        leaves, self.structure = optree.tree_flatten(init)
        self.carried = [Carried(executor, leaf) for leaf in leaves]
        leaves, self.x_structure = optree.tree_flatten(xs)
        self.xs = [Carried(executor, leaf, stepwise=True) for leaf in leaves]
        self.start = sequence()
        self.written: dict[Any, Variable] = {}
        self.soft_ys: list[tuple[int, Form]] = []  # results by number
        self.captured: list[Node] = []
        self.met: list[int] = []
        self.linear = True  # are its gradients known to be, in their cotangents?
        self.returned: Any = None
        self.outcome: Any = None
        self.scope = inner(executor)
        again = as_it_is(body)
        with unlogged():
            self.program = self._settled()
        self.body = again
        check_written(name, self.scope)
        variables = {**self.scope.met, **self.written}
        self.held = {source: self.scope.stand_in(v) for source, v in variables.items()}
        self.moment = Moment()

    # -- tracing ----------------------------------------------------------------------------------

    @property
    def soft(self) -> list[int]:
        """Which of the carried arrays gradient flows through."""
        return [k for k, each in enumerate(self.carried) if each.live]

    @property
    def forms(self) -> list[Form]:
        """Forms of all that is carried: arrays, then variables that are written."""
        states = [self.executor.form_of(v._form) for v in self.written.values()]
        return [each.form for each in self.carried] + states

    @property
    def cotangent_forms(self) -> list[Form]:
        """Forms of the soft results: what is carried, then what is stacked, of one step."""
        return [self.carried[k].form for k in self.soft] + [form for _, form in self.soft_ys]

    @property
    def _known(self) -> Any:
        carried = [(each.form, each.live, _places_of(each.cuts)) for each in self.carried]
        return carried, list(self.written), self.soft_ys

    def _settled(self) -> Any:
        """Trace the body until nothing new is found; return its program."""
        for _ in range(_PASSES + len(self.carried)):
            known = self._known
            program = self.executor.equations(
                self._trace,
                [*self.forms, *(each.form for each in self.xs)],
                self.cotangent_forms,
            )
            self._learn()
            if self._known == known:
                return program
        raise refusal(
            TracingError,
            f"{self.name}: the body carries or writes something else each time that it is traced",
        )

    def _trace(self, inputs: list[Array], cotangents: list[Array]) -> tuple[list[Any], list[Any]]:
        count = len(self.forms)
        nodes = [input_node(each.live, each.cuts) for each in (*self.carried, *self.xs)]
        arrays = inputs[: len(self.carried)] + inputs[count:]
        tensors = list(map(tensor_of, arrays, nodes))
        states = inputs[len(self.carried) : count]
        self.scope = scope = inner(self.executor, dict(zip(self.written, states)))
        with scope.entered():
            self.returned, self.outcome = self.run(
                tensors[: len(self.carried)], tensors[len(self.carried) :]
            )
        if self.outcome is None:
            return [], []
        soft = [node for node, each in zip(nodes, (*self.carried, *self.xs)) if node and each.live]
        traced = self._outputs(), self._gradients(soft, cotangents)
        self.returned = None
        self.outcome.forget()
        scope.values.clear()
        return traced

    def run(self, carry: list[Tensor], x: list[Tensor]) -> tuple[Any, Outcome | None]:
        """Call the body; return what it does, and as an outcome if it has the right structure."""
        returned = self.body(
            optree.tree_unflatten(self.structure, carry),
            optree.tree_unflatten(self.x_structure, x),
        )
        pair = isinstance(returned, tuple | list) and len(returned) == 2
        fits = pair and optree.tree_structure(returned[0]) == self.structure
        return returned, Outcome(self.executor, tuple(returned)) if fits else None

    def _outputs(self) -> list[Any]:
        count, cast = len(self.carried), self.executor.cast
        carry = [  # a Python number stays one in the next step
            value if each.form.weak else cast(value, each.form.dtype)
            for value, each in zip(self.outcome.values, self.carried)
        ]
        states = [
            cast(self.scope.values[source], form.dtype)
            for source, form in zip(self.written, self.forms[count:])
        ]
        ys = zip(self.outcome.values[count:], self.outcome.forms[count:])
        return [*carry, *states, *(cast(value, form.dtype) for value, form in ys)]

    def _gradients(self, inputs: list[Node], cotangents: list[Array]) -> list[Array]:
        """Walk through the body; return the gradients for its soft inputs and all captured."""
        outcome = self.outcome
        numbers = {node.seq: number for number, node in enumerate(inputs)}
        nodes, met = boundary(outcome.nodes, self.start, numbers)
        captured = [node for node in nodes if node.seq not in numbers]
        self.linear = known_linear(outcome.nodes, self.start, numbers)
        given = self.placed(cotangents)
        with unrecorded():
            found = pulled(outcome, given, [*inputs, *captured], False)
        gradients = [
            self.executor.zeros(form) if g is None else g
            for g, form in zip(found, self._soft_forms())
        ]
        reached = [(n, g) for n, g in zip(captured, found[len(inputs) :]) if g is not None]
        self.captured = [node for node, _ in reached]
        for node in self.captured:
            numbers[node.seq] = len(numbers)
        masks = [1 << numbers[node.seq] if node.seq in numbers else 0 for node in nodes]
        self.met = [sum(masks[k] for k in bits(mask)) for mask in met]
        self._close()
        return gradients + [g for _, g in reached]

    def _soft_forms(self) -> list[Form]:
        return [each.form for each in (*self.carried, *self.xs) if each.live]

    def _close(self) -> None:
        """Let each result lead to all that what it is made of led to, a step before."""
        soft = self.soft
        before: list[int] = []
        while before != self.met:
            before = list(self.met)
            for k, mask in enumerate(before):
                for number in bits(mask & ((1 << len(soft)) - 1)):
                    self.met[k] |= before[soft[number]]

    def placed(self, cotangents: Sequence[Any]) -> list[Any]:
        """Return a cotangent or None for each result of the body, given those of soft ones."""
        places = [*self.soft, *(number for number, _ in self.soft_ys)]
        known = dict(zip(places, cotangents))
        return [known.get(k) for k in range(len(self.outcome.masks))]

    # -- what a step tells ------------------------------------------------------------------------

    def _learn(self) -> None:
        if self.outcome is None:
            self._refuse_structure()
        outcome = self.outcome
        for place, each, form, (live, cuts) in zip(
            places(self.structure), self.carried, outcome.forms, outcome.masks
        ):
            each.form = self._next_form(place, each.form, form)
            each.live |= live
            each.cuts |= cuts
        self.written.update(self.scope.written)
        count = len(self.carried)
        self.soft_ys = [
            (k, outcome.forms[k]) for k in range(count, len(outcome.masks)) if outcome.masks[k][0]
        ]

    def _next_form(self, place: str, before: Form, after: Form) -> Form:
        """Return the form that a carried array has, given it before and after a step."""
        if before.shape == after.shape:
            if before.dtype == after.dtype:
                return before._replace(weak=before.weak and after.weak)
            if before.weak and rank(before) <= rank(after):
                return after
            if after.weak and rank(after) <= rank(before):
                return before
        raise refusal(
            ValueError,
            f"{self.name}: what is carried must keep its shape and dtype, and"
            f"{' ' + place if place else ''} is {in_words(before)} before a step and "
            f"{in_words(after)} after it",
        )

    def _refuse_structure(self) -> None:
        returned = self.returned
        if not (isinstance(returned, tuple | list) and len(returned) == 2):
            raise refusal(
                TypeError,
                f"{self.name}: the body returns the pair (carry, y), got {describe(returned)}",
            )
        raise refusal(
            ValueError,
            f"{self.name}: what is carried must keep its structure, and is\n"
            f"  {_stars(self.structure)} before a step and\n"
            f"  {_stars(optree.tree_structure(returned[0]))} after it",
        )

    # -- running ----------------------------------------------------------------------------------

    def first(self, recorded: bool = False) -> list[Tensor]:
        """Return what the loop begins with: the carried arrays, and what variables held."""
        return [each.given(self.executor, recorded) for each in self.carried] + [
            constant(self.held[source]) for source in self.written
        ]

    def write(self, values: Sequence[Array]) -> None:
        """Let variables hold what they hold after the loop."""
        for variable, value in zip(self.written.values(), values):
            stage.scope.set(variable, value)  # type: ignore[union-attr]

    def record(self, values: Sequence[Any], rule: Any) -> list[Any]:
        """Return tensors for the results."""
        soft = [each.node for each in (*self.carried, *self.xs) if each.live]
        origins = [*soft, *self.captured]
        return record(self.name, values, self.outcome.masks, origins, rule, self.met, self.linear)

    def cotangents(self, found: dict[int, Tensor], stacks: tuple[int, ...], recorded: bool) -> Any:
        """Return those of the soft carried arrays and of the soft stacks, zeros where none is."""

        def filled(number: int, form: Form) -> Tensor:
            if number in found:
                return found[number] if recorded else constant(found[number].value)
            return constant(self.executor.zeros(form))

        carried = [filled(k, self.carried[k].form) for k in self.soft]
        ys = [filled(k, form._replace(shape=(*stacks, *form.shape))) for k, form in self.soft_ys]
        return carried, ys

    # -- running again, on tensors, to be recorded ------------------------------------------------

    def step(self, full: list[Tensor], x: list[Tensor]) -> list[Tensor]:
        """Return what is carried after a step."""
        count = len(self.carried)
        written = {s: held.value for s, held in zip(self.written, full[count:])}
        scope = inner(self.executor, written)
        with scope.entered():
            (carry, _), _ = self.run(full[:count], x)
            carry = [
                TENSORS.astype(as_tensor(leaf), each.form.dtype)
                for leaf, each in zip(optree.tree_leaves(carry), self.carried)
            ]
        return carry + [constant(scope.values[source]) for source in self.written]

    def pull(self, full: list[Tensor], x: list[Tensor], cotangents: list[Tensor]) -> list[Tensor]:
        """Return the gradients of a step, numbered."""
        count = len(self.carried)
        written = {s: held.value for s, held in zip(self.written, full[count:])}
        scope = inner(self.executor, written)
        ports = (*self.carried, *self.xs)
        with scope.entered(), self.moment.again():
            tensors = [
                tensor_of(t.value, input_node(each.live, each.cuts, t.node))
                for t, each in zip([*full[:count], *x], ports)
            ]
            _, outcome = self.run(tensors[:count], tensors[count:])
        assert outcome is not None
        soft = [t.node for t, each in zip(tensors, ports) if each.live]
        origins: list[Any] = [*soft, *self.captured]
        found = pulled(outcome, self.placed(cotangents), origins, True)
        zeros, forms = self.executor.zeros, map(self.executor.form_of, self.program.gradients)
        return [
            constant(zeros(form)) if g is None else as_tensor(g) for g, form in zip(found, forms)
        ]


def _stars(structure: Any) -> str:
    return str(optree.tree_unflatten(structure, ["*"] * structure.num_leaves)).replace("'", "")
