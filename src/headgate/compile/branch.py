"""A traced branch: both functions are traced, one of them runs, and so does its gradient.

What only one of the two uses gets a gradient of zeros from the other. The gradient runs the
function that was chosen once more, inside a branch of the same kind.
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
from headgate.core.again import Moment, as_it_is, boundary, known_linear, unlogged
from headgate.core.namespace import Array
from headgate.core.scope import stage
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable
from headgate.record.cuts import bits, sequence
from headgate.record.errors import refusal
from headgate.record.graph import Node, unrecorded


class Branch:
    """A function that was run in a trace: its program, what it returned, what it wrote."""

    __slots__ = (
        "executor",
        "function",
        "linear",
        "met",
        "origins",
        "outcome",
        "program",
        "pulls",
        "scope",
        "start",
    )

    outcome: Outcome
    origins: list[Node]
    met: list[int]
    linear: bool

    def __init__(
        self, executor: Executor, function: Callable[[], Any], start: int, pulls: bool
    ) -> None:
        self.executor = executor
        self.function = function
        self.pulls = pulls
        self.scope = inner(executor)
        self.start = start
        self.program = executor.equations(self._run, [])

    def _run(self, inputs: list[Array], cotangents: list[Array]) -> tuple[list[Any], list[Any]]:
        with self.scope.entered():
            self.outcome = Outcome(self.executor, self.function(), self.pulls)
        self.origins, self.met = boundary(self.outcome.nodes, self.start, ())
        self.linear = known_linear(self.outcome.nodes, self.start, ())
        written = [self.scope.values[source] for source in self.scope.written]
        outputs = [*self.outcome.present, *written]
        self.outcome.forget()
        self.scope.values.clear()
        return outputs, []

    def fitted(self, forms: Sequence[Form | None], before: dict[Any, Array]) -> list[Array]:
        """Run the program; return its results in these forms, and what variables hold then."""
        executor = self.executor
        found = iter(self.program.run(effects=not self.pulls))
        results = []
        for own, form in zip(self.outcome.forms, forms):
            if own is not None:
                assert form is not None
                results.append(executor.cast(next(found), form.dtype))
            elif form is not None:
                results.append(executor.zeros(form))
        after = {**before, **dict(zip(self.scope.written, found))}
        for source, old in before.items():
            results.append(executor.cast(after[source], executor.form_of(old).dtype))
        return results


def traced_cond(
    executor: Executor,
    pred: Array,
    true_fn: Callable[[], Any],
    false_fn: Callable[[], Any],
    pulls: bool = False,
) -> Any:
    """Put both branches into a program.

    If these are `pulls`, each returns a list of gradients: one that only the other branch has is
    zero, and what is written is dropped.
    """
    start = sequence()
    again = as_it_is(true_fn), as_it_is(false_fn)
    with unlogged():
        branches = [Branch(executor, function, start, pulls) for function in (true_fn, false_fn)]
    scopes = [branch.scope for branch in branches]
    held = {s: scope.stand_in(v) for scope in scopes for s, v in scope.met.items()}
    written: dict[Any, Variable] = {}
    if not pulls:
        for scope in scopes:
            check_written("cond", scope)
            written.update(scope.written)
    outcomes = [branch.outcome for branch in branches]
    forms = _forms_of_both(outcomes, pulls)
    before = {source: held[source] for source in written}
    found = executor.choose(pred, *(partial(b.fitted, forms, before) for b in branches))
    count = len(found) - len(written)
    for variable, value in zip(written.values(), found[count:]):
        stage.scope.set(variable, value)  # type: ignore[union-attr]
    arrays = iter(found)
    results = [None if form is None else next(arrays) for form in forms]

    masks = [
        (live | its_live, cuts | its_cuts)
        for (live, cuts), (its_live, its_cuts) in zip(*(outcome.masks for outcome in outcomes))
    ]
    nodes = {node.seq: node for branch in branches for node in branch.origins}
    origins = list(nodes.values())
    numbers = {seq: k for k, seq in enumerate(nodes)}
    met = [0] * len(masks)
    for branch in branches:
        for k, mask in enumerate(branch.met):
            for number in bits(mask):
                met[k] |= 1 << numbers[branch.origins[number].seq]
    moment = Moment()

    def rule(cotangents: dict[int, Tensor], recorded: bool) -> list[Any]:
        given = _in_order(cotangents, len(masks), recorded)

        def pull(function: Callable[[], Any]) -> list[Any]:
            with moment.again():
                outcome = Outcome(executor, function(), pulls)
            return pulled(outcome, given, origins, recorded)

        with inner(executor, held).entered(), nullcontext() if recorded else unrecorded():
            true, false = (partial(pull, function) for function in again)
            found: list[Any] = traced_cond(executor, pred, true, false, pulls=True)
        return found

    linear = all(branch.linear for branch in branches)
    tensors = record("cond", results, masks, origins, rule, met, linear)
    return optree.tree_unflatten(outcomes[0].structure, tensors)


def _in_order(cotangents: dict[int, Tensor], count: int, recorded: bool) -> list[Any]:
    """Return a cotangent or None for each result, as tensors if these are recorded."""
    found: list[Any] = [cotangents.get(k) for k in range(count)]
    return found if recorded else [None if g is None else g.value for g in found]


def _forms_of_both(outcomes: Sequence[Outcome], fill: bool) -> list[Form | None]:
    """Return the form of each result of two branches; refuse what does not fit together."""
    one, other = outcomes
    if one.structure != other.structure:
        raise refusal(
            ValueError,
            "cond: the functions return different structures.\n"
            f"  true_fn:  {_shown(one)}\n  false_fn: {_shown(other)}",
        )
    forms = []
    for place, a, b in zip(places(one.structure), one.forms, other.forms):
        form = _common(a, b) if a and b else a or b
        if (form is None and (a or b)) or (not fill and (a is None) is not (b is None)):
            raise refusal(
                ValueError,
                f"cond: the functions return different things{place and ' at ' + place}: true_fn "
                f"{in_words(a)}, false_fn {in_words(b)}. Both must return the same shapes and "
                "dtypes: convert one with headgate.astype or headgate.reshape",
            )
        forms.append(form)
    return forms


def _shown(outcome: Outcome) -> str:
    words = [in_words(form) for form in outcome.forms]
    return str(optree.tree_unflatten(outcome.structure, words)).replace("'", "")


def _common(one: Form, other: Form) -> Form | None:
    """Return the form that results of two branches have, or None if they do not fit."""
    if one.shape != other.shape:
        return None
    if one.dtype == other.dtype:
        return Form(one.shape, one.dtype, one.weak and other.weak)
    if one.weak and (not other.weak or rank(one) < rank(other)):
        one, other = other, one
    if not other.weak:
        return None
    return one if rank(other) <= rank(one) else Form(one.shape, other.dtype, one.weak)
