"""The operators and methods of tensors and variables: the one place where they are attached.

Each operator is an op, so `x * y` and `headgate.multiply(x, y)` are the same function. NumPy meets
a tensor in two ways. A ufunc (`numpy.sin(x)`, `array * x`) is passed on to our op of the same
meaning, so no object array is ever built. Any other function of NumPy would leave the tape without
a word, so it is refused with the name of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headgate.core.namespace import TENSORS
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable

# The rows have to be there before they are attached.
from headgate.ops import elementwise, index, linalg, reduce, shape  # noqa: F401
from headgate.record.errors import refusal

_BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
_ORDER = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
_UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}

_UFUNC_NAMES = {"absolute": "abs", "power": "pow", "true_divide": "divide", "conjugate": "conj"}
"""NumPy's name of a ufunc, where ours is another."""


def _comparison(function: Callable[..., Any], with_none: bool) -> Callable[..., Any]:
    """Compare elementwise; `x == None` is a plain question with a plain answer."""

    def method(self: Any, other: Any) -> Any:
        return with_none if other is None else function(self, other)

    return method


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        return function(other, self)

    return method


def _array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    name = _UFUNC_NAMES.get(ufunc.__name__, ufunc.__name__)
    function = getattr(TENSORS, name, None)
    if method != "__call__" or options or function is None:
        call = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        raise refusal(
            TypeError, _instead(call, name if method == "__call__" else _REDUCTIONS.get(name, ""))
        )
    return function(*inputs)


_REDUCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}

_FUNCTION_NAMES = {
    "amax": "max",
    "amin": "min",
    "concatenate": "concat",
    "transpose": "permute_dims",
    "cumsum": "cumulative_sum",
    "cumprod": "cumulative_prod",
    "vstack": "concat",
    "hstack": "concat",
    "power": "pow",
}


def _array_function(self: Any, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    name = _FUNCTION_NAMES.get(function.__name__, function.__name__)
    raise refusal(TypeError, _instead(f"numpy.{function.__name__}", name))


def _instead(call: str, name: str) -> str:
    """Say what to call in place of a function of NumPy that would lose the gradient."""
    cure = (
        f"use headgate.{name}, which records the gradient"
        if name and hasattr(TENSORS, name)
        else "Headgate has no op of that name"
    )
    return f"{call} does not work on tensors: {cure}; or leave the tape on purpose with x.numpy()"


def _getitem(self: Any, key: Any) -> Any:
    return TENSORS.getitem(self, key)


def _iterate(self: Any) -> Any:
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(TENSORS.unstack(self))


def _refuse_item_assignment(self: Any, key: Any, value: Any) -> None:
    raise refusal(
        TypeError,
        "tensors are immutable and do not support item assignment; use "
        "headgate.scatter_update(x, values, key=key), which returns a new tensor",
    )


def _transpose(self: Any) -> Any:
    return TENSORS.permute_dims(self, tuple(reversed(range(self.ndim))))


def attach(kind: type) -> None:
    """Give a class the operators, NumPy's hooks and the few methods of an Array API array."""
    for method, name in _BINARY.items():
        function = getattr(TENSORS, name)
        setattr(kind, f"__{method}__", function)
        setattr(kind, f"__r{method}__", _reflected(function))
    setattr(kind, "__eq__", _comparison(TENSORS.equal, False))  # noqa: B010
    setattr(kind, "__ne__", _comparison(TENSORS.not_equal, True))  # noqa: B010
    for method, name in (_ORDER | _UNARY).items():
        setattr(kind, f"__{method}__", getattr(TENSORS, name))
    setattr(kind, "__getitem__", _getitem)  # noqa: B010
    setattr(kind, "__iter__", _iterate)  # noqa: B010
    setattr(kind, "__array_ufunc__", _array_ufunc)  # noqa: B010
    setattr(kind, "__array_function__", _array_function)  # noqa: B010
    setattr(kind, "T", property(_transpose, doc="The transpose: all axes in reverse order."))  # noqa: B010
    setattr(kind, "mT", property(TENSORS.matrix_transpose, doc="Each matrix transposed."))  # noqa: B010


attach(Tensor)
attach(Variable)
setattr(Tensor, "__setitem__", _refuse_item_assignment)  # noqa: B010
