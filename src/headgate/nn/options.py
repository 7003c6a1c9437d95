"""What the arguments and inputs of layers must be, and errors that say so."""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.nn.layer import Layer, Shape


def positive(layer: Layer, what: str, value: Any) -> int:
    """Return an integer of at least 1."""
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(
            f"{type(layer).__name__}: {what} must be a positive integer, got {value!r}"
        )
    return int(value)


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    """Return one integer per axis of space, given one for all or one for each."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def one_of(layer: Layer, what: str, value: Any, known: tuple[Any, ...]) -> Any:
    """Return an option, a string in small letters, if it is one of those known."""
    found = value.lower() if isinstance(value, str) else value
    if found not in known:
        raise ValueError(
            f"{type(layer).__name__}: {what} must be {' or '.join(map(repr, known))}, got {value!r}"
        )
    return found


def probability(layer: Layer, what: str, value: float) -> float:
    """Return a probability."""
    if not 0 <= value <= 1:
        raise ValueError(
            f"{type(layer).__name__}: {what} is a probability, from 0 to 1, and was {value}"
        )
    return value


def layout_of(layer: Layer, data_format: str | None, rank: int) -> str:
    """Return our name of a layout, given Keras'."""
    space = "DHW"[3 - rank :]
    one_of(layer, "data_format", data_format, (None, "channels_last", "channels_first"))
    return f"NC{space}" if data_format == "channels_first" else f"N{space}C"


def check_axes(layer: Layer, shape: Shape, axes: str) -> None:
    """Refuse an input that has other axes than those that letters stand for."""
    if len(shape) != len(axes):
        raise ValueError(
            f"layer {layer.name!r} needs inputs of shape ({', '.join(axes)}), got {shape}; add a "
            "missing axis with headgate.expand_dims(x, axis)"
        )
