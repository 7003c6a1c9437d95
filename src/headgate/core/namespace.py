"""Which array library owns a value, and one spelling for all of them.

Everything in Headgate that touches numbers is written against a *namespace* `xp`: an object with
the functions of the Array API standard, plus one function for every op of ours. There are two
sorts.

* A raw namespace (`NUMPY`, and one for JAX that appears when the first JAX value does) works on the
  library's own arrays. Its attribute `name` is the op's implementation if a row gave one, and the
  library's own function of that name if not, so `NUMPY.sin` *is* `numpy.sin` and costs nothing
  extra. A namespace may bring along what it computes otherwise than the row says.
* `TENSORS` works on `Tensor`s: its attributes are the public ops, which record themselves on the
  tape.

A gradient rule that is written against `xp` therefore runs on raw arrays when nobody records (fast)
and on tensors when somebody does (higher order). The same program runs wherever its values live, or
on the stand-ins of an executor.
"""

from __future__ import annotations

import array
import functools
import importlib
import operator
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np

Array = Any
"""A raw array: `numpy.ndarray`, a NumPy scalar (NumPy's 0-d results), or a JAX array or tracer."""

implementations: dict[str, dict[str, Callable[..., Any]]] = {}
"""Op name -> {"any" or "numpy": implementation taking `xp` first}; see `headgate.core.op`."""


class Namespace:
    """The raw functions of one array library, ops of ours included, looked up once and kept.

    `own` are functions that are attributes as they are; `overrides` are implementations of ops
    that take `xp` first, in place of those that the rows give.
    """

    def __init__(
        self,
        name: str,
        array_module: Any,
        own: dict[str, Callable[..., Any]],
        overrides: dict[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.name = name
        self.array_module = array_module
        self.overrides = overrides or {}
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        rows = implementations.get(name, {})
        impl = self.overrides.get(name) or rows.get(self.name) or rows.get("any")
        if impl is not None:
            found = functools.partial(impl, self)
        elif name.startswith("__"):
            raise AttributeError(name)
        else:
            found = getattr(self.array_module, name)
        self.__dict__[name] = found
        return found

    def __repr__(self) -> str:
        return f"<headgate namespace of {self.name}>"


class TensorNamespace:
    """The public ops by name: what `xp` is when a rule must itself be recorded."""

    name = "tensors"

    def __repr__(self) -> str:
        return "<headgate namespace of tensors>"


# Python's operators and the ufuncs give the same results on arrays, but on NumPy scalars the
# operators are ten times as fast, and they serve JAX arrays as well.
OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
    "matmul": operator.matmul,
    "abs": operator.abs,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}

# An array this large, made and freed once, tells glibc's malloc to keep freed memory of up to that
# size for the next array instead of giving it back to the system. Otherwise a training step that
# makes and frees megabytes spends half of its time in page faults. It touches no memory, and does
# nothing elsewhere.
np.empty(31 << 20, np.uint8)

NUMPY = Namespace("numpy", np, {**OPERATORS, "block_gradient": lambda x: x})
TENSORS: Any = TensorNamespace()


HOMES = dict.fromkeys(("jax", "jaxlib"), "headgate.compile.xla.namespace")
"""Package of an array type -> the module whose `namespace()` owns it, loaded at the first array."""


class _Owners(dict[type, Namespace]):
    """Array type -> namespace; a type that is met for the first time is looked at once."""

    def __missing__(self, kind: type) -> Namespace:
        if issubclass(kind, np.ndarray | np.generic | int | float | complex):
            found = NUMPY
        elif home := HOMES.get(kind.__module__.partition(".")[0]):
            found = importlib.import_module(home).namespace()
        else:
            raise TypeError(
                f"{kind.__module__}.{kind.__qualname__} is not an array that Headgate "
                "computes with; "
                "convert it with numpy.asarray(...) or jax.numpy.asarray(...) first"
            )
        self[kind] = found
        return found


owner = _Owners(dict.fromkeys((np.ndarray, float, int, bool, complex, type(None)), NUMPY))
"""The namespace that owns a raw value of a type: `owner[type(value)]`."""


def _common(*kinds: type) -> type:
    """Return the type whose namespace serves values of all these types: JAX's wins over NumPy's."""
    for kind in kinds:
        if owner[kind] is not NUMPY:
            return kind
    return kinds[0]


common: Callable[..., type] = functools.cache(_common)


def _is_foreign(kind: type) -> bool:
    """Tell whether a type is one of arrays of a library that Headgate does not compute with.

    Such arrays become NumPy's where they come in: by `__array__`, `__dlpack__` or their buffer.
    """
    return hasattr(kind, "__array__") or hasattr(kind, "__dlpack__") or kind in _BUFFERS


_BUFFERS = (array.array, memoryview)
is_foreign: Callable[[type], bool] = functools.cache(_is_foreign)


def is_array(value: object) -> bool:
    """Tell whether a value is an array of a library that Headgate computes with."""
    if isinstance(value, np.ndarray | np.generic) or array_api_compat.is_jax_array(value):
        return True
    return owner.get(type(value), NUMPY) is not NUMPY
