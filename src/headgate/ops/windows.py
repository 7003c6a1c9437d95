"""Where windows lie: the options of convolutions and pooling, checked and resolved for shapes.

The public functions of `headgate.ops.conv` and `headgate.ops.pool` turn their options (strides,
paddings, dilations, layouts, in every form that users write) into `Window`s, one for each axis of
space, once for each set of shapes; all that computes reads those and no options.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from headgate.core.checks import affordable
from headgate.record.site import caller

Shape = tuple[int, ...]
Pair = tuple[int, int]


class Window(NamedTuple):
    """How windows lie along one axis: `number` of them, `size` taps each, `dilation` apart."""

    length: int
    size: int
    stride: int
    dilation: int
    pad: Pair
    number: int


class Plan(NamedTuple):
    """A convolution's options, resolved for the shapes at hand: windows per axis of space."""

    windows: tuple[Window, ...]
    groups: int
    channel: int  # the axis of x and y that has the channels

    def each(self, field: str) -> tuple[Any, ...]:
        """Return one field of every window."""
        return tuple(getattr(window, field) for window in self.windows)


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remember what a function returned for the same arguments; lists count as tuples."""
    remember = functools.lru_cache(maxsize=1024, typed=True)(function)
    return lambda *arguments: remember(*map(_frozen, arguments))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple | np.ndarray) else value


def refused(name: str, text: str) -> ValueError:
    """Return the error for options that make no sense, with the user's line."""
    site = caller()
    return ValueError(f"{name}: {text}\n  at {site}: {site.text}")


def axes_of(name: str, shape: Shape, layout: str | None) -> tuple[Shape, int]:
    """Return the axes of space and the axis of channels in an array of this shape."""
    rank = len(shape)
    if not 3 <= rank <= 5:
        raise refused(
            name,
            "x must have a batch axis, one to three axes of space and a channel axis, got shape "
            f"{shape}; add a missing axis with headgate.expand_dims(x, axis)",
        )
    space = "DHW"[5 - rank :]
    if layout is None or layout == f"N{space}C":
        return tuple(range(1, rank - 1)), rank - 1
    if layout == f"NC{space}":
        return tuple(range(2, rank)), 1
    raise refused(
        name, f"layout for x of shape {shape} must be 'N{space}C' or 'NC{space}', got {layout!r}"
    )


def _of_space(values: tuple[Any, ...], axes: Shape, neutral: Any) -> tuple[Any, ...]:
    """Return the entries for the axes of space: all, or in TensorFlow's form all but two."""
    others = [value for axis, value in enumerate(values) if axis not in axes]
    if len(values) == len(axes) + 2 and others == [neutral, neutral]:
        return tuple(values[axis] for axis in axes)
    return values


def sizes_of(name: str, what: str, value: Any, axes: Shape, least: int = 1) -> Shape:
    """Return one integer per axis of space, given one for all or one each."""
    values = _of_space(value, axes, 1) if isinstance(value, tuple) else (value,) * len(axes)
    if len(values) != len(axes) or not all(counts(v, least) for v in values):
        raise refused(
            name,
            f"{what} must be an integer of at least {least}, or one for each of the {len(axes)} "
            f"axes of space, got {what}={value!r}",
        )
    return tuple(map(int, values))


def counts(value: Any, least: int) -> bool:
    is_whole = isinstance(value, int | np.integer) and type(value) is not bool
    return is_whole and bool(value >= least)


def _is_pair(pad: Any) -> bool:
    pair = isinstance(pad, tuple) and len(pad) == 2
    return pair and all(isinstance(size, int | np.integer) and size >= 0 for size in pad)


def _pads(name: str, padding: Any, axes: Shape) -> tuple[Pair | None, ...]:
    """Return a pair of sizes per axis of space; None stands for "SAME"."""
    if isinstance(padding, str) and padding.upper() in ("SAME", "VALID"):
        return (None if padding.upper() == "SAME" else (0, 0),) * len(axes)
    pads = _of_space(padding, axes, (0, 0)) if isinstance(padding, tuple) else ()
    if len(pads) != len(axes) or not all(map(_is_pair, pads)):
        raise refused(
            name,
            "padding must be 'SAME', 'VALID', or a (low, high) pair of sizes, zero or more, for "
            f"each of the {len(axes)} axes of space, got padding={padding!r}",
        )
    return pads


class Option(NamedTuple):
    """A window's options along one axis of space; `pad` is None for "SAME"."""

    size: int
    stride: int
    dilation: int
    pad: Pair | None

    @property
    def span(self) -> int:
        return (self.size - 1) * self.dilation + 1

    def over(self, length: int) -> Window:
        """Return how windows lie on an axis of this length."""
        pad = self.pad
        if pad is None:
            needed = (-(-length // self.stride) - 1) * self.stride + self.span
            total = max(needed - length, 0)
            pad = (total // 2, total - total // 2)
        count = (length + sum(pad) - self.span) // self.stride + 1
        return Window(length, self.size, self.stride, self.dilation, pad, count)

    def least(self, count: int) -> int:
        """Return the shortest length with so many windows; the longest is stride - 1 more."""
        if self.pad is None:
            return (count - 1) * self.stride + 1
        return (count - 1) * self.stride + self.span - sum(self.pad)

    def grown(self, count: int, extra: int | None) -> int:
        """Return the length that a transposed convolution makes of `count`, as Keras does.

        `extra` is its output_padding.
        """
        if self.pad is None:
            odd = (count - 1) * self.stride + self.span % 2
            return count * self.stride if extra is None else odd + extra
        return self.least(count) + (max(self.stride - self.span, 0) if extra is None else extra)


def options_of(name: str, axes: Shape, padding: Any, **sizes: Any) -> list[Option]:
    """Return the options along each axis of space, checked."""
    pads = _pads(name, padding, axes)
    per_axis = (sizes_of(name, what, value, axes) for what, value in sizes.items())
    return list(map(Option, *per_axis, pads))


def windows_of(name: str, shape: Shape, axes: Shape, options: list[Option]) -> tuple[Window, ...]:
    """Return how windows lie along the axes of space of an array of this shape."""
    windows = tuple(option.over(shape[axis]) for axis, option in zip(axes, options))
    affordable(name, "padding", tuple(sum(window.pad) + window.length for window in windows))
    for axis, option, window in zip(axes, options, windows):
        if window.number < 1 and option.pad is not None:
            raise refused(
                name,
                f"a window of size {option.size} with dilation {option.dilation} is larger than "
                f"axis {axis} of x of shape {shape} with padding {option.pad}; use a smaller "
                "window, or padding='SAME'",
            )
    return windows
