"""What an argument must be: one way to check it, and one way to say what is wrong with it.

Each check is told whose argument it is, its name and what was given, and returns the argument as
the code behind it wants it:

    units = whole("Dense", "units", units, least=1)
    rate = number("Dropout", "rate", rate, "[0, 1]")
    padding = choice("Conv2D", "padding", padding, ("valid", "same"))
    shape = extents("zeros", "shape", shape)

    Dropout: rate must be from 0 to 1, got 1.5

What is of the right type and out of range is a `ValueError`; what is of a wrong type is a
`WrongType`, which is a `TypeError` and a `ValueError`; what no memory can hold is a `MemoryError`
before any is asked for. Each has the user's line.

Options are checked where they are given, in a constructor or where a call is planned, and rows
check static arguments that the array library would take for something (`checks` of
`headgate.core.op.op`); what the library itself refuses costs no check. Nothing here asks for the
elements of a traced array: where a number is expected, a stand-in passes by its shape and dtype,
and where a whole number is, it is refused with the cure.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from headgate.core.namespace import HOMES, NUMPY, owner
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.core.variable import Variable
from headgate.record.errors import describe, refusal

MOST_ELEMENTS = 1 << 47
"""No array has more: so many bytes are all that an address of today's processors reaches."""


class WrongType(TypeError, ValueError):
    """An argument of a type that cannot be meant: a float for a count, a text for a number."""


def refused(
    whose: str, name: str, words: str, given: Any, kind: type[Exception] = ValueError
) -> Exception:
    """Return the error about an argument: whose it is, what it must be, what was given."""
    said = _said(given)
    if kind is WrongType and given is not None and not hasattr(given, "dtype"):
        said += f" ({type(given).__name__})"
    return refusal(kind, f"{whose}: {name} must be {words}, got {said}")


def _said(given: Any) -> str:
    """Say what was given: numbers and texts as they are written, arrays by dtype and shape."""
    if isinstance(given, np.generic) or not hasattr(given, "dtype"):
        text = repr(given)
        return text if len(text) <= 80 else f"{text[:77]}..."
    value = _raw(given)
    if is_traced(value) or getattr(value, "size", 2) != 1:
        return f"{type(given).__name__} of {describe(given)}"
    return f"{np.asarray(value).item()!r} ({describe(given)})"


def _raw(value: Any) -> Any:
    """Return the array of a tensor or variable, and anything else as it is."""
    if type(value) is Tensor:
        return value.value
    return value._value if type(value) is Variable else value


# -- numbers ---------------------------------------------------------------------------------------


class _Interval(NamedTuple):
    low: float
    high: float
    has_low: bool
    has_high: bool
    words: str

    def holds(self, value: Any) -> bool:
        above = self.low <= value if self.has_low else self.low < value
        return bool(above and (value <= self.high if self.has_high else value < self.high))


@functools.cache
def _interval(text: str) -> _Interval:
    """Return what a text such as "[0, 1)" stands for."""
    low, high = map(float, text[1:-1].split(","))
    has_low, has_high = text[0] == "[", text[-1] == "]"
    first, last = (f"{end:g}" for end in (low, high))
    if low == -math.inf:
        words = "a number" if high == math.inf else f"{'up to' if has_high else 'below'} {last}"
    elif high == math.inf:
        words = f"at least {first}" if has_low else f"above {first}"
        if low == 0:
            words = "0 or a positive number" if has_low else "a positive number"
    elif has_low and has_high:
        words = f"from {first} to {last}"
    else:
        words = f"{'at least' if has_low else 'above'} {first} and "
        words += f"{'at most' if has_high else 'below'} {last}"
    return _Interval(low, high, has_low, has_high, words)


ANY = "(-inf, inf)"


def number(whose: str, name: str, value: Any, interval: str = ANY) -> Any:
    """Return a real number in an interval, "[0, 1)" say, as Python's own.

    Python's numbers leave the dtype of arrays alone, which NumPy's do not. Infinities pass only
    where the interval includes them, a tensor if its value is known; a variable, which would be
    read once and for all, does not.
    """
    if type(value) is float and interval is ANY and -math.inf < value < math.inf:
        return value
    found = value
    if type(value) is not float and type(value) is not int:
        if type(value) is Variable or is_traced(_raw(value)):
            raise refused(whose, name, f"{_interval(interval).words}, known now", value, WrongType)
        found = _plain(whose, name, value, interval)
    if not _interval(interval).holds(found):
        raise refused(whose, name, _interval(interval).words, value)
    return found


def amount(whose: str, name: str, value: Any, interval: str = "(-inf, inf)") -> Any:
    """Return a number as `number` does; tensors and variables without axes as they are.

    For what an op computes with: gradient may flow to it. The value of a stand-in is nobody's to
    check.
    """
    if type(value) is float or type(value) is int:
        return number(whose, name, value, interval)
    found = _plain(whose, name, value, interval)
    if found is not None and not _interval(interval).holds(found):
        raise refused(whose, name, _interval(interval).words, value)
    of_numpy = _raw(value) is value and owner[type(value)] is NUMPY
    return found if of_numpy else value


def _plain(whose: str, name: str, value: Any, interval: str) -> Any:
    """Return what is in an array without axes, or a number; None of a stand-in."""
    array = _raw(value)
    if hasattr(array, "dtype"):
        if getattr(array, "shape", None) == () and array.dtype.kind in "iufV":
            return None if is_traced(array) else np.asarray(array).item()
    elif not isinstance(value, bool) and isinstance(value, Real):
        return value
    raise refused(whose, name, _interval(interval).words, value, WrongType)


