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

From the row, `op` writes the text of a Python function and compiles it, as `dataclasses` does,
because this is the hottest path of the library: unrolled over its arguments, with the rules' needs
spelled out, a call costs about a microsecond over the array library's own. For `multiply(x, y)` it
reads, shortened:

    x_value, x_node = (x.value, x.node) if type(x) is Tensor else lift(x)      # the same for y
    ans = implementations[type(x_value)](x_value, y_value)
    if x_node is None and y_node is None: return constant(ans)
    live, cuts = x_node.live | y_node.live, x_node.cuts | y_node.cuts
    edges = (x_node, x_rule, (y_value,), x_value.shape, x_value.dtype), (y_node, y_rule, ...)
    return tensor_of(ans, Node(sequence(), op, edges, live, cuts, recording))

Save the raw value and the parent's node, never the argument's tensor; save `ans` raw: the walk
wraps both again if it must, and a node that held its own tensor would be a reference cycle.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from headgate.core.namespace import NUMPY, TENSORS, Array, common, implementations, owner
from headgate.core.tensor import Tensor, came_back, constant, is_traced, raw, tensor_of
from headgate.record.graph import (
    Node,
    Recording,
    TracingError,
    ghost,
    refusal,
    sequence,
    state,
    where,
)

Rule = Callable[..., Any]
Lifted = tuple[Array, Node | None]

# -- arguments
# --------------------------------------------------------------------------------------


def _lift_array(value: Any) -> Lifted:
    array = raw(value, what="argument")
    return array, came_back(value) if state.recording.departed else None


def _lift_scalar(value: Any) -> Lifted:
    return value, came_back(value) if state.recording.departed else None


def _lift_number(value: Any) -> Lifted:
    number = value.item()
    return number, came_back(number) if state.recording.departed else None


def _lift_none(value: Any) -> Lifted:
    raise refusal(TypeError, "expected a tensor, a variable, an array or a number, got None")


def _lift_sequence(value: Any) -> Lifted:
    """A list with tensors in it is stacked, differentiably; any other is converted at once."""
    if holds_tensor(value):
        stacked = TENSORS.stack(value)
        return stacked.value, stacked.node
    return _lift_array(value)


