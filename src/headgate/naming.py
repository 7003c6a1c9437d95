"""What all layers share: the default dtype, unique names, and tables that are searched by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

Found = TypeVar("Found")

_float_dtype = np.dtype("float32")
_names: Counter[str] = Counter()


def floatx() -> str:
    """Return the dtype of new layers: "float32" unless `set_floatx` has changed it."""
    return _float_dtype.name


def set_floatx(value: Any) -> None:
    """Set the dtype of the layers made from now on.

    >>> from headgate import nn
    >>> nn.set_floatx("float64")
    >>> nn.Dense(1).dtype
    dtype('float64')
    >>> nn.set_floatx("float32")
    """
    global _float_dtype
    found = np.dtype(value)
    if found.kind not in "fV":
        raise ValueError(f"set_floatx takes a dtype of floats such as 'float64', not {value!r}")
    _float_dtype = found


def plain_name(kind: str) -> str:
    """Return the name of a class as names of objects have it: "max_pooling2d"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", kind.lstrip("_")).lower()


def is_automatic(name: str) -> bool:
    """Tell whether a variable has this name only because nobody gave it one."""
    return name.startswith("variable_") and name[9:].isdigit()


def unique_name(kind: str) -> str:
    """Return a name for another object of a class: "max_pooling2d", "max_pooling2d_1", ..."""
    base = plain_name(kind)
    number = _names[base]
    _names[base] += 1
    return f"{base}_{number}" if number else base


def reset_names() -> None:
    """Count the names of new layers and optimizers from the beginning again."""
    _names.clear()


def default_dtype() -> Any:
    """Return the dtype of new layers."""
    return _float_dtype


def find(what: str, table: Mapping[str, Found], name: str) -> Found:
    """Return what a table has under a name; refuse a name that it has not."""
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; known are {', '.join(sorted(table))}")
    return table[name]
