"""Which dtypes TensorFlow's functions take, and how a dtype is named in an argument.

TensorFlow has a function only for some dtypes: no `sqrt` of whole numbers, no `add` of booleans.
NumPy computes those too, in float64, which a program would carry on with. So `headgate.tf` refuses
what TensorFlow refuses: the tables of names say for each function which of the sets below it takes.
A set is a string of the letters by which NumPy knows dtypes, so that a look costs 30 ns.
tests/tf_semantics/dtypes.json has what TensorFlow itself said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.record.errors import refusal

float16, float32, float64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
half, double = float16, float64
complex64, complex128 = np.dtype("complex64"), np.dtype("complex128")
bool = np.dtype("bool")

FLOATS = "fdeE"
"""float32, float64, float16, and bfloat16 as ml_dtypes has it."""
FIELD = FLOATS + "FD"
"""Floats and complex numbers: what has quotients."""
COMPLEX = "FD"
SOLVED = "fdFD"
"""What matrices can be decomposed in."""
WHOLE = "ilqbhBHILQ"
SMALL = "bhBH"
"""What fits into float32."""
REAL = FLOATS + WHOLE
"""Numbers that have an order."""
NUMBERS = REAL + "FD"
QUOTIENTS = FIELD + "ilqILQ"
"""What has quotients as it is: those of whole numbers are float64."""
SIGNED = FIELD + "ilqbh"
PRODUCTS = FIELD + "ilq"
"""What matrices can be multiplied in."""
TRUTHS = "?"
ANY = NUMBERS + TRUTHS

_NAMES = {letter: np.dtype(letter).name for letter in ANY if letter != "E"} | {"E": "bfloat16"}


def usual_of(allowed: str) -> Any:
    """Return the dtype that is looked for first, as most tensors have it; None if not allowed."""
    return np.dtype(np.float32) if "f" in allowed else None


def refused(function: str, dtype: Any, allowed: str) -> Exception:
    """Return the error for a function of an argument in a dtype that it does not take."""
    names = list(dict.fromkeys(_NAMES[letter] for letter in allowed))
    number = next((name for name in names if dtype.kind != "b" or name[0] != "c"), names[0])
    return refusal(
        TypeError,
        f"tf.{function} of {dtype} is not defined: it takes {', '.join(names)}; "
        f"convert with tf.cast(x, tf.{number})",
    )


def other_function(
    name: str, dtype: Any, allowed: str, others: dict[str, Any] | None
) -> Callable[..., Any]:
    """Return the function for a dtype that is not allowed but among others; refuse if it is not."""
    for letters, function in (others or {}).items():
        if dtype.char in letters:
            return function  # type: ignore[no-any-return]
    raise refused(name, dtype, allowed + "".join(others or ()))


def check(function: str, dtype: Any, allowed: str) -> None:
    """Refuse a dtype that is not among those allowed."""
    if dtype.char not in allowed:
        raise refused(function, dtype, allowed)


_NUMBERED = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    8: "complex64",
    9: "int64",
    10: "bool",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
"""TensorFlow's numbers of dtypes, which programs meet in saved graphs."""

_UNSIZED = (int, complex, "int", "complex")
"""What NumPy takes for a dtype of this machine's size, and TensorFlow refuses."""


def dtype_of(given: Any) -> Any:
    """Return the dtype that an argument names; None stays None.

    Python's `float` is float32. A tensor names no dtype, though NumPy would take its own for it.
    """
    if given is None or isinstance(given, np.dtype):
        return given
    kind = type(given)
    if given is float or (kind is str and given == "float"):
        return np.dtype(np.float32)
    if kind is int and given in _NUMBERED:
        return np.dtype(_NUMBERED[given])
    names = kind is str or isinstance(given, type) or not hasattr(given, "shape")
    if names and given not in _UNSIZED:
        try:
            found = np.dtype(given)
        except TypeError:
            found = np.dtype(object)
        if found.char in ANY:
            return found
    raise refusal(
        TypeError,
        f"{given!r} is no dtype; give one such as tf.float32 or 'float32'",
    )