def holds_tensor(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(holds_tensor(item) for item in value)
    return type(value) is Tensor or (type(value) in lifters and lifters[type(value)] not in _PLAIN)


class _Lifters(dict[type, Callable[[Any], Lifted]]):
    def __missing__(self, kind: type) -> Callable[[Any], Lifted]:
        found: Callable[[Any], Lifted]
        for base in kind.__mro__[1:]:
            if base in self and base is not object:
                found = self[base]
                break
        else:
            found = _lift_array
        self[kind] = found
        return found


_PLAIN = (_lift_array, _lift_scalar, _lift_number, _lift_none, _lift_sequence)
lifters: _Lifters = _Lifters(
    {
        Tensor: lambda tensor: (tensor.value, tensor.node),
        float: _lift_scalar,
        int: _lift_scalar,
        bool: _lift_scalar,
        complex: _lift_scalar,
        # These two are Python's float and complex to Python, and to us: `x / np.sqrt(n)` must not
        # turn a float32 computation into a float64 one.
        np.float64: _lift_number,
        np.complex128: _lift_number,
        type(None): _lift_none,
        list: _lift_sequence,
        tuple: _lift_sequence,
    }
)
"""How each type of argument becomes (raw value, node). `headgate.core.variable` adds its own
row."""


def lift(value: Any) -> Lifted:
    """Return an argument's raw value and its node. Python numbers stay weakly typed (NEP 50)."""
    return lifters[type(value)](value)


def lift_optional(value: Any) -> Lifted:
    """Lift an argument that may be left out."""
    return (None, None) if value is None else lifters[type(value)](value)


def as_tensor(value: Any) -> Tensor:
    """Return a tensor for any argument that an op accepts, with its history."""
    if type(value) is Tensor:
        return value
    array, node = lift(value)
    return tensor_of(array if hasattr(array, "dtype") else np.asarray(array), node)


def shape_of(value: Array) -> tuple[int, ...]:
    """Return the shape of a raw array or Python number."""
    return getattr(value, "shape", ())


def dtype_of(value: Array) -> Any:
    """Return the dtype of a raw array or Python number."""
    return value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype


# -- the op
# -----------------------------------------------------------------------------------------


class Op:
    """What the walk and the reports know about a row: its name, rules and what each rule needs."""

    __slots__ = ("cut_kind", "name", "outputs", "plans", "rules")

    def __init__(self, name: str, outputs: bool, cut_kind: str) -> None:
        self.name = name
        self.outputs = outputs
        self.cut_kind = cut_kind
        self.plans: list[Sequence[str | int]] = []
        self.rules: Sequence[Rule | None] = ()

    def __repr__(self) -> str:
        return f"<op {self.name}>"


PASS = Op("identity", False, "")
"""The op of nodes that hand their cotangent on: watched results."""

PICK = Op("output", True, "")
"""The op of nodes that stand for one output of an op with several."""


class Parts:
    """The cotangents of an op with several outputs, as far as they have arrived."""

    __slots__ = ("answer", "dtype", "parts", "shape")

    def __init__(self, parts: dict[int, Any]) -> None:
        self.parts = parts
        self.answer: Any = None  # what a custom rule gave for them (headgate.custom)
        self.shape = self.dtype = None

    def __add__(self, other: Parts) -> Parts:
        merged = dict(self.parts)
        for index, part in other.parts.items():
            merged[index] = merged[index] + part if index in merged else part
        return Parts(merged)

    def whole(self, xp: Any, like: Sequence[Array]) -> tuple[Any, ...]:
        """Return one cotangent per output, zeros where nothing arrived."""
        return tuple(
            self.parts[k] if k in self.parts else xp.zeros_like(output)
            for k, output in enumerate(like)
        )


class Product:
    """A cotangent `sum of x.T @ g` over pairs, on NumPy arrays, not multiplied out yet.

    A weight used at many steps gets one such product from each. Gathered, they are one long matrix
    product instead of many short ones, and there is nothing to add up.
    """

    __slots__ = ("dtype", "pairs", "shape", "total")

    most = 64  # pairs held at a time: what they refer to cannot be freed before

    def __init__(self, pairs: list[tuple[Array, Array]], total: Array | None = None) -> None:
        x, g = pairs[0]
        self.pairs = pairs
        self.total = total
        self.shape = (x.shape[1], g.shape[1])
        self.dtype = g.dtype

    def __add__(self, other: Any) -> Any:
        if type(other) is not Product:
            return self.value() + other
        pairs = self.pairs + other.pairs
        if len(pairs) < self.most and self.total is other.total is None:
            return Product(pairs)
        return self.value() + other.value()

    def __iadd__(self, other: Any) -> Any:
        if type(other) is not Product or other.total is not None:
            return self.value() + other
        if len(self.pairs) >= self.most:
            self.total, self.pairs = self.value(), []
        self.pairs += other.pairs
        return self

    def value(self) -> Array:
        """Return the sum of the products as an array."""
        if len(self.pairs) == 1:
            x, g = self.pairs[0]
        else:
            x, g = (np.concatenate(column) for column in zip(*self.pairs, strict=True))
        product = x.T @ g
        if self.total is not None:
            product += self.total
        return product


def pass_through(g: Any) -> Any:
    """Return the cotangent unchanged."""
    return g


def _pick(g: Any, index: int) -> Parts:
    return Parts({index: g})


class _Implementations(dict[type, Callable[..., Any]]):
    """Array type -> this op's function for it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __missing__(self, kind: type) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(owner[kind], self.name)
        self[kind] = found
        return found


def op(
    signature: str,
    doc: str,
    *rules: Rule | None,
    impl: Callable[..., Any] | None = None,
    impl_numpy: Callable[..., Any] | None = None,
    impl_jax: Callable[..., Any] | None = None,
    outputs: bool = False,
    keeps_shape: bool = False,
    cut_kind: str = "nondiff_op",
) -> Callable[..., Any]:
    """Make an op from one row of a table (see the head of this module).

    `impl(xp, *arrays, **statics)` computes on raw arrays; left out, the namespace's own function of
    the op's name does. `outputs` says that the result is a tuple of arrays; the rules' `g` and
    `ans` are tuples then. `keeps_shape` promises that each rule's result has its argument's shape
    and dtype. `cut_kind` is what a call on a watched value is called where there is no rule.
    """
    row = _Row(signature, rules, impl, outputs)
    made = Op(row.name, outputs, cut_kind)
    implementations[row.name] = {
        key: function
        for key, function in (("any", impl), ("numpy", impl_numpy), ("jax", impl_jax))
        if function is not None
    }
    NUMPY.__dict__.pop(row.name, None) if impl or impl_numpy else None
    scope: dict[str, Any] = {
        "OP": made,
        "implementations": _Implementations(row.name),
        "lifters": lifters,
        "lift_optional": lift_optional,
        "Tensor": Tensor,
        "Node": Node,
        "common": common,
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
        "record_many": _record_many,
        "record_list": _record_list,
        "fail": _fail,
    }
    scope.update((f"rule_{k}", rule) for k, rule in enumerate(rules))
    scope.update((f"default_{name}", default) for name, default in row.defaults.items())
    made.plans = [row.plan(rule) for rule in rules]
    made.rules = rules
    text = row.text_of_list(made) if row.listed else row.text(keeps_shape)
    exec(compile(text, f"<headgate op {row.name}>", "exec"), scope)
    function: Callable[..., Any] = scope[row.name]
    function.__doc__ = doc
    function.__module__ = sys._getframe(1).f_globals["__name__"]
    function.__qualname__ = row.name
    function.op = made  # type: ignore[attr-defined]
    if hasattr(TENSORS, row.name):
        raise ValueError(f"there are two rows for the op {row.name!r}")
    setattr(TENSORS, row.name, function)
    return function


def public(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a plain function of tensors (a composition of ops) known to rules as `xp.<its name>`."""
    name = function.__name__
    if hasattr(TENSORS, name):
        raise ValueError(f"there are two functions named {name!r}")
    setattr(TENSORS, name, function)
    return function


# -- from the row to the function
# -------------------------------------------------------------------


class _Row:
    """A row's signature, taken apart, and the text of its function."""

    def __init__(
        self, signature: str, rules: tuple[Rule | None, ...], impl: Rule | None, outputs: bool
    ) -> None:
        self.listed = "([" in signature
        self.outputs = outputs
        plain = signature.replace("([", "(").replace("]", "", 1) if self.listed else signature
        definition = ast.parse(f"def {plain}: pass").body[0]
        assert isinstance(definition, ast.FunctionDef)
        self.name = definition.name
        self.arrays = [argument.arg for argument in definition.args.args]
        self.statics = [argument.arg for argument in definition.args.kwonlyargs]
        texts: dict[str, ast.expr | None] = dict(
            zip(reversed(self.arrays), reversed(definition.args.defaults), strict=False)
        )
        texts.update(zip(self.statics, definition.args.kw_defaults, strict=True))
        self.defaults = {
            name: ast.literal_eval(text) for name, text in texts.items() if text is not None
        }
        self.optional = [name for name in self.arrays if name in self.defaults]
        self.rules = rules
        if len(rules) != len(self.arrays):
            raise ValueError(f"op {signature!r}: {len(rules)} rules for {len(self.arrays)} arrays")
        known = {"ans", "xp", *self.arrays, *self.statics}
        known |= {f"{name}_{what}" for name in self.arrays for what in ("shape", "dtype")}
        if self.listed:
            known |= {"index", f"{self.arrays[0]}_shapes"}
        for rule in rules:
            unknown = [name for name in self.needs(rule) if name not in known]
            if unknown:
                raise ValueError(
                    f"op {signature!r}: a rule asks for {', '.join(unknown)}; "
                    f"it can have g first, then any of {', '.join(sorted(known))}"
                )
        if impl is not None:
            accepted = list(inspect.signature(impl).parameters)
            if accepted != ["xp", *self.arrays, *self.statics]:
                raise ValueError(f"op {signature!r}: the implementation takes {accepted}")

    @staticmethod
    def needs(rule: Rule | None) -> list[str]:
        """Return the names that a rule saves: its parameters after `g`."""
        if rule is None:
            return []
        first, *others = inspect.signature(rule).parameters
        if first != "g":
            raise ValueError(f"the first parameter of a rule is g, not {first}")
        return others

    def plan(self, rule: Rule | None) -> list[str | int]:
        """Return what each saved value is: an argument's number, "ans", "xp" or "" (static)."""
        return [
            self.arrays.index(name)
            if name in self.arrays and not self.listed
            else (name if name in ("ans", "xp", *self.arrays) else "")
            for name in self.needs(rule)
        ]

    def saved(self, name: str, owner_of_rule: str) -> str:
        """Return the text of what is saved under a name."""
        if name in self.arrays:
            return f"{name}_value"
        if name == "xp":
            return "owner[kind]"
        argument, _, what = name.rpartition("_")
        if what in ("shape", "dtype") and argument in self.arrays:
            if argument == owner_of_rule:
                return f"{argument}_value.{what}"
            return f"{what}_of({argument}_value)"
        return name

    def head(self) -> str:
        parameters = [
            f"{name}=default_{name}" if name in self.defaults else name
            for name in (*self.arrays, *self.statics)
        ]
        return f"def {self.name}({', '.join(parameters)}):"

    def text(self, keeps_shape: bool) -> str:
        return "\n".join(self._lines(keeps_shape))

    def _lines(self, keeps_shape: bool) -> Iterator[str]:
        arrays = self.arrays
        yield self.head()
        for name in arrays:
            lifter = "lift_optional" if name in self.optional else f"lifters[type({name})]"
            yield f"    if type({name}) is Tensor:"
            yield f"        {name}_value = {name}.value"
            yield f"        {name}_node = {name}.node"
            yield "    else:"
            yield f"        {name}_value, {name}_node = {lifter}({name})"
        first = arrays[0]
        yield f"    kind = type({first}_value)"
        if len(arrays) == 2:
            yield f"    if kind is not type({arrays[1]}_value):"
            yield f"        kind = common(kind, type({arrays[1]}_value))"
        elif len(arrays) > 2:
            yield f"    kind = common({', '.join(f'type({name}_value)' for name in arrays)})"
        values = ", ".join(f"{name}_value" for name in arrays)
        statics = ", ".join(f"{name}={name}" for name in self.statics)
        yield "    try:"
        yield f"        ans = implementations[kind]({values}{', ' if statics else ''}{statics})"
        yield "    except Exception as error:"
        given = ", ".join(f"{name}=({name}, {name}_value)" for name in arrays)
        yield f"        fail(OP, error, dict({given}), dict({statics}))"
        yield f"    if {' and '.join(f'{name}_node is None' for name in arrays)}:"
        if self.outputs:
            yield "        return record_many(OP, state.recording, ans, (), 0, 0)"
        else:
            yield "        result = Tensor()"
            yield "        result.value = ans if hasattr(ans, 'dtype') else as_array(ans)"
            yield "        result.node = None"
            yield "        return result"
        yield "    recording = state.recording"
        if len(arrays) > 1 or self.rules[0] is None:
            yield "    live = cuts = 0"
        for number, (name, rule) in enumerate(zip(arrays, self.rules, strict=True)):
            yield from self._edge(number, name, rule, keeps_shape)
        edges = ", ".join(f"{name}_edge" for name in arrays)
        nodes = ", ".join(f"{name}_node" for name in arrays)
        if self.outputs:
            yield f"    results = record_many(OP, recording, ans, ({edges},), live, cuts)"
            yield "    if recording.log is not None:"
            yield f"        recording.log.op(OP, ({nodes},), ({edges},), *results)"
            yield "    return results"
            return
        yield "    result = Tensor()"
        yield "    result.value = ans"
        if any(self.rules):
            yield "    if live:"
            yield "        result.node = node = Node()"
            yield "        node.seq = sequence()"
            yield "        node.op = OP"
            yield f"        node.edges = ({edges},)"
            yield "        node.live = live"
            yield "        node.cuts = cuts"
            yield "        node.recording = recording"
            yield "        node.site = user_line()"
            yield "    else:"
            yield f"        result.node = ghost(recording, cuts, {nodes})"
        else:
            yield f"    result.node = ghost(recording, cuts, {nodes})"
        yield "    if recording.log is not None:"
        yield f"        recording.log.op(OP, ({nodes},), ({edges},), result)"
        yield "    return result"

    def _edge(self, number: int, name: str, rule: Rule | None, keeps_shape: bool) -> Iterator[str]:
        if len(self.arrays) == 1 and rule is not None:
            pad = "    "
            yield f"    {name}_edge = None"
        else:
            pad = "        "
            yield f"    {name}_edge = None"
            yield f"    if {name}_node is not None:"
        yield f"{pad}if {name}_node.recording is not recording or recording.paused:"
        yield f"{pad}    {name}_live, {name}_cuts = recording.admit({name}_node)"
        yield f"{pad}else:"
        yield f"{pad}    {name}_live = {name}_node.live"
        yield f"{pad}    {name}_cuts = {name}_node.cuts"
        if rule is None:
            # An argument without a gradient among others with one (a mask, say) is no news unless
            # gradient did flow into it.
            condition = f"{name}_live"
            if not any(self.rules):  # of whole numbers nobody expects a gradient
                condition += f" or {name}_cuts and is_inexact({name}_value)"
            yield f"{pad}cuts |= {name}_cuts"
            yield f"{pad}if {condition}:"
            yield f"{pad}    cuts |= sever(recording, OP, {name}_live, {name}_cuts, {name}_value)"
            return
        if len(self.arrays) == 1:
            yield f"{pad}live = {name}_live"
            yield f"{pad}cuts = {name}_cuts"
        else:
            yield f"{pad}live |= {name}_live"
            yield f"{pad}cuts |= {name}_cuts"
        saved = "".join(f"{self.saved(need, name)}, " for need in self.needs(rule))
        like = "None, None" if keeps_shape else f"{name}_value.shape, {name}_value.dtype"
        yield f"{pad}if {name}_live:"
        yield f"{pad}    {name}_edge = ({name}_node, rule_{number}, ({saved}), {like})"

    def text_of_list(self, made: Op) -> str:
        statics = ", ".join(f"{name}={name}" for name in self.statics)
        needs = self.needs(self.rules[0])
        rule = "rule_0" if self.rules[0] is not None else "None"
        return (
            f"{self.head()}\n    return record_list"
            f"(OP, implementations, {rule}, {needs}, {self.arrays[0]!r}, {self.arrays[0]}, "
            f"dict({statics}))"
        )


# -- what the functions call besides
# ----------------------------------------------------------------


def _sever(recording: Recording, op: Op, live: int, cuts: int, value: Array) -> int:
    if recording.walking:  # a rule's own comparisons and sorts are nobody's mistake
        return 0
    return recording.cut(op.cut_kind, live, cuts, op.name, shape_of(value))


def new_node(op: Op, edges: tuple[Any, ...], live: int, cuts: int, recording: Recording) -> Node:
    """Make the node of one application of an op."""
    node = Node()
    node.seq = sequence()
    node.op = op
    node.edges = edges
    node.live = live
    node.cuts = cuts
    node.recording = recording
    node.site = where()
    return node


def pick_node(many: Node, index: int) -> Node:
    """Return a node for one output of an op with several."""
    edge = (many, _pick, (index,), None, None)
    return new_node(PICK, (edge,), many.live, many.cuts, many.recording)


def _record_many(
    op: Op,
    recording: Recording,
    ans: tuple[Array, ...],
    edges: tuple[Any, ...],
    live: int,
    cuts: int,
) -> Any:
    """Wrap the results of an op with several outputs; those of integer dtype have no gradient."""
    if not live:
        node = ghost(recording, cuts)
        return _like_tuple(ans, [tensor_of(output, node) for output in ans])
    whole = tuple(edge and (edge[0], _of_whole(edge[1], ans), *edge[2:]) for edge in edges)
    many = new_node(op, whole, live, cuts, recording)
    results = []
    for index, output in enumerate(ans):
        if is_inexact(output):
            results.append(tensor_of(output, pick_node(many, index)))
        else:
            severed = cuts | _sever(recording, op, live, cuts, output)
            results.append(tensor_of(output, ghost(recording, severed)))
    return _like_tuple(ans, results)


def _of_whole(rule: Rule, ans: tuple[Array, ...]) -> Rule:
    def apply(g: Parts, *args: Any) -> Any:
        return rule(g.whole(owner[type(ans[0])], ans), *args)

    return apply


def _like_tuple(ans: tuple[Array, ...], results: list[Tensor]) -> Any:
    """Return results as the implementation did: a plain tuple or its named tuple."""
    make: Any = type(ans)
    return make(*results) if hasattr(ans, "_fields") else tuple(results)


INEXACT = "fcV"
"""Kinds of dtypes through which gradient can flow: floats of any width (V: bfloat16), complex."""


def is_inexact(value: Array) -> bool:
    """Tell whether gradient can flow through values of this dtype."""
    return dtype_of(value).kind in INEXACT


def _record_list(
    op: Op,
    implementations: _Implementations,
    rule: Rule | None,
    needs: list[str],
    name: str,
    arrays: Any,
    statics: dict[str, Any],
) -> Tensor:
    """Compute and record an op on a list of arrays: the generated function as a loop."""
    if type(arrays) is Tensor or not isinstance(arrays, Sequence):
        arrays = [as_tensor(arrays)[k] for k in range(len(as_tensor(arrays)))]
    if not arrays:
        fail_with(op, ValueError("needs at least one array"), {}, statics)
    lifted = [lift(array) for array in arrays]
    values = [value for value, _ in lifted]
    kind = common(*map(type, values))
    try:
        ans = implementations[kind](values, **statics)
    except Exception as error:
        pairs = zip(arrays, values, strict=True)
        _fail(op, error, {f"{name}[{k}]": pair for k, pair in enumerate(pairs)}, statics)
    if all(node is None for _, node in lifted):
        return constant(ans)
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
        result = tensor_of(ans, new_node(op, tuple(edges), live, cuts, recording))
    else:
        if live:
            cuts |= _sever(recording, op, live, cuts, ans)
        result = tensor_of(ans, ghost(recording, cuts))
    if recording.log is not None:
        recording.log.op(op, [node for _, node in lifted], edges, result)
    return result


def describe(value: Any) -> str:
    """Say what an argument is, in a few words: dtype and shape, or type and value."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    return f"{type(value).__name__} {value!r}"[:80]


_RAISED: tuple[type[Exception], ...] = (
    np.exceptions.AxisError,  # an IndexError and a ValueError
    TypeError,
    IndexError,
    ZeroDivisionError,
    NotImplementedError,
    MemoryError,
    ValueError,
)


def _fail(op: Op, error: Exception, arrays: dict[str, Any], statics: dict[str, Any]) -> NoReturn:
    """Raise an error again with what the user needs to find it: the op, its arguments, the line."""
    if getattr(error, "headgate_explained", False):
        raise error
    if _is_about_values(error) or any(map(_stands_in, statics.values())):
        raise _fail_of_trace(op, error, arrays, statics) from error
    fail_with(op, error, arrays, statics)


def _is_about_values(error: Exception) -> bool:
    """Tell whether JAX refused to make values out of a stand-in for an array."""
    return any(word in type(error).__name__ for word in ("Tracer", "Concret"))


def _stands_in(static: Any) -> bool:
    """Tell whether a static argument is a tensor whose values nobody knows."""
    return type(static) is Tensor and is_traced(static.value)


_MASKED = (
    "A mask takes as many elements as its values say, and shapes must be known then: keep all of "
    "them and put zeros in place of the others, with headgate.where(mask, x, 0.0)"
)
_SIZED = (
    "If these are sizes, indices of a shape or numbers of steps, name the argument that they come "
    "from in headgate.function(..., static_argnames=...); otherwise compute this outside of the "
    "function and pass the result in"
)


def _fail_of_trace(
    op: Op, error: Exception, arrays: dict[str, Any], statics: dict[str, Any]
) -> Exception:
    """Return an error about a stand-in: one that leaked, or one where values are needed."""
    if "Unexpected" in type(error).__name__:
        made = re.search(r"created on line (\S+:\d+)", str(error))
        leaked = [
            f"{name} ({describe(value)})" for name, (_, value) in arrays.items() if is_traced(value)
        ]
        return refusal(
            TracingError,
            f"{op.name}: {', '.join(leaked) or 'an argument'} is a traced tensor that leaked out "
            "of the function it was made in"
            + (f", at {made[1]}" if made else "")
            + ": it has no values. What a compiled function puts into a list, an attribute or a "
            "global name, it puts there once, when it is traced; return it from the function "
            "instead",
        )
    return refusal(
        TracingError,
        f"{op.name} needs the values of an array that is traced, and they are not known while a "
        f"function is being traced\n  given {_given(arrays, statics)}\n"
        + (_MASKED if "Boolean" in type(error).__name__ else _SIZED),
    )


def _has_name(given: Any) -> bool:
    return type(given) in lifters and isinstance(getattr(given, "name", None), str)


def fail_with(
    op: Op, error: Exception, arrays: dict[str, Any], statics: dict[str, Any]
) -> NoReturn:
    """Raise an error about a call of an op, naming arguments and the user's line."""
    kind = next((base for base in _RAISED if isinstance(error, base)), ValueError)
    raise refusal(kind, f"{op.name}: {error}\n  given {_given(arrays, statics)}") from error


def _given(arrays: dict[str, Any], statics: dict[str, Any]) -> str:
    """Say what an op was called with."""
    given = [
        f"{name}: {describe(value)}" + (f" (variable {given.name!r})" if _has_name(given) else "")
        for name, (given, value) in arrays.items()
        if value is not None
    ]
    given += [f"{name}={value!r}"[:80] for name, value in statics.items() if value is not None]
    return "; ".join(given) or "nothing"
