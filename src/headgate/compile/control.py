"""Control flow: `cond`, `while_loop` and `scan`, eager and compiled.

Where values are known, these are Python's own `if`, `while` and `for`, and the tape records what
runs as it always does. While a function is traced (`headgate.function`, or JAX's own
transformations), each becomes one construct of the executor's program
(`headgate.compile.xla.control`).

A traced construct runs its functions on stand-ins, in the recording of the code around it. So
tensors that a function takes from outside keep their nodes, stops in it leave their cuts, and each
result has the masks that it would have had without the construct. The nodes that are made in there
hold stand-ins that mean nothing outside, so they are dropped. What is remembered are the parents at
which gradient leaves the construct, its **boundary**: captured tensors, variables' leaves, what is
carried or taken step by step. The construct is recorded as one node with an edge to each of these.

Its rule pulls cotangents from the results to the boundary by the usual walk, inside a construct of
the same kind: of a branch the same branch, of a loop one that goes back. The walk through the body
of a loop is traced together with the body. A branch runs its function again, and so do all when the
rule is itself recorded (higher order): it is then made of these very functions, on tensors.

Variables that a body writes are carried along (`headgate.core.scope`): the body runs in a scope of
its own, which tells which they are, and their last values go to the scope around it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import optree

from headgate.compile.xla import control as executor
from headgate.compile.xla.control import Form
from headgate.core.namespace import TENSORS, Array
from headgate.core.op import (
    PASS,
    Op,
    Parts,
    as_tensor,
    is_inexact,
    lift,
    new_node,
    pass_through,
    pick_node,
)
from headgate.core.pull import pull
from headgate.core.scope import Scope, stage, suspended
from headgate.core.tensor import Tensor, constant, is_traced, tensor_of
from headgate.core.variable import Variable
from headgate.record.cuts import bits, sequence
from headgate.record.errors import TracingError, describe, refusal
from headgate.record.graph import Leaf, Node, ghost, state, unrecorded

CHECKPOINTS = 128
"""So many places of a loop are kept for its gradient, if it has no maximum of steps."""

MOST_CHECKPOINTS = 1024
"""So many at most, if it has one."""

_PASSES = 20  # so often a body may be traced, and once more for each array that it carries


class _Rehearsal(Scope):
    """A scope for a run on known arrays of which nothing shall remain."""


def _is_traced(trees: Any) -> bool:
    """Tell whether a construct becomes a part of a program."""
    if stage.scope is not None and type(stage.scope) is not _Rehearsal:
        return True
    leaves: list[Any] = optree.tree_leaves(trees)
    return any(is_traced(leaf.value if type(leaf) is Tensor else leaf) for leaf in leaves)


def _predicate(value: Any, name: str) -> Any:
    """Return a predicate as Python's own boolean if it is known, else its array."""
    array = lift(value)[0]
    if getattr(array, "size", 1) != 1:
        raise refusal(
            ValueError,
            f"{name}: the predicate has the shape {array.shape}, and must be one boolean; to "
            "choose elementwise, use headgate.where(condition, a, b)",
        )
    return array if is_traced(array) else bool(array)


# -- variables -------------------------------------------------------------------------------------


def _held(variable: Variable) -> Array:
    """Return what a variable holds, whatever the scope of this thread says."""
    with suspended():
        return variable._value


def _held_by_executor(variable: Variable) -> Array:
    return executor.array(_held(variable))


def _inner(known: dict[Any, Array] | None = None) -> Scope:
    """Return a scope inside that of this thread, in which variables hold what is known of them."""
    outer = _held_by_executor if stage.scope is None else stage.scope.get
    scope = Scope(outer)
    scope.values.update(known or {})
    return scope


def _check_written(name: str, scope: Scope) -> None:
    """Refuse writes where no scope could take them."""
    if stage.scope is None and scope.written:
        names = ", ".join(repr(variable.name) for variable in scope.written.values())
        raise refusal(
            TracingError,
            f"{name} writes {names}, and is traced by JAX itself, which does not know of variables:"
            " trace with headgate.function instead, or return the new value",
        )


# -- what a function does in a trace ---------------------------------------------------------------