def numbers(whose: str, name: str, values: Any, interval: str = "(-inf, inf)") -> tuple[Any, ...]:
    """Return several numbers, each in an interval."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise refused(whose, name, "a list of numbers", values, WrongType)
    return tuple(number(whose, f"{name}[{k}]", value, interval) for k, value in enumerate(values))


def whole(
    whose: str, name: str, value: Any, least: int | None = None, most: int | None = None
) -> int:
    """Return a whole number as Python's int: any integer, also one in an array of no axes."""
    if type(value) is int:
        found = value
    else:
        try:
            found = operator.index(value)
        except TypeError as error:
            if getattr(error, "headgate_explained", False):  # a traced value
                raise
            raise refused(whose, name, _whole(least, most), value, WrongType) from None
        if isinstance(value, bool):
            raise refused(whose, name, _whole(least, most), value, WrongType)
    if (least is not None and found < least) or (most is not None and found > most):
        raise refused(whose, name, _whole(least, most), value)
    return found


def _whole(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return f"an integer from {least} to {most}"
    if least is not None:
        named = {0: "a non-negative integer", 1: "a positive integer"}
        return named.get(least, f"an integer of at least {least}")
    return "an integer" if most is None else f"an integer of at most {most}"


def flag(whose: str, name: str, value: Any) -> bool:
    """Return True or False; 0 and 1 count, also in an array without axes. A text is neither."""
    if value is True or value is False:
        return bool(value)
    found = _raw(value)
    if hasattr(found, "dtype") and found.dtype.kind in "biu" and not is_traced(found):
        found = np.asarray(found).item() if found.shape == () else None
    if isinstance(found, int) and found in (0, 1):
        return bool(found)
    raise refused(whose, name, "True or False", value, WrongType)


def optional(check: Callable[..., Any], whose: str, name: str, value: Any, *limits: Any) -> Any:
    """Return what a check returns, or None for None."""
    return None if value is None else check(whose, name, value, *limits)


# -- names -----------------------------------------------------------------------------------------


def choice(whose: str, name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Return one of the values that are allowed."""
    known = tuple(allowed)
    for each in known:
        if value is each or (type(value) is type(each) and value == each):
            return each
    names = [repr(each) for each in known]
    words = " or ".join(names) if len(names) < 4 else f"one of {', '.join(names)}"
    raise refused(whose, name, words, value)


# -- shapes ----------------------------------------------------------------------------------------


def _many(value: Any) -> tuple[Any, ...] | None:
    """Return the entries of a list, a tuple or an array of one axis; None for anything else."""
    if isinstance(value, tuple | list):
        return tuple(value)
    if getattr(value, "ndim", 0) == 1 and not is_traced(_raw(value)):
        return tuple(np.asarray(_raw(value)).tolist())
    return None


def wholes(
    whose: str, name: str, value: Any, least: int | None = None, most: int | None = None
) -> tuple[int, ...]:
    """Return a list of whole numbers, or one alone, as a tuple."""
    many = _many(value)
    if many is None:
        return (whole(whose, name, value, least, most),)
    if least is None and most is None and all(type(each) is int for each in many):
        return many
    return tuple(whole(whose, f"{name}[{k}]", each, least, most) for k, each in enumerate(many))


def per_axis(
    whose: str, name: str, value: Any, count: int, least: int | None = 1
) -> tuple[int, ...]:
    """Return one whole number for each of some axes, given one for all or one for each."""
    many = _many(value)
    if many is None:
        return (whole(whose, name, value, least),) * count
    if len(many) != count:
        raise refused(whose, name, f"one number, or {count} numbers", value)
    return tuple(whole(whose, f"{name}[{k}]", each, least) for k, each in enumerate(many))


def extents(whose: str, name: str, value: Any, least: int = 0) -> tuple[int, ...]:
    """Return a shape as a tuple of ints; refuse one of more elements than there can be."""
    shape = wholes(whose, name, value, least)
    affordable(whose, name, shape)
    return shape


def outline(whose: str, name: str, value: Any, least: int = 0) -> tuple[int | None, ...]:
    """Return a shape of which sizes may be unknown, None."""
    many = _many(value)
    if many is None:
        raise refused(whose, name, "a shape: a tuple of integers", value, WrongType)
    sizes = tuple(
        optional(whole, whose, f"{name}[{k}]", size, least) for k, size in enumerate(many)
    )
    affordable(whose, name, tuple(size for size in sizes if size is not None))
    return sizes


def affordable(whose: str, name: str, shape: tuple[int, ...]) -> None:
    """Refuse the shape of a result that no memory could hold, before it is asked for."""
    if math.prod(shape) > MOST_ELEMENTS:
        raise refusal(
            MemoryError,
            f"{whose}: {name} asks for an array of shape {shape}, {math.prod(shape):,} elements, "
            "more than any memory can hold",
        )


# -- devices ---------------------------------------------------------------------------------------


def on_host(whose: str, device: Any) -> None:
    """Refuse a device that no array is on; what is made on the host is at home on any other one."""
    if device is None or device == "cpu" or type(device).__module__.partition(".")[0] in HOMES:
        return
    raise refused(
        whose,
        "device",
        "'cpu', for arrays are NumPy's until a compiled function or headgate.to_backend has them",
        device,
    )
