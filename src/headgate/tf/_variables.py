"""Variables as TensorFlow makes them, and modules that hold some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.core import variable as _variable
from headgate.core.tensor import Tensor
from headgate.tf._adapt import convert_to_tensor


def is_tensor(x: Any) -> bool:
    """Tell whether a value is a tensor or variable."""
    return type(x) is Tensor or type(x) is _variable.Variable


class _MakesVariables(type):
    """Calling the class makes a `headgate.Variable`, and those are its instances."""

    def __call__(
        cls,
        initial_value: Any = None,
        trainable: bool | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        import_scope: Any = None,
        constraint: Any = None,
        synchronization: Any = None,
        aggregation: Any = None,
        shape: Any = None,
    ) -> _variable.Variable:
        for option, given in {"constraint": constraint, "variable_def": variable_def}.items():
            if given is not None:
                raise ValueError(
                    f"Variable({option}=...) is not supported"
                    + ("; after each update, v.assign(constraint(v))" if option[0] == "c" else "")
                )
        value = initial_value() if callable(initial_value) else initial_value
        if value is None:
            raise ValueError("Variable needs an initial_value")
        if not is_tensor(value) or (dtype is not None and value.dtype != np.dtype(dtype)):
            value = convert_to_tensor(value, dtype)
        return _variable.Variable(value, trainable is None or trainable, name, None, shape)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _variable.Variable)


if TYPE_CHECKING:  # what a call makes is a `headgate.Variable`, and so is every instance
    _Base = _variable.Variable
else:
    _Base = object


class Variable(_Base, metaclass=_MakesVariables):
    """`headgate.Variable` with TensorFlow's default dtypes (float32, int32) and arguments.

    >>> import headgate.tf as tf
    >>> x = tf.Variable(2.0, name="x")
    >>> x.dtype, isinstance(x, tf.Variable)
    (dtype('float32'), True)
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            initial_value: Any = None,
            trainable: bool | None = None,
            validate_shape: bool = True,
            caching_device: Any = None,
            name: str | None = None,
            variable_def: Any = None,
            dtype: Any = None,
            import_scope: Any = None,
            constraint: Any = None,
            synchronization: Any = None,
            aggregation: Any = None,
            shape: Any = None,
        ) -> None: ...


class Module:
    """Collect the variables of a custom model from its attributes, as `tf.Module` does."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__.lower()

    @property
    def variables(self) -> tuple[_variable.Variable, ...]:
        """All variables of this module and those below it, by attribute name."""
        found: dict[int, _variable.Variable] = {}
        _collect(self, found, set())
        return tuple(found.values())

    @property
    def trainable_variables(self) -> tuple[_variable.Variable, ...]:
        """Those variables that tapes watch."""
        return tuple(v for v in self.variables if v.trainable)


def _collect(item: Any, found: dict[int, Any], seen: set[int]) -> None:
    if type(item) is _variable.Variable:
        found.setdefault(id(item), item)
        return
    if id(item) in seen:
        return
    seen.add(id(item))
    if isinstance(item, dict):
        for value in item.values():
            _collect(value, found, seen)
    elif isinstance(item, list | tuple):
        for value in item:
            _collect(value, found, seen)
    elif isinstance(item, Module):
        for key in sorted(vars(item)):
            _collect(vars(item)[key], found, seen)
    elif hasattr(item, "trainable_variables"):
        for value in item.variables:
            _collect(value, found, seen)
