"""Traced loops: what goes forward, what goes back, and what is kept for it.

A scan saves what its gradient needs of each step, as its executor sees fit. A loop whose number of
steps is known only afterwards computes again what went into each step, from some places that it
keeps (`headgate.while_loop`). A gradient that is itself recorded is one node, if it is known to be
linear in its cotangent (`headgate.compile.tangents`); else it is a loop of tensors over the body,
which is recorded like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import optree

from headgate.compile.construct import inner
from headgate.compile.executor import Executor, Form
from headgate.compile.loop import Loop
from headgate.compile.tangents import recorded as recorded_gradients
from headgate.core.again import as_it_is
from headgate.core.lift import lift
from headgate.core.namespace import TENSORS, Array
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.record.errors import TracingError, refusal
from headgate.record.graph import unrecorded

CHECKPOINTS = 128
"""So many places of a loop are kept for its gradient, if it has no maximum of steps."""

MOST_CHECKPOINTS = 1024
"""So many at most, if it has one."""

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

    def forward(body: Callable[[Any, Any], Any], first: Any, xs: Any) -> tuple[Any, Any]:
        return traced_scan(executor, body, first, xs, length, reverse)

    def rule(cotangents: dict[int, Tensor], recorded: bool) -> list[Any]:
        last, ys = loop.cotangents(cotangents, (length,), recorded)
        back = partial(_scan_back, loop, last, ys, length, reverse)
        if recorded and not loop.linear:
            with inner(executor, loop.held).entered():
                return back()
        values = runner.backward([g.value for g in last], [g.value for g in ys])
        if not recorded:
            return values
        return recorded_gradients(loop, values, [*last, *ys], forward, back)

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
    holds = as_it_is(cond_fn)
    loop = Loop(executor, "while_loop", lambda carry, _: (body_fn(carry), None), init, None)
    count = len(loop.carried)
    first = [each.value for each in loop.first()]
    steps, *found = executor.repeat(_condition(loop, cond_fn), loop.program, first, most)
    loop.write(found[count:])

    def forward(body: Callable[[Any, Any], Any], first: Any, xs: Any) -> tuple[Any, Any]:
        def condition(carry: Any) -> Any:
            return holds(optree.tree_unflatten(loop.structure, carry[0]))

        return traced_while(executor, condition, lambda c: body(c, xs)[0], first, most), ()

    def rule(cotangents: dict[int, Tensor], recorded: bool) -> list[Any]:
        last, _ = loop.cotangents(cotangents, (), recorded)
        back = partial(_while_back, loop, constant(steps), most)
        if recorded and not loop.linear:
            with inner(executor, loop.held).entered():
                return back(last, True)
        with inner(executor, loop.held).entered(), unrecorded():
            values = back([constant(g.value) for g in last], False)
        if not recorded:
            return values
        arrays = [g.value for g in values]
        return recorded_gradients(loop, arrays, last, forward, partial(back, last, True))

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
