"""Traced loops: a body that is traced once, and the loop back for its gradient.

What comes out of a step goes into the next one, so the body is traced until nothing new is found
(`Loop`). The walk through it is traced together with it: the cotangents of a step are inputs of the
same program. A scan saves what its gradient needs of each step, as its executor sees fit. A loop
whose number of steps is known only afterwards computes again what went into each step, from some
places that it keeps (`headgate.while_loop`). When a gradient is itself recorded, it is a loop of
tensors over the body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
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
from headgate.core.again import Moment, boundary, input_node, unlogged
from headgate.core.lift import as_tensor, lift
from headgate.core.namespace import TENSORS, Array
from headgate.core.scope import stage
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.core.variable import Variable
from headgate.record.cuts import bits, sequence
from headgate.record.errors import TracingError, describe, refusal
from headgate.record.graph import Node, bits_of, state, unrecorded

CHECKPOINTS = 128
"""So many places of a loop are kept for its gradient, if it has no maximum of steps."""

MOST_CHECKPOINTS = 1024
"""So many at most, if it has one."""

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
        self.returned: Any = None
        self.outcome: Any = None
        self.scope = inner(executor)
        with unlogged():
            self.program = self._settled()
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
                [self.carried[k].form for k in self.soft] + [form for _, form in self.soft_ys],
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
            self.returned, self.outcome = self._run(
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

    def _run(self, carry: list[Tensor], x: list[Tensor]) -> tuple[Any, Outcome | None]:
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
        return record(self.name, values, self.outcome.masks, origins, rule, self.met)

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
            (carry, _), _ = self._run(full[:count], x)
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
            _, outcome = self._run(tensors[:count], tensors[count:])
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


# -- scan ------------------------------------------------------------------------------------------


def traced_scan(
    executor: Executor, f: Callable[..., Any], init: Any, xs: Any, length: int, reverse: bool
) -> tuple[Any, Any]:
    """Put a scan into a program."""
    loop = Loop(executor, "scan", f, init, xs)
    count = len(loop.carried)
    y_structure = loop.outcome.structure.children()[1]
    if not length:
        empty = [Form((0, *form.shape), form.dtype) for form in loop.outcome.forms[count:]]
        ys = [constant(executor.zeros(form)) for form in empty]
        last = [each.given(executor, True) for each in loop.carried]
        return optree.tree_unflatten(loop.structure, last), optree.tree_unflatten(y_structure, ys)
    carried = len(loop.forms)
    soft = loop.soft
    stepwise = len(soft) + sum(bool(each.live) for each in loop.xs)
    runner = executor.scan(loop.program, carried, len(soft), stepwise)
    found = runner.forward(
        [each.value for each in loop.first()],
        [each.value for each in loop.xs],
        length,
        reverse,
    )
    loop.write(found[count:carried])

    def rule(cotangents: dict[int, Tensor], recorded: bool) -> list[Any]:
        last, ys = loop.cotangents(cotangents, (length,), recorded)
        if recorded:
            with inner(executor, loop.held).entered():
                return _scan_back(loop, last, ys, length, reverse)
        return runner.backward([g.value for g in last], [g.value for g in ys])

    results = loop.record([*found[:count], *found[carried:]], rule)
    return (
        optree.tree_unflatten(loop.structure, results[:count]),
        optree.tree_unflatten(y_structure, results[count:]),
    )


def _scan_back(
    loop: Loop, last: list[Tensor], ys: list[Tensor], length: int, reverse: bool
) -> list[Tensor]:
    """Return the numbered gradients of a scan, computed by scans of tensors."""
    executor = loop.executor
    xs = [tensor_of(each.value, each.node) for each in loop.xs]
    soft = len(last)
    shared = len(loop.program.gradients) - len(loop.captured)
    sums = [executor.form_of(var) for var in loop.program.gradients[shared:]]

    def forward(full: Any, x: Any) -> Any:
        return loop.step(full, x), full

    def back(carry: Any, step: Any) -> Any:
        (cotangents, sums), (full, x, ys) = carry, step
        found = loop.pull(full, x, [*cotangents, *ys])
        sums = [total + part for total, part in zip(sums, found[shared:])]
        return (found[:soft], sums), found[soft:shared]

    scanned = partial(traced_scan, executor)
    _, fulls = scanned(forward, loop.first(recorded=True), xs, length, reverse)
    first = last, [constant(executor.zeros(form)) for form in sums]
    (first, totals), of_steps = scanned(back, first, (fulls, xs, ys), length, not reverse)
    return [*first, *of_steps, *totals]


# -- while_loop ------------------------------------------------------------------------------------


def traced_while(
    executor: Executor,
    cond_fn: Callable[[Any], Any],
    body_fn: Callable[[Any], Any],
    init: Any,
    most: int | None,
) -> Any:
    """Put a loop into a program whose number of steps is not known."""
    loop = Loop(executor, "while_loop", lambda carry, _: (body_fn(carry), None), init, None)
    count = len(loop.carried)
    first = [each.value for each in loop.first()]
    steps, *found = executor.repeat(_condition(loop, cond_fn), loop.program, first, most)
    loop.write(found[count:])

    def rule(cotangents: dict[int, Tensor], recorded: bool) -> list[Any]:
        last, _ = loop.cotangents(cotangents, (), recorded)
        with inner(executor, loop.held).entered(), nullcontext() if recorded else unrecorded():
            return _while_back(loop, constant(steps), most, last, recorded)

    return optree.tree_unflatten(loop.structure, loop.record(found[:count], rule))


def _condition(loop: Loop, cond_fn: Callable[[Any], Any]) -> Any:
    """Return the program of a condition."""
    executor, count = loop.executor, len(loop.carried)
    scopes = []

    def run(inputs: list[Array], cotangents: list[Array]) -> tuple[list[Any], list[Any]]:
        scope = inner(executor, dict(zip(loop.written, inputs[count:])))
        scopes.append(scope)
        with scope.entered(), unrecorded():
            carry = optree.tree_unflatten(loop.structure, list(map(constant, inputs[:count])))
            return [lift(cond_fn(carry))[0]], []

    program = executor.equations(run, loop.forms)
    (form,) = map(executor.form_of, program.outputs)
    if form.shape and form.shape.count(1) != len(form.shape):
        raise refusal(
            ValueError,
            f"while_loop: the condition has the shape {form.shape}, and must be one boolean",
        )
    if scopes[-1].written:
        names = ", ".join(repr(variable.name) for variable in scopes[-1].written.values())
        raise refusal(
            TracingError,
            f"while_loop: the condition writes {names}; only the body may, so do it there",
        )
    return program


def _while_back(
    loop: Loop, steps: Any, most: int | None, last: list[Tensor], recorded: bool
) -> list[Tensor]:
    """Return the numbered gradients of a loop whose number of steps is known only now.

    When this is differentiated again, each loop here becomes as many, and so on for each order. So
    they are as few as can be: one that keeps every so many steps, and one back, in which another
    one leads to a step from what was kept before it, unless all steps are kept.
    """
    executor = loop.executor
    repeated = partial(traced_while, executor)
    count = CHECKPOINTS if most is None else max(1, min(most, MOST_CHECKPOINTS))
    all_kept = most is not None and most <= count
    stride = TENSORS.maximum((steps + (count - 1)) // count, 1)
    soft = len(last)
    program = loop.program

    def step(full: list[Tensor]) -> list[Tensor]:
        if recorded:
            return loop.step(full, [])
        arrays = [each.value for each in full]
        return list(map(constant, program.run(arrays, effects=False)))

    def pull(full: list[Tensor], cotangents: list[Tensor]) -> list[Tensor]:
        if recorded:
            return loop.pull(full, [], cotangents)
        arrays = [each.value for each in full], [g.value for g in cotangents]
        return list(map(constant, program.pull(*arrays)))

    def advance(full: Any, start: Any, stop: Any) -> Any:
        return repeated(
            lambda at: at[0] < stop, lambda at: [at[0] + 1, step(at[1])], [start, full], None
        )[1]

    def keep(at: Any) -> Any:
        number, full, kept = at
        place, values = number, full
        if not all_kept:
            place = number // stride
            first = number == place * stride
            values = [
                TENSORS.where(first, v, each[place]) for each, v in zip(kept, full, strict=True)
            ]
        kept = [TENSORS.scatter_update(each, v, place) for each, v in zip(kept, values)]
        return [number + 1, step(full), kept]

    def back(at: Any) -> Any:
        k, cotangents, sums = at
        place = k if all_kept else k // stride
        full = [each[place] for each in kept]
        found = pull(full if all_kept else advance(full, place * stride, k), cotangents)
        return [k - 1, found[:soft], [total + part for total, part in zip(sums, found[soft:])]]

    full = loop.first(recorded)
    empty = [constant(executor.zeros(Form((count, *t.shape), t.dtype))) for t in full]
    sums = [constant(executor.zeros(executor.form_of(g))) for g in program.gradients[soft:]]
    kept = repeated(lambda at: at[0] < steps, keep, [0, full, empty], most)[2]
    _, first, sums = repeated(lambda at: at[0] >= 0, back, [steps - 1, last, sums], most)
    return [*first, *sums]
