"""Rows: what a line of the table says, and the text of the function that is made of it.

A row's signature names arrays, then static parameters; each of its rules names what it saves. From
these a `Row` writes the text of a Python function, as `dataclasses` does, because this is the
hottest path of the library: unrolled over its arguments, with the rules' needs spelled out, a call
costs about a microsecond over the array library's own. For `multiply(x, y)` it reads, shortened:

    x_value, x_node = (x.value, x.node) if type(x) is Tensor else keepers[type(x)](x)  # same for y
    ans = implementations[type(x_value)](x_value, y_value)
    if x_node is None and y_node is None: return constant(ans)
    live, cuts = x_node.live | y_node.live, x_node.cuts | y_node.cuts
    edges = (x_node, x_rule, (y_value,), x_value.shape, x_value.dtype), (y_node, y_rule, ...)
    return tensor_of(ans, Node(sequence(), op, edges, live, cuts, recording))

`inspect.getsource(headgate.multiply)` shows the whole.

Most programs use few of the ops, and compiling all of them takes longer than importing NumPy. So a
function is born with a **stub** for its code, one line with the right signature, and takes on its
own code when it is first called, or its text when somebody first asks for that: a traceback, a
debugger, `inspect`. It is the same function before and after.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any

Rule = Callable[..., Any]


class Op:
    """What the walk and the reports know about a row: its name, rules and what each rule needs."""

    __slots__ = ("cut_kind", "name", "outputs", "plans", "rules")

    def __init__(
        self, name: str, outputs: bool, cut_kind: str, plans: Sequence[Sequence[str | int]] = ()
    ) -> None:
        self.name = name
        self.outputs = outputs
        self.cut_kind = cut_kind
        self.plans = plans
        self.rules: Sequence[Rule | None] = ()

    def __repr__(self) -> str:
        return f"<op {self.name}>"


PASS = Op("identity", False, "", [()])
"""The op of nodes that hand their cotangent on: watched results."""

PICK = Op("output", True, "", [("",)])
"""The op of nodes that stand for one output of an op with several."""


def names_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's parameters."""
    if type(function) is FunctionType and not hasattr(function, "__wrapped__"):
        code = function.__code__  # five times as fast as a signature
        if not code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
            return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return tuple(inspect.signature(function).parameters)


