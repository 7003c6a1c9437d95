"""Variable: a named cell whose value changes in one way only, by `assign`.

A variable used in an op is read: the op gets the array that the cell holds now, and the variable's
leaf in the current recording. A later `assign` puts another array into the cell, so what was read
earlier keeps the value at its reading. An active tape watches each trainable variable that is read;
a read that no tape watches is a cut at the user's line (`outside_tape`, `frozen` or `not_watched`),
which is how a gradient that is missing later can be explained.

Whoever needs the cell's array takes `_value`, and whoever changes it sets that. While a function is
traced this is a stand-in (`headgate.core.scope`). A variable that a compiled function uses has its
array in a `headgate.core.bundle` instead of in `_array`, at `_place`.
"""

from __future__ import annotations

import copy
import itertools
from collections import deque
from collections.abc import Iterable
from operator import call
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.core.bundle import Bundle, in_transit
from headgate.core.cotangent import pass_through
from headgate.core.host import note_escape
from headgate.core.lift import borrowers, holds_tensor, lift, lifters
from headgate.core.namespace import TENSORS, Array
from headgate.core.row import PASS
from headgate.core.scope import open_scopes, stage, suspended
from headgate.core.tensor import Reference, Tensor, constant, raw, shown
from headgate.core.traced import is_traced
from headgate.record.errors import TracingError, describe, refusal
from headgate.record.graph import Leaf, Node, Recording, Source, anew, ghost, state
from headgate.record.onlooker import onlookers
from headgate.record.site import caller

_unnamed = itertools.count()


if TYPE_CHECKING:
    from headgate.ops.attached import Attached
else:
    Attached = object


