"""Values of a TensorFlow program: what is known of a tensor, of a variable, and of a tape.

An eager tensor never changes, and has a number of TensorFlow's own that no other one gets; so it is
known by that. A variable is known by the handle of its memory. Which tapes follow a tensor is a
mask with a bit for each tape that there was.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from headgate.flow.watch.tensorflow import entrance


@dataclass(slots=True)
class Known:
    """A tensor that has a number in the trace, and the tapes that follow it; or would, if they had
    not been paused by a library."""

    number: int
    tapes: int = 0
    paused: bool = False


@dataclass(slots=True, eq=False)
class Leaf:
    """A source, with what only TensorFlow knows of it.

    Attributes:
        number: of the source in the trace.
        variable: gives the variable itself, while it is there; None of a watched tensor.
        trainable: whether tapes watch it by themselves.
        past: values that were written into it.
        began: whether it has its first value.
        read: what it was read as since the last gradient call, while tapes followed it.
        loaded: whether the program gave it its value later, from something computed nowhere here.
        asked: whether a gradient of it was asked for.
        arrived: whether one that is not zero came.
    """

    number: int
    variable: Callable[[], Any]
    trainable: bool = True
    past: list[int] = field(default_factory=list)
    began: bool = False
    read: Known | None = None
    loaded: bool = False
    asked: bool = False
    arrived: bool = False


@dataclass(slots=True, eq=False)
class Tape:
    """A tape of the program's.

    Attributes:
        bit: its bit in masks.
        watches: whether it watches variables by itself.
        place: number of the line that it was entered at.
        tape: gives the tape itself, while it is there.
        persistent: whether it can be asked more than once.
        explicit: handles of variables that it was told to watch.
    """

    bit: int
    watches: bool
    place: int
    tape: Callable[[], Any]
    persistent: bool = False
    explicit: set[int] = field(default_factory=set)


def plain(variable: Any) -> Any:
    """Return the variable of TensorFlow's that one of Keras's stands for; any other as it is."""
    value = getattr(variable, "_value", None)
    if isinstance(value, entrance.VARIABLE):
        return value
    return variable


def is_variable(value: Any) -> bool:
    """Tell whether something is a variable, of TensorFlow or of Keras."""
    return isinstance(plain(value), entrance.VARIABLE)


def handle_of(variable: Any) -> int:
    """Return the number of a variable's memory, 0 if it has none."""
    handle = getattr(plain(variable), "handle", None)
    return entrance.number_of(handle) if handle is not None else 0


def tensors_in(tree: Any) -> Iterator[Any]:
    """Yield the tensors in a structure, what is sparse by the values that it has."""
    for each in tf.nest.flatten(tree):
        if isinstance(each, tf.IndexedSlices | tf.SparseTensor):
            yield each.values
        elif isinstance(each, tf.RaggedTensor):
            yield each.flat_values
        elif isinstance(each, tf.Tensor):
            yield each


def carries(dtype: Any) -> bool:
    """Tell whether numbers of a type have gradients."""
    return bool(dtype.is_floating or dtype.is_complex or dtype == tf.variant)


def has_numbers(tensor: Any) -> bool:
    """Tell whether a tensor shows numbers that have gradients."""
    dtype = tensor.dtype
    return entrance.is_eager(tensor) and bool(dtype.is_floating or dtype.is_complex)


def array_of(tensor: Any) -> Any:
    """Return the numbers of a tensor, those of sparse ones that are there; None if it has none."""
    if isinstance(tensor, tf.IndexedSlices):
        tensor = tensor.values
    shows = entrance.is_eager(tensor) and tensor.dtype not in (tf.variant, tf.resource)
    return entrance.content(tensor) if shows else None


def norm(tensor: Any) -> float:
    """Return the Euclidean norm of a gradient, 0 only if all of it is exactly zero."""
    numbers = array_of(tensor)
    if numbers is None:
        return 1.0  # nobody can look into it
    numbers = np.asarray(numbers)
    if numbers.size == 0:
        return 0.0
    if numbers.dtype not in (np.float32, np.float64):
        numbers = numbers.astype(np.complex128 if numbers.dtype.kind == "c" else np.float64)
    with np.errstate(all="ignore"):
        found = float(np.linalg.norm(numbers.reshape(-1)))
        if found == 0 and numbers.any():  # the squares have left the range
            found = float(np.abs(numbers).max())
        elif not np.isfinite(found) and np.isfinite(numbers).all():
            found = float(np.linalg.norm(numbers.reshape(-1).astype(np.float64)))
    return found


def summed(tensor: Any, infinities_are_meant: bool) -> tuple[float, bool]:
    """Return the sum of a tensor, and whether it is without NaN and infinities; if those are meant,
    without NaN."""
    numbers = np.asarray(entrance.content(tensor))
    with np.errstate(all="ignore"):
        total = numbers.sum()
        if np.isfinite(total):
            return float(total.real), True
        wrong = np.isnan(numbers) if infinities_are_meant else ~np.isfinite(numbers)
        return float(total.real), not bool(wrong.any())


def weak(value: Any) -> Callable[[], Any]:
    """Return what gives a value as long as it is there."""
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value