class Row(Sequence[str]):
    """A row's signature, taken apart; as a sequence, the lines of its function.

    `needs` has, for each rule, the names of what it saves.
    """

    def __init__(
        self,
        signature: str,
        rules: tuple[Rule | None, ...],
        impl: Callable[..., Any] | None,
        outputs: bool,
        keeps_shape: bool,
        checked: tuple[str, ...] = (),
        views: bool = False,
        lists: tuple[str, ...] = (),
    ) -> None:
        self.views = views
        self.lists = lists
        self.listed = "([" in signature
        self.outputs = outputs
        self.keeps_shape = keeps_shape
        self.checked = checked
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
        self.needs = [() if rule is None else self._needs(rule) for rule in rules]
        known = {"ans", "xp", *self.arrays, *self.statics}
        known |= {f"{name}_{what}" for name in self.arrays for what in ("shape", "dtype")}
        if self.listed:
            known |= {"index", f"{self.arrays[0]}_shapes"}
        for needs in self.needs:
            unknown = [name for name in needs if name not in known]
            if unknown:
                raise ValueError(
                    f"op {signature!r}: a rule asks for {', '.join(unknown)}; "
                    f"it can have g first, then any of {', '.join(sorted(known))}"
                )
        if not {*checked} <= {*self.statics} or (checked and self.listed):
            raise ValueError(f"op {signature!r}: no static arguments to check: {checked}")
        if not {*lists} <= {*self.statics} or (lists and self.listed):
            raise ValueError(f"op {signature!r}: no static arguments that could be lists: {lists}")
        if impl is not None:
            accepted = list(names_of(impl))
            if accepted != ["xp", *self.arrays, *self.statics]:
                raise ValueError(f"op {signature!r}: the implementation takes {accepted}")

    @staticmethod
    def _needs(rule: Rule) -> tuple[str, ...]:
        first, *others = names_of(rule)
        if first != "g":
            raise ValueError(f"the first parameter of a rule is g, not {first}")
        return tuple(others)

    def plans(self) -> list[list[str | int]]:
        """Return for each rule what it saves: an argument's number, "ans", "xp" or "" (static)."""
        return [
            [
                self.arrays.index(name)
                if name in self.arrays and not self.listed
                else (name if name in ("ans", "xp", *self.arrays) else "")
                for name in needs
            ]
            for needs in self.needs
        ]

    # -- the function -----------------------------------------------------------------------------

    @property
    def file(self) -> str:
        """The name under which the text of the function is known."""
        return f"<headgate op {self.name}>"

    def stub(self) -> str:
        """Return the text of a function that becomes its own on its first call."""
        arguments = ", ".join([*self.arrays, *self.statics])
        return f"{self.head()} write(); return {self.name}({arguments})"

    def code(self) -> CodeType:
        """Return the function's own code."""
        made: dict[str, Any] = {}
        exec(compile("".join(self), self.file, "exec"), made)
        code: CodeType = made[self.name].__code__
        return code

    @functools.cached_property
    def _text(self) -> list[str]:
        return [f"{line}\n" for line in self.lines()]

    def __len__(self) -> int:
        return len(self._text)

    def __getitem__(self, index: Any) -> Any:
        return self._text[index]

    def head(self) -> str:
        parameters = [
            f"{name}={self.defaults[name]!r}" if name in self.defaults else name
            for name in (*self.arrays, *self.statics)
        ]
        return f"def {self.name}({', '.join(parameters)}):"

    def lines(self) -> Iterator[str]:
        """Yield the lines of the function."""
        yield self.head()
        yield from self._body_of_list() if self.listed else self._body()

    def _saved(self, name: str, owner_of_rule: str) -> str:
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
        if name in self.lists:
            return f"{name} if type({name}) not in mutable else frozen({name})"
        return name

    def _body(self) -> Iterator[str]:
        arrays = self.arrays
        for name in arrays:
            table = self._table(name)
            if name in self.optional:
                table = f"optional_{table}"
            yield f"    if type({name}) is Tensor:"
            yield f"        {name}_value = {name}.value"
            yield f"        {name}_node = {name}.node"
            yield "    else:"
            yield f"        {name}_value, {name}_node = {table}[type({name})]({name})"
        first = arrays[0]
        yield f"    kind = type({first}_value)"
        if len(arrays) == 2:
            yield f"    if kind is not type({arrays[1]}_value):"
            yield from self._beside_number(*arrays)
        elif len(arrays) > 2:
            types = ", ".join(f"type({name}_value)" for name in arrays)
            given = ", ".join(f"{name}_value" for name in arrays)
            yield f"    kind = common({types})"
            yield f"    if float in ({types}):"
            yield f"        {given} = beside_floats({given})"
        values = ", ".join(f"{name}_value" for name in arrays)
        statics = ", ".join(f"{name}={name}" for name in self.statics)
        yield "    try:"
        for name in self.checked:
            yield f"        if {self._unlike_default(name)}:"
            yield f"            {name} = check_{name}({name})"
        yield f"        ans = implementations[kind]({values}{', ' if statics else ''}{statics})"
        yield "    except Exception as error:"
        given = ", ".join(f"{name}=({name}, {name}_value)" for name in arrays)
        yield f"        fail(OP, error, dict({given}), dict({statics}))"
        yield f"    if {' and '.join(f'{name}_node is None' for name in arrays)}:"
        if self.outputs:
            yield "        return constants(ans)"
        else:
            yield "        result = Tensor()"
            yield "        result.value = ans if hasattr(ans, 'dtype') else as_array(ans)"
            yield "        result.node = None"
            yield "        return result"
        yield "    recording = state.recording"
        if len(arrays) > 1 or self.rules[0] is None:
            yield "    live = cuts = 0"
        for number, name in enumerate(arrays):
            yield from self._edge(number, name)
        edges = _tuple(f"{name}_edge" for name in arrays)
        nodes = ", ".join(f"{name}_node" for name in arrays)
        parents = _tuple(f"{name}_node" for name in arrays)
        if self.outputs:
            yield f"    return record_many(OP, ans, {parents}, {edges}, live, cuts)"
            return
        yield "    result = Tensor()"
        yield "    result.value = ans"
        if any(self.rules):
            yield "    if live:"
            yield "        result.node = node = Node()"
            yield "        node.seq = sequence()"
            yield "        node.op = OP"
            yield f"        node.edges = {edges}"
            yield "        node.live = live"
            yield "        node.cuts = cuts"
            yield "        node.recording = recording"
            yield "        node.site = user_line()"
            yield "    else:"
            yield f"        result.node = ghost(recording, cuts, {nodes})"
        else:
            yield f"    result.node = ghost(recording, cuts, {nodes})"
        yield "    if recording.onlooker is not None:"
        yield f"        recording.onlooker.op(OP, {parents}, {edges}, result)"
        yield "    return result"

    def _unlike_default(self, name: str) -> str:
        """Return the text of a condition that is false for a default, which needs no check."""
        default = self.defaults.get(name)
        if type(default) is bool:
            return f"{name} is not {default}"
        if type(default) in (int, float):
            return f"type({name}) is not {type(default).__name__} or {name} != {default!r}"
        return "True"

    @staticmethod
    def _beside_number(x: str, y: str) -> Iterator[str]:
        """Say which namespace serves values of two types, and keep bfloat16 beside a float."""
        yield f"        if type({y}_value) is not float:"
        yield f"            kind = common(kind, type({y}_value))"
        yield f"            if type({x}_value) is float and dtype_of({y}_value).kind == 'V':"
        yield f"                {x}_value = {y}_value.dtype.type({x}_value)"
        yield f"        elif kind not in NUMBERS and {x}_value.dtype.kind == 'V':"
        yield f"            {y}_value = {x}_value.dtype.type({y}_value)"

    def _table(self, name: str) -> str:
        """Return the table by which an argument is lifted: see `headgate.core.lift`.

        A rule of another argument may save it; its own rule does not run for an array.
        """
        if self.views:
            return "lifters"
        others = (
            needs for other, needs in zip(self.arrays, self.needs, strict=True) if other != name
        )
        return "keepers" if any(name in needs for needs in others) else "borrowers"

    def _edge(self, number: int, name: str) -> Iterator[str]:
        rule = self.rules[number]
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
        saved = _tuple(self._saved(need, name) for need in self.needs[number])
        like = "None, None" if self.keeps_shape else f"{name}_value.shape, {name}_value.dtype"
        yield f"{pad}if {name}_live:"
        yield f"{pad}    {name}_edge = ({name}_node, rule_{number}, {saved}, {like})"

    def _body_of_list(self) -> Iterator[str]:
        name = self.arrays[0]
        statics = ", ".join(f"{name}={name}" for name in self.statics)
        rule = "rule_0" if self.rules[0] is not None else "None"
        yield (
            f"    return record_list(OP, implementations, {rule}, {self.needs[0]}, {name!r}, "
            f"{name}, dict({statics}))"
        )


def _tuple(items: Iterable[str]) -> str:
    """Return the text of a tuple."""
    first, *others = [*items] or [""]
    return f"({', '.join([first, *others])})" if others or not first else f"({first},)"
