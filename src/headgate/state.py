"""States: what layers, optimizers, metrics and averages save, read back only if all of it fits.

A state is a dictionary of arrays by name. The names come from those of variables. They may clash;
the second variable of a name is then "name#2", the third "name#3", in the order in which they were
met, so that the same program gives the same keys in every process.

Whoever takes a state back asks here first whether it fits, so that all refuse it in the same words
and before anything is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from headgate.core.namespace import NUMPY, Array, owner
from headgate.core.variable import Variable, publish


@runtime_checkable
class Stateful(Protocol):
    """Anything that gives its state and takes it back.

    A state is a dictionary with text keys, which may hold dictionaries; at its leaves are arrays,
    numbers, text, True, False, None, and lists of these. `set_state` refuses what does not fit,
    by a `ValueError`, before it changes anything.
    """

    def get_state(self) -> Any:
        """Return the state."""

    def set_state(self, state: Any) -> None:
        """Go on from a state."""


def distinct(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: itself, or with "#2", "#3" and so on."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}#{number}"
    return found


# -- arrays of a state -----------------------------------------------------------------------------


def saved(variable: Variable) -> Any:
    """Return a copy of a variable's value for a state."""
    return np.array(variable._value)


def put(
    values: Iterable[tuple[Variable, Array]],
    also: Iterable[tuple[Any, ...]] = (),
    anew: bool = False,
) -> None:
    """Give variables other values of their shapes and dtypes, all at once and unseen by tapes.

    What is to happen `also`, in the same moment, is said as for `headgate.core.variable.publish`.
    Values that begin `anew` come from nowhere that a report could name.
    """
    values = list(values)
    publish(values, also)
    for variable, _ in values:
        variable._source.written += 1
        if anew:
            variable._source.past = None


def own(array: Array, like: Array) -> Array:
    """Return a copy of an array in the library that another one belongs to."""
    xp = owner[type(like)]
    return np.array(array) if xp is NUMPY else xp.asarray(array)


# -- what does not fit -----------------------------------------------------------------------------


def fitted(
    whose: str, state: Any, variables: Mapping[str, Variable], hint: str = ""
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a state by the names of the variables that they are for.

    Args:
        whose: the object that takes the state, for the message.
        state: what was given.
        variables: all that the state must have, and nothing else.
        hint: what may be the reason for other names.

    Raises:
        ValueError: no dictionary, other names, or a value of another shape or dtype.
    """
    require_state(whose, state)
    missing = [key for key in variables if key not in state]
    unknown = [key for key in state if key not in variables]
    if missing or unknown:
        raise ValueError(
            f"{whose}: the state has other names; missing: {_some(missing)}, unknown: "
            f"{_some(unknown)}" + (f"; {hint}" if hint else "")
        )
    arrays = {key: np.asarray(state[key]) for key in variables}
    for key, variable in variables.items():
        require_fit(whose, key, arrays[key], variable)
    return arrays


def require_state(whose: str, state: Any) -> None:
    """Refuse what is no state at all."""
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
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


def _some(names: Sequence[str]) -> str:
    """Return the first few of some names as text."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{names[:5]}{more}"
