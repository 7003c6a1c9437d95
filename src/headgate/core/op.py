"""Op: one row of a table becomes a function that computes and records.

    multiply = op("multiply(x, y)", "Multiply elementwise.", lambda g, y: g * y, lambda g, x: g * x)

The first string is the signature: arrays, then static parameters after `*` (a call may pass them by
position as well); `[arrays]` is a list of arrays. Then one *rule* per array, in order: the gradient
for that argument, or `None` if there is none, in which case a call on a watched value is recorded
as a **cut**. A rule's parameter names are what it saves: `g` (the cotangent of the result) comes
first, then any of the arguments, `ans` (the result), the static parameters, `<argument>_shape`,
`<argument>_dtype` and `xp` (the namespace to compute with; see `headgate.core.namespace`). The
names are looked up here, once; a misspelt one fails at import. Summing over broadcast axes and
casting to the argument's dtype is done by the walk (`headgate.core.walk`), never in a rule.

From the row, `op` makes a Python function that is written for it (`headgate.core.row`). What that
leaves to say here is how results are recorded: one result by the function itself, several by
`record_outputs`, those of ops on lists by `_record_list`.

Save the raw value and the parent's node, never the argument's tensor; save `ans` raw: the walk
wraps both again if it must, and a node that held its own tensor would be a reference cycle.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any, Literal, TypeVar, overload

import numpy as np

from headgate.core.cotangent import Parts
from headgate.core.failure import fail, fail_with
from headgate.core.lift import (
    NUMBERS,
    as_tensor,
    beside_floats,
    borrowers,
    dtype_of,
    frozen,
    is_inexact,
    keepers,
    lifters,
    optional_borrowers,
    optional_keepers,
    optional_lifters,
    owned,
    shape_of,
)
from headgate.core.namespace import NUMPY, TENSORS, Array, common, implementations, owner
from headgate.core.row import PICK, Op, Row, Rule
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.record.cuts import sequence
from headgate.record.graph import Node, Recording, ghost, new_node, state
from headgate.record.site import where

Function = TypeVar("Function", bound=Callable[..., Any])
Check = tuple[Any, ...]
"""A function of `headgate.core.checks`, and its limits."""

_NO_CHECKS: Mapping[str, Check] = {}
_PACKAGE = __name__.partition(".")[0]


class _Implementations(dict[type, Callable[..., Any]]):
    """Array type -> this op's function for it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __missing__(self, kind: type) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(owner[kind], self.name)
        self[kind] = found
        return found


@overload
def op(
    signature: str,
    doc: str,
    *rules: Rule | None,
    impl: Callable[..., Any] | None = None,
    impl_numpy: Callable[..., Any] | None = None,
    outputs: Literal[False] = False,
    keeps_shape: bool = False,
    cut_kind: str = "nondiff_op",
    checks: Mapping[str, Check] = _NO_CHECKS,
    views: bool | None = None,
    lists: tuple[str, ...] = (),
) -> Callable[..., Tensor]: ...


@overload
def op(
    signature: str,
    doc: str,
    *rules: Rule | None,
    impl: Callable[..., Any] | None = None,
    impl_numpy: Callable[..., Any] | None = None,
    outputs: Literal[True],
    keeps_shape: bool = False,
    cut_kind: str = "nondiff_op",
    checks: Mapping[str, Check] = _NO_CHECKS,
    views: bool | None = None,
    lists: tuple[str, ...] = (),
) -> Callable[..., tuple[Tensor, ...]]: ...


