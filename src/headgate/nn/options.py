"""What the arguments and inputs of layers must be, and errors that say so."""

from __future__ import annotations

from typing import Any

from headgate.core.checks import choice, flag, number, per_axis, whole, wholes
from headgate.nn.layer import Layer, Shape


def positive(layer: Layer, what: str, value: Any) -> int:
    """Return an integer of at least 1."""
    return whole(type(layer).__name__, what, value, 1)


def each(layer: Layer, what: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """Return one integer per axis of space, given one for all or one for each."""
    return per_axis(type(layer).__name__, what, value, rank, least)


def one_of(layer: Layer, what: str, value: Any, known: tuple[Any, ...]) -> Any:
    """Return an option, a string in small letters, if it is one of those known."""
    found = value.lower() if isinstance(value, str) else value
    return choice(type(layer).__name__, what, found, known)


def switch(layer: Layer, what: str, value: Any) -> bool:
    """Return True or False."""
    return flag(type(layer).__name__, what, value)


def ranged(layer: Layer, what: str, value: Any, interval: str) -> Any:
    """Return a number in an interval."""
    return number(type(layer).__name__, what, value, interval)


def axes(layer: Layer, what: str, value: Any) -> Any:
    """Return an axis as an int, several as a tuple of ints."""
    found = wholes(type(layer).__name__, what, value)
    return found if isinstance(value, list | tuple) else found[0]


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
