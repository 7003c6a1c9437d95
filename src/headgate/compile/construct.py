"""What branches and loops share: a function's run in a trace, and the node of a construct.

A traced construct runs its functions on stand-ins, in the recording of the code around it. So
tensors that a function takes from outside keep their nodes, stops in it leave their cuts, and each
result has the masks that it would have had without the construct (`Outcome`). The nodes that are
made in there hold stand-ins that mean nothing outside, so they are dropped. What is remembered are
the parents at which gradient leaves the construct, its **boundary**: captured tensors, variables'
leaves, what is carried or taken step by step. The construct is recorded as one node with an edge to
each of these (`record`).

Its rule pulls cotangents from the results to the boundary by the usual walk (`pulled`), inside a
construct of the same kind: of a branch the same branch, of a loop one that goes back. When the rule
is itself recorded (higher order), it is made of the functions themselves, run on tensors in a
recording as it was then (`headgate.core.again`).

Variables that a body writes are carried along (`headgate.core.scope`): the body runs in a scope of
its own (`inner`), which tells which they are, and their last values go to the scope around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optree

from headgate.compile.executor import Executor, Form, Tracing
from headgate.core.again import LinearRule
from headgate.core.lift import is_inexact, lift
from headgate.core.namespace import TENSORS, Array
from headgate.core.op import JointRule, record_outputs
from headgate.core.pull import pull
from headgate.core.row import Op
from headgate.core.scope import Scope, stage, suspended
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.core.variable import Variable
from headgate.record.errors import TracingError, describe, refusal
from headgate.record.graph import Node, state


def predicate(value: Any, name: str) -> Any:
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


def held(variable: Variable) -> Array:
    """Return what a variable holds, whatever the scope of this thread says."""
    with suspended():
        return variable._value


def inner(executor: Executor, known: dict[Any, Array] | None = None) -> Tracing:
    """Return a scope inside that of this thread, in which variables hold what is known of them."""
    outer = (lambda v: executor.array(held(v))) if stage.scope is None else stage.scope.get
    scope = Tracing(outer, executor)
    scope.values.update(known or {})
    return scope


def check_written(name: str, scope: Scope) -> None:
    """Refuse writes where no scope could take them."""
    if stage.scope is None and scope.written:
        names = ", ".join(repr(variable.name) for variable in scope.written.values())
        raise refusal(
            TracingError,
            f"{name} writes {names}, and is traced by JAX itself, which does not know of variables:"
            " trace with headgate.function instead, or return the new value",
        )


# -- what a function does in a trace ---------------------------------------------------------------


class Outcome:
    """What a function returned: values, their nodes, and the masks of these as seen here.

    `nodes` has None where no gradient flows. Only a list of gradients may have None in it.
    """

    __slots__ = ("forms", "masks", "nodes", "structure", "values")

    def __init__(self, executor: Executor, result: Any, gradients: bool = False) -> None:
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


def pulled(
    outcome: Outcome, cotangents: Sequence[Any], origins: Sequence[Node], lifted: bool
) -> list[Any]:
    """Return the gradient for each origin, or None, given one cotangent or None per value."""
    seeds = []
    for value, node, g in zip(outcome.values, outcome.nodes, cotangents, strict=True):
        if node is not None and g is not None:
            if g.dtype != value.dtype:  # a number that was fitted to the other branch, say
                g = TENSORS.astype(g, value.dtype) if lifted else g.astype(value.dtype)
            seeds.append((node, value, g))
    return pull(seeds, origins, lifted=lifted, beyond=False)


# -- the node --------------------------------------------------------------------------------------


def record(
    name: str,
    values: Sequence[Any],
    masks: Sequence[tuple[int, int]],
    origins: Sequence[Node | None],
    call: Callable[[dict[int, Tensor], bool], list[Any]],
    met: Sequence[int],
    linear: bool,
) -> list[Any]:
    """Return tensors for the results of a construct, outputs of one node with these parents.

    `met` has a mask for each result: of the numbers of those gradients that it contributes to.
    `linear` says that these are known to be linear in their cotangents.
    """
    reach = [[bool(m >> k & 1) for k in range(len(origins))] for m in met]
    rule = (LinearRule if linear else JointRule)(call, reach)
    numbered = [(number, node) for number, node in enumerate(origins) if node is not None]
    edges = tuple((node, rule, (number,), None, None) for number, node in numbered)
    op = Op(name, True, "nondiff_op", [("",)])
    return record_outputs(op, values, masks, [node for _, node in numbered], edges)


# -- forms -----------------------------------------------------------------------------------------

_RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}
"""Kinds of dtypes; a Python number of a lower kind adapts to a higher one."""


def rank(form: Form) -> int:
    return _RANK[form.dtype.kind]


def places(structure: Any) -> list[str]:
    """Return a name for each leaf of a structure, as one would index it."""
    return ["".join(f"[{step!r}]" for step in path) for path in structure.paths()]


def in_words(form: Form | None) -> str:
    if form is None:
        return "None"
    return f"a Python number ({form.dtype})" if form.weak else describe(form)