def op(
    signature: str,
    doc: str,
    *rules: Rule | None,
    impl: Callable[..., Any] | None = None,
    impl_numpy: Callable[..., Any] | None = None,
    outputs: bool = False,
    keeps_shape: bool = False,
    cut_kind: str = "nondiff_op",
    checks: Mapping[str, Check] = _NO_CHECKS,
    views: bool | None = None,
    lists: tuple[str, ...] = (),
) -> Callable[..., Any]:
    """Make an op from one row of a table (see the head of this module).

    `impl(xp, *arrays, **statics)` computes on raw arrays; left out, the namespace's own function of
    the op's name does. `outputs` says that the result is a tuple of arrays; the rules' `g` and
    `ans` are tuples then. `keeps_shape` promises that each rule's result has its argument's shape
    and dtype. `cut_kind` is what a call on a watched value is called where there is no rule.
    `checks` has, for static arguments that the array library would take for something, the function
    of `headgate.core.checks` that says what they are, and its limits: `{"depth": (whole, 0)}`.
    `views` says that the result may be a view of an argument, or the argument itself: then no array
    is taken as it is that somebody could write to. Of others' rows that is not known, and taken for
    so. `lists` names the static arguments that may be lists or arrays: a rule that saves one gets
    it as it was.
    """
    module = sys._getframe(1).f_globals["__name__"]
    if views is None:
        views = module.partition(".")[0] != _PACKAGE
    row = Row(signature, rules, impl, outputs, keeps_shape, tuple(checks), views, lists)
    if hasattr(TENSORS, row.name):
        raise ValueError(f"there are two rows for the op {row.name!r}")
    made = Op(row.name, outputs, cut_kind, row.plans())
    made.rules = rules
    implementations[row.name] = {
        key: function
        for key, function in (("any", impl), ("numpy", impl_numpy))
        if function is not None
    }
    NUMPY.__dict__.pop(row.name, None) if impl or impl_numpy else None

    def write() -> None:
        function.__code__ = row.code()

    scope: dict[str, Any] = {
        **_USED,
        "OP": made,
        "implementations": _Implementations(row.name),
        "write": write,
    }
    scope.update((f"rule_{k}", rule) for k, rule in enumerate(rules))
    scope.update((f"check_{name}", _check(row.name, name, *checks[name])) for name in checks)
    exec(compile(row.stub(), row.file, "exec"), scope)
    linecache.cache[row.file] = 0, None, row, row.file  # type: ignore[assignment]
    function: Any = scope[row.name]
    function.__doc__ = doc
    function.__module__ = module
    function.__qualname__ = row.name
    function.op = made
    setattr(TENSORS, row.name, function)
    return function  # type: ignore[no-any-return]


def _check(whose: str, name: str, check: Callable[..., Any], *limits: Any) -> Callable[[Any], Any]:
    return lambda value: check(whose, name, value, *limits)


def public(function: Function) -> Function:
    """Make a plain function of tensors (a composition of ops) known to rules as `xp.<its name>`."""
    name = function.__name__
    if hasattr(TENSORS, name):
        raise ValueError(f"there are two functions named {name!r}")
    setattr(TENSORS, name, function)
    return function


# -- recording -------------------------------------------------------------------------------------


def _sever(recording: Recording, op: Op, live: int, cuts: int, value: Array) -> int:
    if recording.walking:  # a rule's own comparisons and sorts are nobody's mistake
        return 0
    return recording.cuts.add(op.cut_kind, live, cuts, op.name, shape_of(value))


def pick_node(
    many: Node, index: int, live: int, cuts: int, site: tuple[CodeType, int] | None
) -> Node:
    """Return a node for one output of an op with several."""
    edges = ((many, _pick, (index,), None, None),)
    return new_node(Node, many.recording, PICK, edges, live, cuts, site)


def _pick(g: Any, index: int) -> Parts:
    return Parts({index: g})


def record_outputs(
    op: Op,
    values: Sequence[Any],
    masks: Sequence[tuple[int, int]],
    parents: Sequence[Node | None],
    edges: tuple[Any, ...],
) -> list[Any]:
    """Return a tensor for each value (None for None), outputs of one node with these edges.

    `masks` has, for each value, what is live in it and the cuts before it; `parents` are the nodes
    of the inputs.
    """
    recording = state.recording
    live = cuts = 0
    for its_live, its_cuts in masks:
        if its_live:
            live |= its_live
            cuts |= its_cuts
    if live:
        many = new_node(Node, recording, op, edges, live, cuts, where())
    results = []
    for index, (value, (its_live, its_cuts)) in enumerate(zip(values, masks, strict=True)):
        if its_live:
            node: Node | None = pick_node(many, index, its_live, its_cuts, many.site)
        else:
            node = ghost(recording, its_cuts, *parents)
        results.append(None if value is None else tensor_of(value, node))
    if recording.onlooker is not None:
        present = [result for result in results if result is not None]
        if present:
            recording.onlooker.op(op, parents, edges, *present)
    return results


class JointRule:
    """One rule for all inputs of a node with several outputs, asked once per walk.

    When the first input asks, `call` is given the cotangents that have arrived, by output, and
    whether a tape looks on, and returns a gradient or None for each input; the cotangents keep that
    answer for the others. `reach` says, for each output, which inputs it depends on: the others
    get nothing from it. `take` looks at each gradient that is taken out of the answer.
    """

    __slots__ = ("call", "reach", "take")

    def __init__(
        self,
        call: Callable[[dict[int, Tensor], bool], list[Any]],
        reach: Sequence[Sequence[bool]],
        take: Callable[[Any, int], Any] | None = None,
    ) -> None:
        self.call = call
        self.reach = reach
        self.take = take

    def __call__(self, g: Parts, number: int) -> Any:
        if not any(self.reach[output][number] for output in g.parts):
            return None
        recorded = any(type(part) is Tensor for part in g.parts.values())
        if g.answer is None:
            cotangents = {output: as_tensor(part) for output, part in g.parts.items()}
            g.answer = self.call(cotangents, recorded)
        found = g.answer[number]
        if self.take is not None:
            found = self.take(found, number)
        return found if found is None or recorded else as_tensor(found).value


