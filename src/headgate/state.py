"""What optimizers and averages save: arrays by name, read back only if all of them fit.

The keys come from the names of variables. Names may clash; the second variable of a name is then
"name#2", the third "name#3", in the order in which they were met, so that the same program gives
the same keys in every process.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from headgate.core.namespace import NUMPY, Array, owner
from headgate.core.variable import Variable


def distinct(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: itself, or with "#2", "#3" and so on."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}#{number}"
    return found


def saved(variable: Variable) -> Any:
    """Return a copy of a variable's value for a state."""
    return np.array(variable._value)


def require_state(whose: str, state: Any) -> None:
    """Refuse what is no state at all."""
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise ValueError(
            f"{whose}: a state is a dictionary with text keys, as get_state() returns it, "
            f"not {type(state).__name__}"
        )


def require_fit(whose: str, key: str, value: Any, variable: Variable) -> None:
    """Refuse a value that is not of a variable's shape and dtype."""
    array = np.asarray(value)
    if array.shape != variable.shape or array.dtype != variable.dtype:
        raise ValueError(
            f"{whose}: {key!r} of the state has the shape {array.shape} and dtype {array.dtype}; "
            f"expected {variable.shape} and {variable.dtype}"
        )


def put(variable: Variable, array: Array) -> None:
    """Give a variable another value of its shape and dtype, unseen by tapes."""
    variable._value = array
    variable._source.written += 1


def own(array: Array, like: Array) -> Array:
    """Return a copy of an array in the library that another one belongs to."""
    xp = owner[type(like)]
    return np.array(array) if xp is NUMPY else xp.asarray(array)