class Variable(Attached):
    """A mutable cell that tapes watch and optimizers assign to.

    Args:
        initial_value: a number, nested list, array or tensor; it is copied.
        trainable: whether tapes watch the variable when it is read.
        name: shown in reports; "variable_0" and so on if not given.
        dtype: of the cell; that of the value if not given.
        shape: checked against the value's if given.

    Raises:
        ValueError: the value is not numeric, or not of the shape that was asked for.

    >>> import headgate as hg
    >>> v = hg.Variable(3.0, name="v")
    >>> with hg.GradientTape() as tape:
    ...     y = v * v
    >>> tape.gradient(y, v).numpy()
    np.float64(6.0)
    """

    __slots__ = ("__weakref__", "_array", "_leaf", "_place", "_source", "_trainable", "name")

    def __init__(
        self,
        initial_value: Any,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        if callable(initial_value):
            with suspended():
                initial_value = initial_value()
        array, node = borrowers[type(initial_value)](initial_value)
        value = _own(raw(array, dtype, "initial_value"))
        if stage.scope is not None and is_traced(value):
            raise refusal(
                TracingError,
                f"a variable made while a function is traced cannot start from a traced value "
                f"(shape {value.shape}, dtype {value.dtype}): it outlives the call. Make it before "
                "the function is called, or give hg.Variable a function that makes the first "
                "value from values known now",
            )
        if shape is not None and tuple(shape) != value.shape:
            raise refusal(
                ValueError, f"the initial value has the shape {value.shape}, not {tuple(shape)}"
            )
        self.name = name if name is not None else f"variable_{next(_unnamed)}"
        if not isinstance(trainable, bool | np.bool_ | int) or trainable not in (0, 1):
            said = f"Variable: trainable must be True or False, got {trainable!r}"
            raise refusal(TypeError, said)
        self._trainable = bool(trainable)
        self._array = value
        self._place: tuple[Bundle, int] | None = None
        self._source = Source(self.name)
        self._source.made = caller()
        self._source.held = True
        self._source.past = note_escape(node, "rewrap", f"Variable({self.name})", value.shape)
        self._leaf: Leaf | None = None

    # -- the cell ---------------------------------------------------------------------------------

    @property
    def _value(self) -> Array:
        if open_scopes:
            scope = stage.scope
            if scope is not None:
                return scope.get(self)
        return self._array if self._place is None else self._read()

    @_value.setter
    def _value(self, array: Array) -> None:
        if open_scopes:
            scope = stage.scope
            if scope is not None:
                scope.set(self, array)
                return
        if self._place is None:
            self._array = array
        else:
            self._leave(array)

    def _read(self) -> Array:
        """Return the array from the bundle that the variable is in."""
        with in_transit:
            place = self._place
            return self._array if place is None else place[0].read(place[1])

    def _leave(self, array: Array) -> None:
        """Take the variable out of its bundle, with another array."""
        with in_transit:
            if self._place is not None:
                self._place[0].intact = False
            self._array = array
            self._place = None

    @property
    def _form(self) -> Array:
        """An array of the cell's shape and dtype, wherever it is: not a reading."""
        place = self._place
        return self._array if place is None else place[0].arrays[place[1]]

    # -- reading ----------------------------------------------------------------------------------

    @property
    def trainable(self) -> bool:
        """Whether tapes watch the variable when it is read (fixed at creation)."""
        return self._trainable

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return self._form.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self._form.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._form.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._form.size  # type: ignore[no-any-return]

    @property
    def device(self) -> Any:
        """Where the array lives."""
        return self._form.device

    def read_value(self) -> Tensor:
        """Return the value as a tensor; gradient flows through it to the variable."""
        return TENSORS.identity(self)  # type: ignore[no-any-return]

    value = read_value

    def numpy(self) -> Any:
        """Return a copy of the value as a NumPy array, or a NumPy scalar if 0-d."""
        return self.read_value().numpy()

    def ref(self) -> Reference:
        """Return a hashable stand-in that compares by identity, for sets and dictionary keys."""
        return Reference(self)

    # -- writing ----------------------------------------------------------------------------------

    def assign(
        self,
        value: Any,
        use_locking: bool = False,
        name: str | None = None,
        read_value: bool = True,
    ) -> Variable | None:
        """Replace the value by another one of the same shape; gradient does not flow through it.

        Args:
            value: anything of the variable's shape; arrays and numbers are cast to its dtype, a
                tensor or variable must have it.
            use_locking, name: TensorFlow's, without effect.
            read_value: return the variable (else `None`).

        Raises:
            ValueError: wrong shape, or a tensor of another dtype. The variable keeps its value.

        >>> import headgate as hg
        >>> v = hg.Variable([1.0, 2.0])
        >>> v.assign([3.0, 4.0]).numpy()
        array([3., 4.])
        """
        return self._assign("assign", value, lambda old, new: new, read_value)

    def assign_add(
        self,
        delta: Any,
        use_locking: bool = False,
        name: str | None = None,
        read_value: bool = True,
    ) -> Variable | None:
        """Add to the value; arguments, result and errors are those of `assign`."""
        return self._assign("assign_add", delta, lambda old, new: old + new, read_value)

    def assign_sub(
        self,
        delta: Any,
        use_locking: bool = False,
        name: str | None = None,
        read_value: bool = True,
    ) -> Variable | None:
        """Subtract from the value; arguments, result and errors are those of `assign`."""
        return self._assign("assign_sub", delta, lambda old, new: old - new, read_value)

    def _assign(self, how: str, value: Any, combine: Any, read_value: bool) -> Variable | None:
        if type(value) is Tensor:
            array, node = value.value, value.node
        elif type(value) is Variable:
            array, node = value._value, None
        else:
            what = f"the value assigned to variable {self.name!r}"
            array, node = raw(lift(value)[0] if holds_tensor(value) else value, what=what), None
            if array.dtype is not self._form.dtype:
                array = self._cast(array)
        old = self._form if how == "assign" else self._value
        if array.shape != old.shape:
            raise refusal(
                ValueError,
                f"Cannot {how} to variable {self.name!r}: Shape mismatch. "
                f"The variable shape {old.shape}, and the assigned value shape {array.shape} are "
                "incompatible; values do not broadcast",
            )
        if array.dtype != old.dtype and getattr(array, "weak_type", False):
            array = self._cast(array)  # a Python number, as it comes into a compiled function
        if array.dtype != old.dtype:
            raise refusal(
                ValueError,
                f"Cannot {how} to variable {self.name!r}: it has the dtype {old.dtype} and "
                "the tensor "
                f"{describe(array)}; convert it with headgate.astype(value, {str(old.dtype)!r})",
            )
        past = note_escape(node, "stateful_write", f"{how}({self.name})", old.shape)
        if past is not None or how == "assign":
            self._source.past = past
        self._source.written += 1
        for onlooker in onlookers:
            onlooker.assigned(self, how, node)
        recording = state.recording
        if recording.tapes:
            read(self)  # as in TensorFlow, a tape counts a write as an access
        new = combine(old, array)
        self._value = _own(new) if new is array else new
        return self if read_value else None

    def _cast(self, array: Array) -> Array:
        wider = {"c": "c", "f": "fcV"}.get(array.dtype.kind, "biufcV")
        if self.dtype.kind not in wider:
            raise refusal(
                ValueError,
                f"Cannot assign values of dtype {array.dtype} to variable {self.name!r} of dtype "
                f"{self.dtype} without losing a part of them; convert them first",
            )
        return array.astype(self.dtype)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise refusal(
            TypeError,
            f"variable {self.name!r} does not support item assignment; use "
            "v.assign(headgate.scatter_update(v, values, key))",
        )

    def _refuse(self, operator: str, method: str) -> Any:
        raise refusal(
            RuntimeError,
            f"`variable {operator} value` is not supported: it would bind the name to a "
            "tensor. Use "
            f"`variable.{method}(value)` to change the variable, or `v = v {operator[0]} "
            "value` for a "
            f"new tensor (variable {self.name!r})",
        )

    def __iadd__(self, other: Any) -> Any:
        return self._refuse("+=", "assign_add")

    def __isub__(self, other: Any) -> Any:
        return self._refuse("-=", "assign_sub")

    def __imul__(self, other: Any) -> Any:
        return self._refuse("*=", "assign")

    def __itruediv__(self, other: Any) -> Any:
        return self._refuse("/=", "assign")

    # -- as a Python object -----------------------------------------------------------------------

    def __float__(self) -> float:
        return float(self.read_value())

    def __int__(self) -> int:
        return int(self.read_value())

    def __complex__(self) -> complex:
        return complex(self.read_value())

    def __bool__(self) -> bool:
        return bool(self.read_value())

    def __index__(self) -> int:
        return self.read_value().__index__()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return self.read_value().__array__(dtype, copy)

    def __len__(self) -> int:
        raise refusal(
            TypeError, f"object of type 'Variable' has no len(); use v.shape[0] ({self.name!r})"
        )

    def __hash__(self) -> int:
        raise TypeError("Variable is unhashable. Instead, use variable.ref() as the key.")

    def __format__(self, spec: str) -> str:
        return format(constant(self._value), spec) if spec else repr(self)

    def __copy__(self) -> Variable:
        return Variable(self._value, self._trainable, self.name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        source = copy.deepcopy(self._source, memo)  # whoever knows it by that knows the copy
        made = memo[id(self)] = _copied(self._value, self._trainable, self.name, source)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (np.asarray(self._value), self._trainable, self.name, self._source)

    def __repr__(self) -> str:
        body = shown(self._value, "Variable(")
        frozen = "" if self._trainable else ", trainable=False"
        return (
            f"Variable({body}, name={self.name!r}, shape={self.shape}, dtype={self.dtype}{frozen})"
        )


def _copied(array: Array, trainable: bool, name: str, source: Source) -> Variable:
    """Make a variable that is a copy, with the copy of its source."""
    made = Variable(array, trainable, name)
    source.made = source.made or made._source.made
    source.held = True
    made._source = source
    return made


def _own(array: Array) -> Array:
    """Copy an array that its giver could still change; others cannot be changed."""
    return np.array(array) if isinstance(array, np.ndarray | np.generic) else array


_set_array = Variable.__dict__["_array"].__set__
_set_place = Variable.__dict__["_place"].__set__


def in_one_go(calls: Iterable[tuple[Any, ...]]) -> None:
    """Call functions that are not written in Python, each with its arguments, in one loop in C.

    Nobody looks for signals there: an interrupt comes before all of that, or after it.
    """
    deque(itertools.starmap(call, calls), maxlen=0)


def publish(values: Iterable[tuple[Variable, Array]], also: Iterable[tuple[Any, ...]] = ()) -> None:
    """Give several cells new arrays at once: an interrupt comes before all of that, or after it.

    What belongs to it `also` are functions that are not written in Python, with their arguments.
    First all is made ready. Then one loop runs in C, where nobody looks for signals.
    """
    if open_scopes and stage.scope is not None:
        for variable, array in values:
            variable._value = array
        for function, *arguments in also:
            function(*arguments)
        return
    values = list(values)
    cells, arrays = [cell for cell, _ in values], [array for _, array in values]
    with in_transit:
        held = [cell for cell in cells if cell._place is not None]
        for cell in held:
            cell._place[0].intact = False  # type: ignore[index]
        setting = map(_set_array, cells, arrays)
        leaving = map(_set_place, held, itertools.repeat(None))
        deque(itertools.chain(setting, leaving, itertools.starmap(call, also)), maxlen=0)


def read(variable: Variable) -> tuple[Array, Node | None]:
    """Return a variable's array and its node in the current recording; active tapes watch it."""
    return variable._value, node_of(variable)


def node_of(variable: Variable) -> Node | None:
    """Return the node that a variable read now has; active tapes watch it."""
    leaf = variable._leaf
    recording = state.recording
    if leaf is not None and leaf.epoch is recording.epoch:
        return leaf
    return _follow(variable, recording)


lifters[Variable] = read


def bind(variable: Variable, node: Node) -> None:
    """Let a variable that is read in the current recording be what a node stands for."""
    recording = state.recording
    leaf = recording.leaf(variable._source)
    leaf.live, leaf.cuts = recording.admit(node)
    leaf.op = PASS
    leaf.edges = ((node, pass_through, (), None, None),)


def _follow(variable: Variable, recording: Recording) -> Node | None:
    """Read a variable that the current tapes have not seen yet."""
    if recording.read_log is not None:
        recording.read_log.append(variable)
    for onlooker in onlookers:
        onlooker.first_read(variable)
    if recording.tapes:
        leaf = recording.leaf(variable._source)
        if variable._trainable:
            for reference in recording.tapes:
                tape = reference()
                if tape is not None and tape._watch_accessed:
                    tape._access(variable, leaf)
        if leaf.live & ~recording.paused:
            if recording.read_log is None:
                leaf.epoch = recording.epoch
            variable._leaf = leaf
            if recording.onlooker is not None:
                recording.onlooker.read(variable, leaf, "")
            return leaf
        kind = "not_watched" if variable._trainable else "frozen"
    elif recording.suspended:
        kind = "no_grad_block"
    else:
        kind = "outside_tape"
        if len(recording.sources) > 10_000:  # many short-lived variables, and never a tape
            recording = state.recording = state.outside = anew(recording)
    bit = recording.sources.untaped_bit(variable._source)
    node = ghost(recording, recording.cuts.add(kind, bit, 0, variable.name, variable.shape))
    if recording.onlooker is not None and node is not None:
        recording.onlooker.read(variable, node, kind)
    return node


def detached(value: Any) -> tuple[Array, int, int]:
    """Return an argument's raw array, live mask and cut mask, without reading a variable.

    This is what a stop does: a variable inside of it is not seen by the tapes.
    """
    recording = state.recording
    if type(value) is Variable:
        recording.sources.untaped_bit(value._source)
        return value._value, recording.sources.masks[value._source], 0
    array, node = lift(value)
    if not hasattr(array, "dtype"):
        array = np.asarray(array)
    return (array, 0, 0) if node is None else (array, *recording.admit(node))