class _Outcome:
    """What a function returned: values, their nodes, and the masks of these as seen here.

    `nodes` has None where no gradient flows. Only a list of gradients may have None in it.
    """

    __slots__ = ("forms", "masks", "nodes", "structure", "values")

    def __init__(self, result: Any, gradients: bool = False) -> None:
        recording = state.recording
        leaves, self.structure = optree.tree_flatten(result, none_is_leaf=gradients)
        self.values: list[Any] = []
        self.nodes: list[Node | None] = []
        self.masks: list[tuple[int, int]] = []
        for leaf in leaves:
            value, node = (None, None) if leaf is None else lift(leaf)
            live, cuts = (0, 0) if node is None else recording.admit(node)
            if live and not is_inexact(value):
                live = 0
            self.values.append(value)
            self.nodes.append(node if live else None)
            self.masks.append((live, cuts))
        self.forms = [None if v is None else executor.form_of(v) for v in self.values]

    @property
    def present(self) -> list[Any]:
        """The values without None."""
        return [value for value in self.values if value is not None]

    def forget(self) -> None:
        """Let go of what means nothing after the trace."""
        self.values, self.nodes = [], []


def _boundary(
    nodes: Sequence[Node | None], start: int, inputs: Container[int]
) -> tuple[list[Node], list[int]]:
    """Return where gradient leaves what was computed since a time, and which of it each node meets.

    The second result has one mask per node: bit k stands for the k-th node of the first one.
    """
    active = ~state.recording.paused
    inside: dict[int, list[Node]] = {}
    outside: dict[int, Node] = {}
    waiting = [node for node in nodes if node is not None]
    while waiting:
        node = waiting.pop()
        if node.seq in inside or node.seq in outside:
            continue
        own = node.own & active if type(node) is Leaf else 0
        if node.seq <= start or own or node.seq in inputs:
            outside[node.seq] = node
        else:
            parents = [edge[0] for edge in node.edges or () if edge is not None]
            inside[node.seq] = [parent for parent in parents if parent.live & active]
            waiting += inside[node.seq]
    order = sorted(outside)
    met = {seq: 1 << k for k, seq in enumerate(order)}
    for seq in sorted(inside):
        met[seq] = 0
        for parent in inside[seq]:
            met[seq] |= met[parent.seq]
    return [outside[seq] for seq in order], [met[node.seq] if node else 0 for node in nodes]


def _pulled(
    outcome: _Outcome, cotangents: Sequence[Any], origins: Sequence[Node], lifted: bool
) -> list[Any]:
    """Return the gradient for each origin, or None, given one cotangent or None per value."""
    seeds = []
    for value, node, g in zip(outcome.values, outcome.nodes, cotangents, strict=True):
        if node is not None and g is not None:
            if g.dtype != value.dtype:  # a number that was fitted to the other branch, say
                g = TENSORS.astype(g, value.dtype) if lifted else g.astype(value.dtype)
            seeds.append((node, value, g))
    return pull(seeds, origins, lifted=lifted, beyond=False)


class _Moment:
    """The recording in which a construct was recorded, as it was then: to run functions again."""

    __slots__ = ("active", "recording", "tapes")

    def __init__(self) -> None:
        self.recording = state.recording
        self.tapes = list(state.recording.tapes)
        self.active = state.recording.sources.every & ~state.recording.paused

    @contextmanager
    def again(self) -> Iterator[None]:
        """Record in a block what the tapes would have recorded then."""
        recording, before = self.recording, state.recording
        kept = recording.tapes, recording.walking, recording.log
        state.recording = recording
        recording.tapes, recording.walking, recording.log = list(self.tapes), True, None
        recording.refresh(self.active)
        try:
            yield
        finally:
            state.recording = before
            recording.tapes, recording.walking, recording.log = kept
            recording.refresh()


@contextmanager
def _unlogged() -> Iterator[None]:
    """Do not tell what happens in a block to who traces: it sees the construct instead."""
    recording = state.recording
    log, recording.log = recording.log, None
    try:
        yield
    finally:
        recording.log = log


def _input_node(live: int, cuts: int, after: Node | None = None) -> Node | None:
    """Return a node for an array that a body is given, which may stand for another node."""
    if not live:
        return ghost(state.recording, cuts)
    edges: tuple[Any, ...] = ()
    if after is not None and after.recording is state.recording:
        edges = ((after, pass_through, (), None, None),)
        live |= after.live
    return new_node(PASS, edges, live, cuts, state.recording)


# -- the node --------------------------------------------------------------------------------------


