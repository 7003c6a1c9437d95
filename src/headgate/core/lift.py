"""Lifting: how an argument of an op becomes a raw array and the node it comes with.

Whatever a user hands to an op is a tensor, a variable, an array, a number, or a list of these.
`lifters` says for each type how it is taken apart into `(value, node)`; a type that is met for the
first time is looked up by its bases once. Python's numbers stay as they are, weakly typed (NEP 50),
and so do NumPy's two scalars that Python takes for its own. What comes from the host is asked
whether it left from here before (`headgate.core.host`).

An array of the user's may be written to later, a buffer for batches say, and what was computed with
it must not change then. So an array is **copied** where it stays: as the value of a tensor, as what
a rule saves while a tape records, and in what an op returns without computing anything. There are
three tables for that. `lifters` copies each array that somebody could write to; `keepers` does so
while a tape records, and is for arguments that a rule saves; `borrowers` never does, and is for
arguments that are looked at and forgotten. Which one an op uses is known from its row
(`headgate.core.row`), so that other arguments cost nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.core.host import came_back
from headgate.core.namespace import TENSORS, Array
from headgate.core.tensor import Tensor, raw, tensor_of
from headgate.record.errors import refusal
from headgate.record.graph import Node, state

Lifted = tuple[Array, Node | None]


def _could_change(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether somebody could write to an array's memory: through it, or what it is a view of.

    Memory that NumPy does not own, JAX's or a file's, is what the array says of it.
    """
    if array.flags.writeable:
        return True
    base = array.base
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return True
        base = base.base
    return False


def owned(array: Array) -> Array:
    """Return an array that nobody else can write to: a copy, if it must be."""
    if not isinstance(array, np.ndarray) or not _could_change(array):
        return array
    if 0 in array.strides and array.size > 1:  # broadcast: copy each element once
        once = array[tuple([slice(None) if step else slice(1) for step in array.strides])]
        return np.broadcast_to(once.copy(), array.shape)
    return array.copy("K")


def frozen(static: Any) -> Any:
    """Return a static argument that nobody can change: tuples for lists, a copy of an array."""
    if isinstance(static, list | tuple):
        return tuple(map(frozen, static))
    return owned(static)


def _borrow_array(value: Any) -> Lifted:
    array = raw(value, what="argument")
    return array, came_back(value) if state.recording.departed else None


def _keep_array(value: Any) -> Lifted:
    array = raw(value, what="argument")
    recording = state.recording
    node = came_back(value) if recording.departed else None
    return owned(array) if recording.tapes else array, node


def _lift_array(value: Any) -> Lifted:
    array = raw(value, what="argument")
    return owned(array), came_back(value) if state.recording.departed else None


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
    return _borrow_array(value)  # made of the list just now


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


class _Unlike(dict[type, Callable[[Any], Lifted]]):
    """As `lifters`, with another way to take arrays; None is an argument that was left out."""

    def __init__(self, of_array: Callable[[Any], Lifted], optional: bool = False) -> None:
        super().__init__({type(None): lambda value: (None, None)} if optional else {})
        self.of_array = of_array

    def __missing__(self, kind: type) -> Callable[[Any], Lifted]:
        found = lifters[kind]
        found = self[kind] = self.of_array if found is _lift_array else found
        return found


borrowers, keepers = _Unlike(_borrow_array), _Unlike(_keep_array)
optional_borrowers, optional_keepers = _Unlike(_borrow_array, True), _Unlike(_keep_array, True)
optional_lifters = _Unlike(_lift_array, True)


def lift(value: Any) -> Lifted:
    """Return an argument's raw value and its node. Python numbers stay weakly typed (NEP 50)."""
    return lifters[type(value)](value)


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


NUMBERS = frozenset({int, float, complex, bool, type(None)})
"""Types of raw values that are not arrays."""


def beside_floats(*values: Array) -> list[Array]:
    """Return raw values, Python's floats as bfloat16 beside an array of that dtype.

    NumPy knows such an array as one of a foreign dtype, and makes float32 or float64 of the two.
    """
    for value in values:
        if type(value) not in NUMBERS and value.dtype.kind == "V":
            return [value.dtype.type(x) if type(x) is float else x for x in values]
    return list(values)


INEXACT = "fcV"
"""Kinds of dtypes through which gradient can flow: floats of any width (V: bfloat16), complex."""


def is_inexact(value: Array) -> bool:
    """Tell whether gradient can flow through values of this dtype."""
    return dtype_of(value).kind in INEXACT