def _record_many(
    op: Op,
    ans: tuple[Array, ...],
    parents: tuple[Node | None, ...],
    edges: tuple[Any, ...],
    live: int,
    cuts: int,
) -> Any:
    """Wrap the results of an op with several outputs; those of integer dtype have no gradient."""
    recording = state.recording
    masks = [
        (live, cuts)
        if not live or is_inexact(output)
        else (0, cuts | _sever(recording, op, live, cuts, output))
        for output in ans
    ]
    whole = tuple(edge and (edge[0], _of_whole(edge[1], ans), *edge[2:]) for edge in edges)
    return _like_tuple(ans, record_outputs(op, ans, masks, parents, whole))


def _of_whole(rule: Rule, ans: tuple[Array, ...]) -> Rule:
    def apply(g: Parts, *args: Any) -> Any:
        if hasattr(rule, "sees_missing"):
            return rule(tuple(map(g.parts.get, range(len(ans)))), *args)
        return rule(g.whole(owner[type(ans[0])], ans), *args)

    return apply


def sees_missing(rule: Rule) -> Rule:
    """Give the rule of an op with several outputs None, and not zeros, where nothing arrived."""
    rule.sees_missing = True  # type: ignore[attr-defined]
    return rule


def _like_tuple(ans: tuple[Array, ...], results: list[Tensor]) -> Any:
    """Return results as the implementation did: a plain tuple or its named tuple."""
    make: Any = type(ans)
    return make(*results) if hasattr(ans, "_fields") else tuple(results)


def _constants(ans: tuple[Array, ...]) -> Any:
    return _like_tuple(ans, list(map(constant, ans)))


def _record_list(
    op: Op,
    implementations: _Implementations,
    rule: Rule | None,
    needs: tuple[str, ...],
    name: str,
    arrays: Any,
    statics: dict[str, Any],
) -> Tensor:
    """Compute and record an op on a list of arrays: the generated function as a loop."""
    if type(arrays) is Tensor or not isinstance(arrays, Sequence):
        arrays = [as_tensor(arrays)[k] for k in range(len(as_tensor(arrays)))]
    if not arrays:
        fail_with(op, ValueError("needs at least one array"), {}, statics)
    table = keepers if name in needs else borrowers
    lifted = [table[type(array)](array) for array in arrays]
    values = [value for value, _ in lifted]
    kind = common(*map(type, values))
    try:
        ans = implementations[kind](values, **statics)
    except Exception as error:
        pairs = zip(arrays, values, strict=True)
        fail(op, error, {f"{name}[{k}]": pair for k, pair in enumerate(pairs)}, statics)
    if all(node is None for _, node in lifted):
        return constant(ans if getattr(ans, "base", None) is None else owned(ans))
    recording = state.recording
    live = cuts = 0
    known = {
        name: values,
        "ans": ans,
        "xp": owner[kind],
        f"{name}_shapes": tuple(map(shape_of, values)),
        **statics,
    }
    edges: list[Any] = []
    for index, (value, node) in enumerate(lifted):
        edge = None
        if node is not None:
            its_live, its_cuts = recording.admit(node)
            live |= its_live
            cuts |= its_cuts
            if its_live and rule is not None:
                saved = tuple(index if need == "index" else known[need] for need in needs)
                edge = (node, rule, saved, value.shape, value.dtype)
        edges.append(edge)
    if live and rule is not None:
        node = new_node(Node, recording, op, tuple(edges), live, cuts, where())
        result = tensor_of(ans, node)
    else:
        if live:
            cuts |= _sever(recording, op, live, cuts, ans)
        result = tensor_of(ans, ghost(recording, cuts, *[node for _, node in lifted]))
    if recording.onlooker is not None:
        recording.onlooker.op(op, [node for _, node in lifted], edges, result)
    return result


_USED = {
    "lifters": lifters,
    "keepers": keepers,
    "mutable": {list, np.ndarray},
    "frozen": frozen,
    "borrowers": borrowers,
    "optional_lifters": optional_lifters,
    "optional_keepers": optional_keepers,
    "optional_borrowers": optional_borrowers,
    "Tensor": Tensor,
    "Node": Node,
    "common": common,
    "NUMBERS": NUMBERS,
    "beside_floats": beside_floats,
    "owner": owner,
    "state": state,
    "sequence": sequence,
    "ghost": ghost,
    "user_line": where,
    "shape_of": shape_of,
    "dtype_of": dtype_of,
    "as_array": np.asarray,
    "sever": _sever,
    "is_inexact": is_inexact,
    "constants": _constants,
    "record_many": _record_many,
    "record_list": _record_list,
    "fail": fail,
}
"""What the functions that are written for rows call besides."""