class _Rule:
    """The rule of a construct; its answer for all that it is asked for is kept with the cotangents.

    `met` has a mask for each result: of the numbers of those gradients that it contributes to.
    """

    __slots__ = ("call", "met")

    def __init__(
        self, call: Callable[[dict[int, Tensor], bool], list[Any]], met: Sequence[int]
    ) -> None:
        self.call = call
        self.met = met

    def __call__(self, g: Parts, number: int) -> Any:
        if not any(self.met[k] >> number & 1 for k in g.parts):
            return None
        recorded = any(type(part) is Tensor for part in g.parts.values())
        if g.answer is None:
            cotangents = {k: as_tensor(part) for k, part in g.parts.items()}
            g.answer = self.call(cotangents, recorded)
        found = g.answer[number]
        if found is None or recorded:
            return found
        return as_tensor(found).value


def _record(
    name: str,
    values: Sequence[Any],
    masks: Sequence[tuple[int, int]],
    origins: Sequence[Node | None],
    rule: _Rule,
) -> list[Any]:
    """Return tensors for the results of a construct, outputs of one node with these parents."""
    recording = state.recording
    live = cuts = 0
    for its_live, its_cuts in masks:
        live |= its_live
        cuts |= its_cuts
    numbered = [(number, node) for number, node in enumerate(origins) if node is not None]
    edges = tuple((node, rule, (number,), None, None) for number, node in numbered)
    many = new_node(Op(name, True, "nondiff_op"), edges, live, cuts, recording)
    many.op.plans = [("",)]
    results: list[Any] = []
    for number, (value, (its_live, its_cuts)) in enumerate(zip(values, masks, strict=True)):
        if its_live:
            node: Node | None = pick_node(many, number)
            assert node is not None
            node.live, node.cuts = its_live, its_cuts
        else:
            node = ghost(recording, its_cuts)
        results.append(None if value is None else tensor_of(value, node))
    if recording.log is not None:
        present = [result for result in results if result is not None]
        if present:
            recording.log.op(many.op, [node for _, node in numbered], edges, *present)
    return results


# -- forms -----------------------------------------------------------------------------------------

_RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}
"""Kinds of dtypes; a Python number of a lower kind adapts to a higher one."""


def _rank(form: Form) -> int:
    return _RANK[form.dtype.kind]


def _places(structure: Any) -> list[str]:
    """Return a name for each leaf of a structure, as one would index it."""
    return ["".join(f"[{step!r}]" for step in path) for path in structure.paths()]


def _in_words(form: Form | None) -> str:
    if form is None:
        return "None"
    return f"a Python number ({form.dtype})" if form.weak else describe(form)


def _common(one: Form, other: Form) -> Form | None:
    """Return the form that results of two branches have, or None if they do not fit."""
    if one.shape != other.shape:
        return None
    if one.dtype == other.dtype:
        return Form(one.shape, one.dtype, one.weak and other.weak)
    if one.weak and (not other.weak or _rank(one) < _rank(other)):
        one, other = other, one
    if not other.weak:
        return None
    return one if _rank(other) <= _rank(one) else Form(one.shape, other.dtype, one.weak)


# -- cond ------------------------------------------------------------------------------------------


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any
) -> Any:
    """Call one of two functions.

    In a compiled function both are traced and one runs; so does its gradient, for which it runs
    once more. What only the other one uses gets a gradient of zeros. Tensors and variables from
    outside may be used as well as operands, and variables may be written.

    Args:
        pred: one boolean: a tensor or array of one element, or Python's own.
        true_fn: called with the operands if it is true; returns any structure of tensors.
        false_fn: called if it is not; in a compiled function it returns the same structure, shapes
            and dtypes (a Python number adapts to the other's dtype).
        *operands: what the function is given.

    Returns:
        What the function returned; in a compiled function, tensors in that structure.

    Raises:
        ValueError: more than one predicate; results that do not fit together.
        TypeError: what should be a function is none.

    >>> import headgate as hg
    >>> x = hg.Variable(3.0)
    >>> with hg.GradientTape() as tape:
    ...     y = hg.cond(x > 0.0, lambda: x * x, lambda: -x)
    >>> tape.gradient(y, x).numpy()
    np.float64(6.0)
    """
    for function in (true_fn, false_fn):
        if not callable(function):
            raise refusal(
                TypeError, f"cond takes two functions, and was given {describe(function)}"
            )
    choice = _predicate(pred, "cond")
    if type(choice) is bool:
        return (true_fn if choice else false_fn)(*operands)
    return _traced_cond(choice, lambda: true_fn(*operands), lambda: false_fn(*operands))


