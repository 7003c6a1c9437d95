"""The arguments and results of a compiled function, taken apart and put together.

A program takes arrays and numbers in flat lists. `Given` takes the arguments of one call apart: the
arrays and numbers, and a key for all else, which is the function's *signature*: the structure of
the arguments, the shape and dtype of each array, the type of each number, and the value of
everything that is neither (texts, booleans, objects; what was named static; in TensorFlow's
functions Python numbers, which are constants there). A `Frame` keeps what
the arrays were taken out of, and puts others in; a `Form` does so for results.

Numbers stay Python's own, so that they are as weakly typed in a program as they are elsewhere.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import optree

from headgate.compile.executor import Executor, executor_of
from headgate.core.namespace import Array, is_array, is_foreign
from headgate.core.settings import Same
from headgate.core.tensor import Tensor, constant, native, raw
from headgate.core.traced import is_traced_kind
from headgate.core.variable import Variable
from headgate.record.errors import describe

ARRAY, SCALAR, NUMBER, STATIC, TRACED, CELL, NESTED = range(7)


class Sorts(dict[type, int]):
    """Type of an argument -> what it is to a program of an executor.

    Python numbers are arguments as well, or `constants`.
    """

    def __init__(self, executor: Executor, constants: bool = False) -> None:
        super().__init__(_SORTS)
        self.executor = executor
        if constants:
            self.update(dict.fromkeys((int, float, complex), STATIC))

    def __missing__(self, kind: type) -> int:
        if issubclass(kind, np.generic):
            found = SCALAR
        elif issubclass(kind, np.ndarray):
            found = ARRAY if kind is np.ndarray else SCALAR
        elif (owner := executor_of(kind)) is not None:
            found = TRACED if is_traced_kind(kind) else ARRAY if owner is self.executor else SCALAR
        elif optree.is_structseq_class(kind) or optree.is_namedtuple_class(kind):
            found = NESTED
        else:
            found = NESTED if _is_nested(kind) else SCALAR if is_foreign(kind) else STATIC
        self[kind] = found
        return found


_SORTS: dict[type, int] = {
    bool: STATIC,
    float: NUMBER,
    int: NUMBER,
    complex: NUMBER,
    np.float64: NUMBER,  # Python's own to us: see `headgate.core.lift.lifters`
    np.complex128: NUMBER,
    Variable: CELL,
}

_tables: dict[Any, Sorts] = {}


def sorts_of(executor: Executor, constants: bool = False) -> Sorts:
    """Return the table of an executor."""
    found = _tables.get((executor, constants))
    if found is None:
        found = _tables[executor, constants] = Sorts(executor, constants)
    return found


class Nested(Exception):
    """An argument has arguments in it."""


def key_of(value: Any) -> Any:
    """Return what stands in a signature for something that is no array of a program."""
    kind = type(value)
    if kind is Variable:
        return value._source
    if kind in (float, complex):
        return kind, repr(value)  # 0.0 and -0.0 differ, and nan is nan
    try:
        hash(value)
    except (TypeError, ValueError):
        return _key_by_value(kind, value)
    return kind, value


def _key_by_value(kind: type, value: Any) -> Any:
    """Return a key of something that may be changed in place, by what is in it now."""
    if isinstance(value, list | tuple):
        return kind, *map(key_of, value)
    if isinstance(value, dict):
        return kind, *((key_of(k), key_of(each)) for k, each in value.items())
    if isinstance(value, set):
        return kind, frozenset(map(key_of, value))
    if isinstance(value, bytearray):
        return kind, bytes(value)
    if dataclasses.is_dataclass(kind):
        return kind, *(key_of(getattr(value, f.name)) for f in dataclasses.fields(kind))
    if isinstance(value, np.ndarray) or is_foreign(kind):
        array = np.asarray(value)
        return kind, array.shape, array.dtype, array.tobytes()
    return Same(value)


# -- dataclasses -----------------------------------------------------------------------------------

NAMESPACE = "headgate"
"""Of optree: where dataclasses are registered as they are met, for this module alone."""


def _holds_arrays(value: Any) -> bool:
    leaves: list[Any] = optree.tree_leaves(value, namespace=NAMESPACE)
    if any(dataclasses.is_dataclass(type(x)) and _is_nested(type(x)) for x in leaves):
        return _holds_arrays(value)  # it is known now
    return any(type(x) is Tensor or is_array(x) or is_foreign(type(x)) for x in leaves)


class _Aside:
    """The fields of a dataclass that hold no arrays, compared by value."""

    __slots__ = ("fields", "key")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields
        self.key = tuple((name, key_of(value)) for name, value in fields.items())

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Aside) and other.key == self.key


def _take_apart(value: Any) -> Any:
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    inner = [name for name, field in fields.items() if _holds_arrays(field)]
    aside = _Aside({name: field for name, field in fields.items() if name not in inner})
    return [fields[name] for name in inner], (tuple(inner), aside), inner


def _put_together(kind: type, aside: Any, inner: Any) -> Any:
    made: Any = object.__new__(kind)
    names, others = aside
    for name, value in {**others.fields, **dict(zip(names, inner, strict=True))}.items():
        object.__setattr__(made, name, value)
    return made


def _is_nested(kind: type) -> bool:
    """Tell whether optree takes a type apart; dataclasses of users are registered here."""
    if optree.register_pytree_node.get(kind, namespace=NAMESPACE) is not None:
        return True
    if not dataclasses.is_dataclass(kind) or kind.__module__.partition(".")[0] == "headgate":
        return False
    together = functools.partial(_put_together, kind)
    known: Any = kind
    optree.register_pytree_node(known, _take_apart, together, namespace=NAMESPACE)
    return True


class Given:
    """The arguments of one call.

    `leaves` are what a program takes, `tensors` the same as they were given; `native` says that one
    of them is the executor's own array, `traced` that one is a stand-in of somebody else's trace.
    """

    __slots__ = ("key", "leaves", "native", "tensors", "traced")

    def __init__(self, flat: Iterable[Any], structure: Any, sorts: Sorts) -> None:
        key: list[Any] = [structure]
        leaves: list[Any] = []
        tensors: list[Any] = []
        self.native = self.traced = False
        for leaf in flat:
            value, kind = leaf, type(leaf)
            if kind is Tensor:
                value = leaf.value
                kind = type(value)
            sort = sorts[kind]
            if sort <= SCALAR:
                if sort == SCALAR:
                    value = np.asarray(raw(value))
                elif kind is not np.ndarray:
                    self.native = True
                elif not value.dtype.isnative:
                    value = native(value)
                key.append(value.shape)
                key.append(value.dtype)
                leaves.append(value)
                tensors.append(leaf)
            elif sort == NUMBER:
                if kind is np.float64 or kind is np.complex128:
                    value = value.item()
                key.append(type(value))
                leaves.append(value)
                tensors.append(leaf)
            elif sort == NESTED:
                raise Nested
            elif sort == TRACED:
                self.traced = True
            else:
                key.append(key_of(value))
        self.key = tuple(key)
        self.leaves = leaves
        self.tensors = tensors


class Quick:
    """Recognizes a call whose arguments are tensors and arrays like those of an earlier one.

    `forms` has type, shape and dtype of each array, and is `None` if there are other arguments.
    Before those, for an array that has one, the very object that says its form (`aval`): arrays of
    one origin share it, and that is quick to see.
    """

    __slots__ = ("forms", "native")

    def __init__(self, args: Sequence[Any], sorts: Sorts) -> None:
        self.forms: Any = []
        self.native = False
        for leaf in args:
            value = leaf.value if type(leaf) is Tensor else leaf
            foreign = type(value) is np.ndarray and not value.dtype.isnative
            if sorts[type(value)] != ARRAY or foreign:
                self.forms = None
                return
            self.forms.append((type(value), getattr(value, "aval", None), value.shape, value.dtype))
            self.native = self.native or type(value) is not np.ndarray

    def leaves(self, args: Sequence[Any]) -> list[Any] | None:
        """Return the arrays of a call if they are like those."""
        if len(args) != len(self.forms):
            return None
        leaves = []
        for leaf, (kind, form, shape, dtype) in zip(args, self.forms):
            value = leaf.value if type(leaf) is Tensor else leaf
            if type(value) is not kind:
                return None
            if (form is None or value.aval is not form) and (
                value.shape != shape or value.dtype is not dtype
            ):
                return None
            leaves.append(value)
        return leaves


class Parameters:
    """A function's parameters: their names, which are static, and the sorts of what they take."""

    def __init__(
        self,
        function: Callable[..., Any],
        static: Sequence[str],
        executor: Executor,
        constants: bool = False,
    ) -> None:
        self.sorts = sorts_of(executor, constants)
        try:
            self.all = dict(inspect.signature(function).parameters)
        except (TypeError, ValueError):  # a builtin
            self.all = {}
        self.function = function
        self.positional = [
            name
            for name, p in self.all.items()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        self.static = self.known("static_argnames", static)

    def known(self, option: str, names: Sequence[str]) -> tuple[str, ...]:
        """Return names of parameters; refuse others."""
        names = (names,) if isinstance(names, str) else tuple(names)
        anything = any(p.kind is p.VAR_KEYWORD for p in self.all.values())
        for name in names:
            if name not in self.all and not anything:
                raise ValueError(
                    f"{option}: {getattr(self.function, '__name__', self.function)} has no "
                    f"parameter {name!r}; it has {', '.join(self.all) or 'none'}"
                )
        return names

    def given(self, args: Any, kwargs: Any) -> Given:
        """Take the arguments of a call apart."""
        if not kwargs and not self.static:
            try:
                return Given(args, len(args), self.sorts)
            except Nested:
                pass
        args, kwargs, fixed = self._sifted(args, kwargs)
        given: Any = args, kwargs
        named = tuple((name, key_of(v)) for name, v in fixed.items())
        while True:
            flat, structure = optree.tree_flatten(given, namespace=NAMESPACE)
            try:
                return Given(flat, (structure, named), self.sorts)
            except Nested:  # a class that was met for the first time
                pass

    def _sifted(self, args: Any, kwargs: Any) -> tuple[Any, Any, dict[Any, Any]]:
        """Return the arguments with `None` for static ones, and these by position or name."""
        if not self.static:
            return args, kwargs, {}
        names = self.positional[: len(args)]
        fixed: dict[Any, Any] = {k: args[k] for k, name in enumerate(names) if name in self.static}
        fixed |= {name: value for name, value in kwargs.items() if name in self.static}
        return (
            tuple(None if k in fixed else arg for k, arg in enumerate(args)),
            {name: None if name in fixed else value for name, value in kwargs.items()},
            fixed,
        )

    def frame(self, args: Any, kwargs: Any) -> Frame:
        """Return what is left of arguments without their arrays and numbers."""
        args, kwargs, fixed = self._sifted(args, kwargs)
        given: Any = args, kwargs
        flat, structure = optree.tree_flatten(given, namespace=NAMESPACE)
        return Frame([HOLE if self._taken(leaf) else leaf for leaf in flat], structure, fixed)

    def _taken(self, leaf: Any) -> bool:
        """Tell whether a leaf of the arguments is one that a program takes."""
        return self.sorts[type(leaf.value if type(leaf) is Tensor else leaf)] <= NUMBER

    def described(self, args: Any, kwargs: Any) -> list[tuple[str, str, bool]]:
        """Return each leaf's name, what it is in words, and whether a program takes it."""
        found = []
        named = [
            (self.positional[k] if k < len(self.positional) else f"argument {k}", arg)
            for k, arg in enumerate(args)
        ]
        for name, arg in [*named, *sorted(kwargs.items())]:
            if name in self.static:
                found.append((name, f"{arg!r} (static)"[:80], False))
                continue
            paths, leaves, _ = optree.tree_flatten_with_path(arg, namespace=NAMESPACE)
            for path, leaf in zip(paths, leaves):
                place = name + "".join(f"[{step!r}]" for step in path)
                taken = self._taken(leaf)
                found.append((place, _in_words(leaf, taken), taken))
        return found


def _in_words(leaf: Any, taken: bool) -> str:
    if not taken:
        return f"{leaf!r} (static)"[:80]
    if isinstance(leaf, int | float | complex):
        return f"a {type(leaf).__name__}"
    return describe(leaf.value if type(leaf) is Tensor else leaf)


HOLE = object()


class Frame:
    """Arguments with holes in place of arrays and numbers.

    `structure` is one of optree's, or of another library that says how to `unflatten` it. `fixed`
    are arguments to put in as they are, by position or name.
    """

    __slots__ = ("fixed", "flat", "structure", "unflatten")

    def __init__(
        self,
        flat: list[Any],
        structure: Any,
        fixed: dict[Any, Any] | None = None,
        unflatten: Callable[[Any, Any], Any] = optree.tree_unflatten,
    ) -> None:
        self.flat = flat
        self.structure = structure
        self.fixed = fixed or {}
        self.unflatten = unflatten

    @property
    def key(self) -> Any:
        """What is the same for the same structure with the same things around the holes."""
        return self.structure, tuple(x if x is HOLE else key_of(x) for x in self.flat)

    def filled(self, leaves: Iterable[Any]) -> tuple[Any, Any]:
        """Return the arguments with these in the holes."""
        given = iter(leaves)
        flat = [next(given) if leaf is HOLE else leaf for leaf in self.flat]
        args, kwargs = self.unflatten(self.structure, flat)
        return (
            tuple(self.fixed.get(k, arg) for k, arg in enumerate(args)),
            {name: self.fixed.get(name, value) for name, value in kwargs.items()},
        )


class Form:
    """What a function returned, without the arrays: `arrays` are those, in the order of `kinds`.

    A kind is `Tensor`, or `None` for an array of the executor's library that stands alone; what is
    known when the function is traced is kept as it is.
    """

    __slots__ = ("arrays", "flat", "kinds", "single", "structure")

    def __init__(self, result: Any, executor: Executor) -> None:
        flat, self.structure = optree.tree_flatten(result, namespace=NAMESPACE)
        self.arrays: list[Array] = []
        self.kinds: list[Any] = []
        for leaf in flat:
            ours = type(leaf) is Tensor or type(leaf) is Variable
            value = leaf._value if type(leaf) is Variable else leaf.value if ours else leaf
            if executor.is_native(type(value)):
                self.arrays.append(value)
                self.kinds.append(Tensor if ours else None)
            else:
                self.kinds.append((constant(value) if ours else leaf,))
        tensors = all(kind is Tensor for kind in self.kinds)
        # Most results are one tensor, or some in a row.
        self.single = type(result) is Tensor and tensors
        row = type(result) is tuple and all(type(each) is Tensor for each in result)
        self.flat = row and tensors

    def filled(self, tensors: Sequence[Tensor]) -> Any:
        """Return the result with these in place of the arrays."""
        if self.single:
            return tensors[0]
        if self.flat:
            return tuple(tensors)
        given = iter(tensors)
        flat = []
        for kind in self.kinds:
            if type(kind) is tuple:
                flat.append(kind[0])
            else:
                tensor = next(given)
                flat.append(tensor if kind is Tensor else tensor.value)
        return optree.tree_unflatten(self.structure, flat)

    @staticmethod
    def of_tensors(result: Any, executor: Executor) -> list[Tensor]:
        """Return the tensors of a result whose arrays a program returns, in the same order."""
        found = []
        for leaf in optree.tree_leaves(result, namespace=NAMESPACE):
            if type(leaf) is Variable:
                leaf = leaf.read_value()
            if type(leaf) is not Tensor and executor.is_native(type(leaf)):
                leaf = constant(leaf)
            if type(leaf) is Tensor and executor.is_native(type(leaf.value)):
                found.append(leaf)
        return found
