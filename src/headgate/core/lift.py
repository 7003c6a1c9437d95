"""Lifting: how an argument of an op becomes a raw array and the node it comes with.

Whatever a user hands to an op is a tensor, a variable, an array, a number, or a list of these.
`lifters` says for each type how it is taken apart into `(value, node)`; a type that is met for the
first time is looked up by its bases once. Python's numbers stay as they are, weakly typed (NEP 50),
and so do NumPy's two scalars that Python takes for its own. What comes from the host is asked
whether it left from here before (`headgate.core.host`).
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