class _Branch:
    """A function that was run in a trace: its program, what it returned, what it wrote."""

    __slots__ = ("function", "met", "origins", "outcome", "program", "pulls", "scope", "start")

    outcome: _Outcome
    origins: list[Node]
    met: list[int]

    def __init__(self, function: Callable[[], Any], start: int, pulls: bool) -> None:
        self.function = function
        self.pulls = pulls
        self.scope = _inner()
        self.start = start
        self.program = executor.Program(self._run, [])

    def _run(self, inputs: list[Array], cotangents: list[Array]) -> tuple[list[Any], list[Any]]:
        with self.scope.entered():
            self.outcome = _Outcome(self.function(), self.pulls)
        self.origins, self.met = _boundary(self.outcome.nodes, self.start, ())
        written = [self.scope.values[source] for source in self.scope.written]
        outputs = [*self.outcome.present, *written]
        self.outcome.forget()
        self.scope.values.clear()
        return outputs, []

    def fitted(self, forms: Sequence[Form | None], before: dict[Any, Array]) -> list[Array]:
        """Run the program; return its results in these forms, and what variables hold then."""
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


def _traced_cond(
    pred: Array, true_fn: Callable[[], Any], false_fn: Callable[[], Any], pulls: bool = False
) -> Any:
    """Put both branches into a program.

    If these are `pulls`, each returns a list of gradients: one that only the other branch has is
    zero, and what is written is dropped.
    """
    start = sequence()
    with _unlogged():
        branches = [_Branch(function, start, pulls) for function in (true_fn, false_fn)]
    scopes = [branch.scope for branch in branches]
    held = {s: scope.stand_in(v) for scope in scopes for s, v in scope.met.items()}
    written: dict[Any, Variable] = {}
    if not pulls:
        for scope in scopes:
            _check_written("cond", scope)
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
    moment = _Moment()

    def rule(cotangents: dict[int, Tensor], recorded: bool) -> list[Any]:
        given = _in_order(cotangents, len(masks), recorded)

        def pull(function: Callable[[], Any]) -> list[Any]:
            with moment.again():
                outcome = _Outcome(function(), pulls)
            return _pulled(outcome, given, origins, recorded)

        with _inner(held).entered(), nullcontext() if recorded else unrecorded():
            pulled: list[Any] = _traced_cond(
                pred, partial(pull, true_fn), partial(pull, false_fn), pulls=True
            )
        return pulled

    tensors = _record("cond", results, masks, origins, _Rule(rule, met))
    return optree.tree_unflatten(outcomes[0].structure, tensors)


def _in_order(cotangents: dict[int, Tensor], count: int, recorded: bool) -> list[Any]:
    """Return a cotangent or None for each result, as tensors if these are recorded."""
    found: list[Any] = [cotangents.get(k) for k in range(count)]
    return found if recorded else [None if g is None else g.value for g in found]


def _forms_of_both(outcomes: Sequence[_Outcome], fill: bool) -> list[Form | None]:
    """Return the form of each result of two branches; refuse what does not fit together."""
    one, other = outcomes
    if one.structure != other.structure:
        raise refusal(
            ValueError,
            "cond: the functions return different structures.\n"
            f"  true_fn:  {_shown(one)}\n  false_fn: {_shown(other)}",
        )
    forms = []
    for place, a, b in zip(_places(one.structure), one.forms, other.forms):
        form = _common(a, b) if a and b else a or b
        if (form is None and (a or b)) or (not fill and (a is None) is not (b is None)):
            raise refusal(
                ValueError,
                f"cond: the functions return different things{place and ' at ' + place}: true_fn "
                f"{_in_words(a)}, false_fn {_in_words(b)}. Both must return the same shapes and "
                "dtypes: convert one with headgate.astype or headgate.reshape",
            )
        forms.append(form)
    return forms


def _shown(outcome: _Outcome) -> str:
    words = [_in_words(form) for form in outcome.forms]
    return str(optree.tree_unflatten(outcome.structure, words)).replace("'", "")


# -- loops -----------------------------------------------------------------------------------------


class _Carried:
    """An array that a loop carries, or takes in steps.

    `live` and `cuts` are those that it ever has in the loop, `node` is where gradient goes on.
    """

    __slots__ = ("cuts", "form", "live", "node", "value")

    def __init__(self, leaf: Any, stepwise: bool = False) -> None:
        self.value, self.node = lift(leaf)
        form = executor.form_of(self.value)
        self.form = form._replace(shape=form.shape[1:]) if stepwise else form
        self.live = self.cuts = 0
        if self.node is not None:
            self.live, self.cuts = state.recording.admit(self.node)
        if not self.live:
            self.node = None

    def given(self, recorded: bool) -> Tensor:
        """Return what the loop was given, with its history if that is recorded."""
        value = executor.cast(self.value, self.form.dtype)
        return tensor_of(value, self.node if recorded else None)


def _places_of(cuts: int) -> set[Any]:
    """Return where cuts are, and what they sever of that which is watched now.

    A tape inside a body has bits of its own each time, and so cuts of its own.
    """
    recording = state.recording
    found = [recording.cuts[number] for number in bits(cuts)]
    return {(cut.kind, cut.site, cut.covers & ~recording.paused) for cut in found}


class _Loop:
    """The body of a loop, a function from (carry, x) to (carry, y), and what is known of it.

    What comes out of a step goes into the next one. So the body is traced until nothing new is
    found: what masks the carried arrays have, what a Python number among them becomes, and which
    variables are written and therefore carried, too.

    The gradients that its program computes are numbered: first those for what is carried and soft
    (gradient can flow through it), then for what is taken in steps and soft, then for the captured
    nodes. `met` tells of each result to which of these it leads.
    """

    def __init__(self, name: str, body: Callable[[Any, Any], Any], init: Any, xs: Any) -> None:
        self.name = name
        self.body = body
        leaves, self.structure = optree.tree_flatten(init)
        self.carried = [_Carried(leaf) for leaf in leaves]
        leaves, self.x_structure = optree.tree_flatten(xs)
        self.xs = [_Carried(leaf, stepwise=True) for leaf in leaves]
        self.start = sequence()
        self.written: dict[Any, Variable] = {}
        self.soft_ys: list[tuple[int, Form]] = []  # results by number
        self.captured: list[Node] = []
        self.met: list[int] = []
        self.returned: Any = None
        self.outcome: Any = None
        self.scope = _inner()
        with _unlogged():
            self.program = self._settled()
        _check_written(name, self.scope)
        variables = {**self.scope.met, **self.written}
        self.held = {source: self.scope.stand_in(v) for source, v in variables.items()}
        self.moment = _Moment()

    # -- tracing ----------------------------------------------------------------------------------

    @property
    def soft(self) -> list[int]:
        """Which of the carried arrays gradient flows through."""
        return [k for k, each in enumerate(self.carried) if each.live]

    @property
    def forms(self) -> list[Form]:
        """Forms of all that is carried: arrays, then variables that are written."""
        states = [executor.form_of(v._form) for v in self.written.values()]
        return [each.form for each in self.carried] + states

    @property
    def _known(self) -> Any:
        carried = [(each.form, each.live, _places_of(each.cuts)) for each in self.carried]
        return carried, list(self.written), self.soft_ys

    def _settled(self) -> Any:
        """Trace the body until nothing new is found; return its program."""
        for _ in range(_PASSES + len(self.carried)):
            known = self._known
            program = executor.Program(
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
        nodes = [_input_node(each.live, each.cuts) for each in (*self.carried, *self.xs)]
        arrays = inputs[: len(self.carried)] + inputs[count:]
        tensors = list(map(tensor_of, arrays, nodes))
        states = inputs[len(self.carried) : count]
        self.scope = scope = _inner(dict(zip(self.written, states)))
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

    def _run(self, carry: list[Tensor], x: list[Tensor]) -> tuple[Any, _Outcome | None]:
        """Call the body; return what it does, and as an outcome if it has the right structure."""
        returned = self.body(
            optree.tree_unflatten(self.structure, carry),
            optree.tree_unflatten(self.x_structure, x),
        )
        pair = isinstance(returned, tuple | list) and len(returned) == 2
        fits = pair and optree.tree_structure(returned[0]) == self.structure
        return returned, _Outcome(tuple(returned)) if fits else None

    def _outputs(self) -> list[Any]:
        count = len(self.carried)
        carry = [  # a Python number stays one in the next step
            value if each.form.weak else executor.cast(value, each.form.dtype)
            for value, each in zip(self.outcome.values, self.carried)
        ]
        states = [
            executor.cast(self.scope.values[source], form.dtype)
            for source, form in zip(self.written, self.forms[count:])
        ]
        ys = zip(self.outcome.values[count:], self.outcome.forms[count:])
        return [*carry, *states, *(executor.cast(value, form.dtype) for value, form in ys)]

    def _gradients(self, inputs: list[Node], cotangents: list[Array]) -> list[Array]:
        """Walk through the body; return the gradients for its soft inputs and all captured."""
        outcome = self.outcome
        numbers = {node.seq: number for number, node in enumerate(inputs)}
        boundary, met = _boundary(outcome.nodes, self.start, numbers)
        captured = [node for node in boundary if node.seq not in numbers]
        given = self.placed(cotangents)
        with unrecorded():
            found = _pulled(outcome, given, [*inputs, *captured], False)
        gradients = [
            executor.zeros(form) if g is None else g for g, form in zip(found, self._soft_forms())
        ]
        reached = [(n, g) for n, g in zip(captured, found[len(inputs) :]) if g is not None]
        self.captured = [node for node, _ in reached]
        for node in self.captured:
            numbers[node.seq] = len(numbers)
        masks = [1 << numbers[node.seq] if node.seq in numbers else 0 for node in boundary]
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
        places = _places(self.structure)
        for place, each, form, (live, cuts) in zip(
            places, self.carried, outcome.forms, outcome.masks
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
            if before.weak and _rank(before) <= _rank(after):
                return after
            if after.weak and _rank(after) <= _rank(before):
                return before
        raise refusal(
            ValueError,
            f"{self.name}: what is carried must keep its shape and dtype, and"
            f"{' ' + place if place else ''} is {_in_words(before)} before a step and "
            f"{_in_words(after)} after it",
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
        return [each.given(recorded) for each in self.carried] + [
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
        return _record(self.name, values, self.outcome.masks, origins, _Rule(rule, self.met))

    def cotangents(self, found: dict[int, Tensor], stacks: tuple[int, ...], recorded: bool) -> Any:
        """Return those of the soft carried arrays and of the soft stacks, zeros where none is."""

        def filled(number: int, form: Form) -> Tensor:
            if number in found:
                return found[number] if recorded else constant(found[number].value)
            return constant(executor.zeros(form))

        carried = [filled(k, self.carried[k].form) for k in self.soft]
        ys = [filled(k, form._replace(shape=(*stacks, *form.shape))) for k, form in self.soft_ys]
        return carried, ys

    # -- running again, on tensors, to be recorded ------------------------------------------------

    def step(self, full: list[Tensor], x: list[Tensor]) -> list[Tensor]:
        """Return what is carried after a step."""
        count = len(self.carried)
        scope = _inner({s: held.value for s, held in zip(self.written, full[count:])})
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
        scope = _inner({s: held.value for s, held in zip(self.written, full[count:])})
        ports = (*self.carried, *self.xs)
        with scope.entered(), self.moment.again():
            tensors = [
                tensor_of(t.value, _input_node(each.live, each.cuts, t.node))
                for t, each in zip([*full[:count], *x], ports)
            ]
            _, outcome = self._run(tensors[:count], tensors[count:])
        assert outcome is not None
        soft = [t.node for t, each in zip(tensors, ports) if each.live]
        origins: list[Any] = [*soft, *self.captured]
        found = _pulled(outcome, self.placed(cotangents), origins, True)
        return [
            constant(executor.zeros(form)) if g is None else as_tensor(g)
            for g, form in zip(found, map(executor.form_of, self.program.gradients))
        ]


def _stars(structure: Any) -> str:
    return str(optree.tree_unflatten(structure, ["*"] * structure.num_leaves)).replace("'", "")


# -- scan ------------------------------------------------------------------------------------------


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Go along the first axis of arrays with a function that carries something on.

    In a compiled function this is one loop, whose body is traced once; its gradient is a loop back,
    for which the loop forward saves what it needs of each step.

    Args:
        f: takes `(carry, x)` and returns `(carry, y)`. In a compiled function, the carry keeps its
            structure, shapes and dtypes.
        init: the first carry; any structure of tensors and numbers.
        xs: arrays of the same length, in any structure; f gets one entry of each. `None` if there
            are none.
        length: number of steps; needed if there are no arrays.
        reverse: go from the last entry to the first; the y of an entry stays at its place.

    Returns:
        `(carry, ys)`: the last carry, and all y stacked along a new first axis.

    Raises:
        ValueError: no length, or several; a carry that changes.
        TypeError: f returns no pair.

    >>> import headgate as hg
    >>> total, sums = hg.scan(lambda c, x: (c + x, c + x), 0.0, hg.asarray([1.0, 2.0, 3.0]))
    >>> total.numpy(), sums.numpy()
    (np.float64(6.0), array([1., 3., 6.]))
    """
    leaves, structure = optree.tree_flatten(xs)
    leaves = [as_tensor(leaf) for leaf in leaves]
    steps = _length(leaves, length)
    if _is_traced((init, leaves)):
        return _traced_scan(f, init, optree.tree_unflatten(structure, leaves), steps, reverse)

    columns = [TENSORS.unstack(leaf) for leaf in leaves]
    carry, rows = init, []
    for k in reversed(range(steps)) if reverse else range(steps):
        x = optree.tree_unflatten(structure, [column[k] for column in columns])
        carry, y = _pair(f(carry, x))
        carry = _steady(carry)
        rows.append(optree.tree_map(as_tensor, y))
    if not rows:
        return _tensors(init), _no_rows(f, init, leaves, structure)
    rows = rows[::-1] if reverse else rows
    return _tensors(carry), optree.tree_map(lambda *parts: TENSORS.stack(parts), *rows)


def _length(leaves: list[Tensor], length: int | None) -> int:
    """Return the number of steps of a scan."""
    lengths = {"length": operator.index(length)} if length is not None else {}
    for number, leaf in enumerate(leaves):
        if not leaf.shape:
            raise refusal(ValueError, f"scan: array {number} of xs has no axis to go along")
        lengths[f"array {number} of xs"] = leaf.shape[0]
    if len(set(lengths.values())) != 1:
        given = ", ".join(f"{name}: {steps}" for name, steps in lengths.items())
        raise refusal(
            ValueError,
            f"scan: the number of steps differs: {given}"
            if lengths
            else "scan: without arrays to go along, say the number of steps: length=...",
        )
    (steps,) = set(lengths.values())
    return steps


def _pair(returned: Any) -> Any:
    if not (isinstance(returned, tuple | list) and len(returned) == 2):
        raise refusal(
            TypeError, f"scan: the body returns the pair (carry, y), got {describe(returned)}"
        )
    return returned


def _steady(tree: Any) -> Any:
    """Return a structure with variables read: they may hold something else later."""
    return optree.tree_map(lambda leaf: leaf.read_value() if type(leaf) is Variable else leaf, tree)


def _tensors(tree: Any) -> Any:
    return optree.tree_map(as_tensor, tree)


def _no_rows(f: Callable[..., Any], init: Any, leaves: list[Tensor], structure: Any) -> Any:
    """Return what a scan stacks that has no steps: its body runs once, to see the shapes."""
    zeros = [constant(np.zeros(leaf.shape[1:], leaf.dtype)) for leaf in leaves]
    with _Rehearsal(_held).entered(), unrecorded(), np.errstate(all="ignore"):
        _, y = _pair(f(init, optree.tree_unflatten(structure, zeros)))
        rows = [as_tensor(leaf) for leaf in optree.tree_leaves(y)]
    empty = [constant(np.zeros((0, *row.shape), row.dtype)) for row in rows]
    return optree.tree_unflatten(optree.tree_structure(y), empty)


def _traced_scan(
    f: Callable[..., Any], init: Any, xs: Any, length: int, reverse: bool
) -> tuple[Any, Any]:
    loop = _Loop("scan", f, init, xs)
    count = len(loop.carried)
    y_structure = loop.outcome.structure.children()[1]
    if not length:
        empty = [Form((0, *form.shape), form.dtype) for form in loop.outcome.forms[count:]]
        ys = [constant(executor.zeros(form)) for form in empty]
        last = [each.given(True) for each in loop.carried]
        return optree.tree_unflatten(loop.structure, last), optree.tree_unflatten(y_structure, ys)
    carried = len(loop.forms)
    soft = loop.soft
    stepwise = len(soft) + sum(bool(each.live) for each in loop.xs)
    runner = executor.Scan(loop.program, carried, len(soft), stepwise)
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
            with _inner(loop.held).entered():
                return _scan_back(loop, last, ys, length, reverse)
        return runner.backward([g.value for g in last], [g.value for g in ys])

    results = loop.record([*found[:count], *found[carried:]], rule)
    return (
        optree.tree_unflatten(loop.structure, results[:count]),
        optree.tree_unflatten(y_structure, results[count:]),
    )


def _scan_back(
    loop: _Loop, last: list[Tensor], ys: list[Tensor], length: int, reverse: bool
) -> list[Tensor]:
    """Return the numbered gradients of a scan, computed by scans of tensors."""
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

    _, fulls = _traced_scan(forward, loop.first(recorded=True), xs, length, reverse)
    first = last, [constant(executor.zeros(form)) for form in sums]
    (first, totals), of_steps = _traced_scan(back, first, (fulls, xs, ys), length, not reverse)
    return [*first, *of_steps, *totals]


# -- while_loop ------------------------------------------------------------------------------------


def while_loop(
    cond_fn: Callable[[Any], Any],
    body_fn: Callable[[Any], Any],
    init: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Repeat a function while a condition holds.

    In a compiled function this is one loop, whose body is traced once. Its gradient is a loop back,
    and has to compute again what went into each of the n steps, since it is not known beforehand
    how many there will be. The loop runs once more and keeps what is carried at 128 places (at
    each step, up to 1024, if there is a maximum); from there, the body runs once for each step of a
    place (n / 128 at most, half of it on the average) before its gradient is computed. If the
    number of steps is known, `headgate.scan` is faster.

    Args:
        cond_fn: takes what is carried and returns one boolean.
        body_fn: takes what is carried and returns what is carried next. In a compiled function that
            keeps its structure, shapes and dtypes.
        init: what is carried first; any structure of tensors and numbers.
        maximum_iterations: stop after so many in any case.

    Returns:
        What is carried last.

    Raises:
        ValueError: a condition that is not one boolean; a carry that changes.
        TracingError: the condition writes a variable.

    >>> import headgate as hg
    >>> x = hg.Variable(2.0)
    >>> with hg.GradientTape() as tape:
    ...     y = hg.while_loop(lambda y: y < 10.0, lambda y: y * x, x)
    >>> y.numpy(), tape.gradient(y, x).numpy()
    (np.float64(16.0), np.float64(32.0))
    """
    most = None if maximum_iterations is None else operator.index(maximum_iterations)
    if _is_traced(init):
        return _traced_while(cond_fn, body_fn, init, most)
    carry, done = _steady(init), 0
    while most is None or done < most:
        holds = _predicate(cond_fn(carry), "while_loop")
        if type(holds) is not bool:
            return _traced_while(cond_fn, body_fn, carry, None if most is None else most - done)
        if not holds:
            break
        carry = _steady(body_fn(carry))
        done += 1
    return _tensors(carry)


def _traced_while(
    cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any, most: int | None
) -> Any:
    loop = _Loop("while_loop", lambda carry, _: (body_fn(carry), None), init, None)
    count = len(loop.carried)
    first = [each.value for each in loop.first()]
    steps, *found = executor.repeat(_condition(loop, cond_fn), loop.program, first, most)
    loop.write(found[count:])

    def rule(cotangents: dict[int, Tensor], recorded: bool) -> list[Any]:
        last, _ = loop.cotangents(cotangents, (), recorded)
        with _inner(loop.held).entered(), nullcontext() if recorded else unrecorded():
            return _while_back(loop, constant(steps), most, last, recorded)

    return optree.tree_unflatten(loop.structure, loop.record(found[:count], rule))


def _condition(loop: _Loop, cond_fn: Callable[[Any], Any]) -> Any:
    """Return the program of a condition."""
    count = len(loop.carried)
    scopes = []

    def run(inputs: list[Array], cotangents: list[Array]) -> tuple[list[Any], list[Any]]:
        scope = _inner(dict(zip(loop.written, inputs[count:])))
        scopes.append(scope)
        with scope.entered(), unrecorded():
            carry = optree.tree_unflatten(loop.structure, list(map(constant, inputs[:count])))
            return [lift(cond_fn(carry))[0]], []

    program = executor.Program(run, loop.forms)
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
    loop: _Loop, steps: Any, most: int | None, last: list[Tensor], recorded: bool
) -> list[Tensor]:
    """Return the numbered gradients of a loop whose number of steps is known only now."""
    places = CHECKPOINTS if most is None else max(1, min(most, MOST_CHECKPOINTS))
    stride = TENSORS.maximum((steps + (places - 1)) // places, 1)
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
        return _traced_while(
            lambda at: at[0] < stop, lambda at: [at[0] + 1, step(at[1])], [start, full], None
        )[1]

    def keep(at: Any) -> Any:
        k, full, kept = at
        kept = [TENSORS.scatter_update(each, v, k) for each, v in zip(kept, full)]
        return [k + 1, advance(full, k * stride, TENSORS.minimum((k + 1) * stride, steps)), kept]

    def back(at: Any) -> Any:
        k, cotangents, sums = at
        place = k // stride
        found = pull(advance([each[place] for each in kept], place * stride, k), cotangents)
        return [k - 1, found[:soft], [total + part for total, part in zip(sums, found[soft:])]]

    full = loop.first(recorded)
    empty = [constant(executor.zeros(Form((places, *t.shape), t.dtype))) for t in full]
    sums = [constant(executor.zeros(executor.form_of(g))) for g in program.gradients[soft:]]
    kept = _traced_while(lambda at: at[0] * stride < steps, keep, [0, full, empty], places)[2]
    _, first, sums = _traced_while(lambda at: at[0] >= 0, back, [steps - 1, last, sums], most)
    return [*first, *sums]
