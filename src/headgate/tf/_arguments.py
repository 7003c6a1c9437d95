"""What the arguments of `headgate.tf` must be: a check for each, in one line above its function.

    @checked(shape=sizes)
    def zeros(shape, dtype=float32, name=None): ...

A decorated function is called by one that is written for it: the same parameters, a line for each
check, and the call. A check is told whose argument it is, its name and what was given, and returns
the argument as the function wants it, or refuses it in the words of `headgate.core.checks`. Where
what is allowed depends on another argument, its name follows the check: `multiples=(per_axis,
"input")`.

TensorFlow refuses what these refuse: a float for a size, a text for an axis, a list of paddings
with too few rows; NumPy would cut it down to an integer, or broadcast it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from headgate.core import checks as checks
from headgate.core.checks import WrongType
from headgate.core.checks import refused as refused
from headgate.core.tensor import Tensor, raw
from headgate.core.traced import is_traced
from headgate.core.variable import Variable
from headgate.record.errors import refusal

Function = TypeVar("Function", bound=Callable[..., Any])
Check = Callable[..., Any]


def checked(**given: Check | tuple[Any, ...]) -> Callable[[Function], Function]:
    """Check arguments before a function is called; None passes where it is the default."""

    def decorate(function: Function) -> Function:
        parameters = inspect.signature(function).parameters
        heads, lines, call = [], [], []
        scope: dict[str, Any] = {"_function": function}
        for name, parameter in parameters.items():
            plain = f"{name}=None" if parameter.default is not parameter.empty else name
            if parameter.kind is parameter.VAR_POSITIONAL:
                heads.append(f"*{name}")
                call.append(f"*{name}")
            elif parameter.kind is parameter.KEYWORD_ONLY:
                heads += [plain] if any(each[0] == "*" for each in heads) else ["*", plain]
                call.append(f"{name}={name}")
            else:
                heads.append(plain)
                call.append(name)
        place = function.__module__.removeprefix("headgate.").partition("._")[0]
        whose = f"{place}.{function.__name__}"
        for name, found in given.items():
            check, *others = found if isinstance(found, tuple) else (found,)
            scope[f"_check_{name}"] = check
            test = f"if {name} is not None: " if parameters[name].default is None else ""
            arguments = ", ".join([repr(whose), repr(name), name, *others])
            lines.append(f"{test}{name} = _check_{name}({arguments})")
        lines.append(f"return _function({', '.join(call)})")
        body = "\n".join(f"        {line}" for line in lines)
        text = (
            f"def make({', '.join(scope)}):\n"
            f"    def {function.__name__}({', '.join(heads)}):\n{body}\n"
            f"    return {function.__name__}\n"
        )
        made: dict[str, Any] = {}
        exec(compile(text, f"<headgate {whose}>", "exec"), function.__globals__, made)
        caller = made["make"](**scope)
        caller.__defaults__ = function.__defaults__
        caller.__kwdefaults__ = function.__kwdefaults__
        caller.__doc__ = function.__doc__
        caller.__wrapped__ = function
        caller.__module__, caller.__qualname__ = function.__module__, function.__qualname__
        return caller  # type: ignore[no-any-return]

    return decorate


# -- single arguments ------------------------------------------------------------------------------


def axis(whose: str, name: str, value: Any) -> int:
    """Return the number of an axis."""
    return value if type(value) is int else checks.whole(whose, name, value)


def only_axis(whose: str, name: str, value: Any) -> int:
    """Return the number of an axis, which may stand alone in a list."""
    if type(value) is int:
        return value
    if isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1:
        found = checks.wholes(whose, name, value)
        if len(found) != 1:
            raise refused(whose, name, "one integer", value)
        return found[0]
    return axis(whose, name, value)


def axes(whose: str, name: str, value: Any) -> Any:
    """Return the number of an axis, or of several; None is all of them."""
    if type(value) is int or value is None:
        return value
    if isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1:
        return checks.wholes(whose, name, value)
    return checks.whole(whose, name, value)


def some_axes(whose: str, name: str, value: Any) -> Any:
    """Return the number of an axis, or of several."""
    if value is None:
        raise refused(whose, name, "an integer, or several", value, WrongType)
    return axes(whose, name, value)


def count(whose: str, name: str, value: Any) -> int:
    """Return a number of things."""
    return checks.whole(whose, name, value, 0)


def positive(whose: str, name: str, value: Any) -> int:
    """Return a number of things, one at least."""
    return checks.whole(whose, name, value, 1)


def sizes(whose: str, name: str, value: Any) -> tuple[int, ...]:
    """Return a shape."""
    return _plain_sizes(value, 0) or checks.extents(whose, name, value)


def sizes_but_one(whose: str, name: str, value: Any) -> tuple[int, ...]:
    """Return a shape in which sizes may be -1: what is left, or as it was."""
    return _plain_sizes(value, -1) or checks.extents(whose, name, value, -1)


def _plain_sizes(value: Any, least: int) -> tuple[int, ...] | None:
    """Return a list of Python's integers of which nothing is to be said, which most shapes are."""
    if type(value) is not list and type(value) is not tuple:
        return None
    total = 1
    for size in value:
        if type(size) is not int or size < least:
            return None
        total *= size
    return tuple(value) if total <= checks.MOST_ELEMENTS else None


def truth(whose: str, name: str, value: Any) -> bool:
    """Return True or False; NumPy's, 0, 1 and None are taken."""
    if value is True or value is False:
        return value
    if value is None:
        return False
    if isinstance(value, np.bool_) or (type(value) is int and value in (0, 1)):
        return bool(value)
    raise refused(whose, name, "True or False", value, WrongType)


def real(whose: str, name: str, value: Any) -> Any:
    """Return a number, or a tensor of one; it may be infinite or NaN."""
    return value if type(value) is float else checks.amount(whose, name, value, "[-inf, inf]")


def dtype(whose: str, name: str, value: Any) -> Any:
    """Return what names a dtype; NumPy would take None for float64."""
    if value is None:
        raise refused(whose, name, "a dtype such as tf.float32", value, WrongType)
    return value


def within(interval: str) -> Check:
    """Return the check of a number in an interval."""

    def check(whose: str, name: str, value: Any) -> Any:
        return checks.amount(whose, name, value, interval)

    return check


def one_of(*allowed: Any) -> Check:
    """Return the check of a word among some."""

    def check(whose: str, name: str, value: Any) -> Any:
        return checks.choice(whose, name, value, allowed)

    return check


# -- arguments that depend on others ---------------------------------------------------------------


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of a tensor, or of what becomes one."""
    if type(value) is Tensor or type(value) is Variable:
        return value.shape
    return np.shape(value)


def _many(whose: str, name: str, value: Any, least: int | None, of: int, what: str) -> Any:
    found = checks.wholes(whose, name, value, least)
    if len(found) != of or not (isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1):
        raise refused(whose, name, f"{of} {what}, one for each axis", value)
    return found


def per_axis(whose: str, name: str, value: Any, of: Any) -> tuple[int, ...]:
    """Return a number for each axis of a tensor."""
    plain = _plain_sizes(value, 0)
    if plain is not None and len(plain) == len(shape_of(of)):
        return plain
    found: tuple[int, ...] = _many(whose, name, value, 0, len(shape_of(of)), "numbers")
    return found


def order(whose: str, name: str, value: Any, of: Any) -> tuple[int, ...]:
    """Return the axes of a tensor in another order."""
    rank = len(shape_of(of))
    if type(value) is list or type(value) is tuple:
        left = {*range(rank)}
        for each in value:
            if type(each) is not int or each not in left:
                break
            left.remove(each)
        else:
            if not left:
                return tuple(value)
    found: tuple[int, ...] = _many(whose, name, value, -rank, rank, "axes")
    if sorted(each % rank for each in found) != [*range(rank)]:
        raise refused(whose, name, f"each axis of {rank} once", value)
    return found


def shifts(whose: str, name: str, value: Any, along: Any) -> Any:
    """Return a number for each of some axes."""
    found, wanted = axes(whose, name, value), axes(whose, "axis", along)
    if isinstance(found, int) != isinstance(wanted, int) or (
        isinstance(found, tuple) and isinstance(wanted, tuple) and len(found) != len(wanted)
    ):
        raise refused(whose, name, f"one number for each axis of {wanted}", value)
    return found


def paddings(whose: str, name: str, value: Any, of: Any, mode: str) -> tuple[tuple[int, int], ...]:
    """Return two widths for each axis of a tensor; what is mirrored must be there."""
    shape = shape_of(of)
    rank = len(shape)
    if mode == "constant" and type(value) is list and len(value) == rank:
        widths = [_plain_sizes(row, 0) or () for row in value]
        if all(len(row) == 2 for row in widths):
            return tuple(widths)  # type: ignore[arg-type]
    try:
        rows = np.asarray(value)
    except ValueError:  # rows of several lengths
        rows = np.empty(0)
    if rows.shape != (rank, 2) or (rows.dtype.kind not in "iu" and rank):
        kind = WrongType if rows.shape == (rank, 2) else ValueError
        raise refused(whose, name, f"integers of shape ({rank}, 2), two for each axis", value, kind)
    found = tuple((int(low), int(high)) for low, high in rows)
    if any(low < 0 or high < 0 for low, high in found):
        raise refused(whose, name, "0 or positive integers", value)
    if mode != "constant":
        least = 1 if mode == "reflect" else 0
        for size, row in zip(shape, found, strict=True):
            if max(row) > size - least and max(row):
                words = (
                    f"at most {max(size - least, 0)} for an axis of size {size} with mode {mode!r}"
                )
                raise refused(whose, name, words, value)
    return found


def scalar(whose: str, name: str, value: Any) -> Any:
    """Return a value without axes."""
    if type(value) is float or type(value) is int:
        return value
    if value is None or shape_of(value) != ():
        raise refused(whose, name, "one number, without axes", value)
    return value


def fitting(whose: str, name: str, value: Any, other: Any) -> Any:
    """Return a value that broadcasts to another's shape, and does not widen it."""
    if type(value) is float or type(value) is int:
        return value
    have, want = shape_of(value), shape_of(other)
    if have:
        try:
            fits = np.broadcast_shapes(have, want) == want
        except ValueError:
            fits = False
        if not fits:
            raise refused(whose, name, f"of a shape that broadcasts to {want}", value)
    return value


def like(whose: str, name: str, value: Any, other: Any) -> Any:
    """Return a number, or a tensor of one that has the dtype of another tensor."""
    if type(value) is float:
        return value
    found = checks.amount(whose, name, value, "[-inf, inf]")
    wanted = getattr(other, "dtype", None)
    if (type(found) is Tensor or type(found) is Variable) and wanted not in (None, found.dtype):
        raise refused(whose, name, f"a number, or a tensor of {wanted}", value, WrongType)
    return found


def plain(whose: str, name: str, value: Any) -> Any:
    """Return a number; no tensor, for no gradient flows to it."""
    if type(value) is Tensor or type(value) is Variable:
        raise refused(whose, name, "a number, and no tensor", value, WrongType)
    return value if type(value) is float else checks.number(whose, name, value, "[-inf, inf]")


def same_shape(whose: str, name: str, value: Any, other: Any) -> Any:
    """Return a tensor of another one's shape."""
    if shape_of(value) != shape_of(other):
        raise refused(whose, name, f"of shape {shape_of(other)}", value)
    return value


def targets(whose: str, name: str, value: Any, logits: Any) -> Any:
    """Return distributions for logits: a vector or more, of a shape that broadcasts to theirs."""
    return fitting(whose, name, ranked(whose, name, value), logits)


def ranked(whose: str, name: str, value: Any) -> Any:
    """Return a tensor of one axis or more."""
    if not shape_of(value):
        raise refused(whose, name, "of one axis or more", value)
    return value


def matrices(whose: str, name: str, value: Any) -> Any:
    """Return a tensor of two axes or more."""
    if len(shape_of(value)) < 2:
        raise refused(whose, name, "a matrix, or several: two axes or more", value)
    return value


def channels(whose: str, name: str, value: Any, of: Any, layout: Any) -> Any:
    """Return a vector with a number for each channel of a tensor."""
    shape = shape_of(of)
    if len(shape) < 2:
        raise refused(whose, "value", "of two axes or more", of)
    wanted = shape[1 if layout is not None and layout.startswith("NC") else -1]
    if shape_of(value) != (wanted,):
        raise refused(whose, name, f"of shape ({wanted},), one for each channel", value)
    return value


def layout(last: str) -> Check:
    """Return the check of where the channels stand: as in `last`, "NHWC" say, or after N."""
    first = f"NC{last[1:-1]}"

    def check(whose: str, name: str, value: Any) -> str:
        if value is None:
            return last
        if len(last) == 3 and value in ("NHWC", "NCHW"):  # older names of TensorFlow's
            return last if value == "NHWC" else first
        return checks.choice(whose, name, value, (last, first))  # type: ignore[no-any-return]

    return check


def channels_last(whose: str, name: str, value: Any) -> str:
    """Return a layout of any rank, or how it begins: "NHWC", "NCHW", "N...C", "NC..."."""
    if not isinstance(value, str) or value[:1] != "N" or "C" not in (value[1:2], value[-1:]):
        raise refused(whose, name, "'NHWC', 'NCHW' or such", value)
    return value


def along(whose: str, name: str, value: Any, names: str) -> Any:
    """Return a number for the axes of space, or for each of a layout: 1 for those of N and C."""
    if type(value) is int and value > 0:
        return value
    found = checks.wholes(whose, name, value, 1)
    if len(found) not in (1, len(names) - 2, len(names)):
        raise refused(whose, name, f"1, {len(names) - 2} or {len(names)} integers", value)
    if len(found) == len(names) and any(
        number != 1 for number, each in zip(found, names, strict=True) if each in "NC"
    ):
        raise refused(whose, name, f"1 for the axes N and C of {names!r}", value)
    return found if len(found) > 1 else found[0]


def margins(whose: str, name: str, value: Any, names: str) -> Any:
    """Return "SAME", "VALID" or two widths for each axis: 0 for images and channels."""
    if isinstance(value, str):
        return checks.choice(whose, name, value.upper(), ("SAME", "VALID"))
    try:
        rows = np.asarray(value)
    except ValueError:  # rows of several lengths
        rows = np.empty(0)
    if rows.shape != (len(names), 2) or rows.dtype.kind not in "iu" or (rows < 0).any():
        words = f"'SAME', 'VALID', or integers of shape ({len(names)}, 2), two for each axis"
        raise refused(whose, name, words, value)
    found = [(int(low), int(high)) for low, high in rows]
    if any(row != (0, 0) for row, each in zip(found, names, strict=True) if each in "NC"):
        raise refused(whose, name, f"0 for the axes N and C of {names!r}", value)
    return found


def updates(whose: str, name: str, value: Any, of: Any, places: Any) -> Any:
    """Return what is written at some places of a tensor: one slice for each."""
    x, index = shape_of(of), shape_of(places)
    if not index:
        raise refused(whose, "indices", "of one axis or more", places)
    if index[-1] > len(x):
        raise refused(whose, "indices", f"vectors of {len(x)} numbers at most", places)
    wanted = (*index[:-1], *x[index[-1] :])
    if shape_of(value) != wanted:
        raise refused(whose, name, f"of shape {wanted}, one slice for each index", value)
    return value


def matched_axes(whose: str, name: str, value: Any, of: Any, places: Any) -> int:
    """Return how many axes of a tensor and of indices are matched; -1 is all but one of these."""
    if value == 0 and type(value) is int:
        return 0
    rank = len(shape_of(places))
    return checks.whole(whose, name, value, -rank, min(rank, len(shape_of(of))))


def mask_of(whose: str, name: str, value: Any, of: Any, start: Any) -> Any:
    """Return a mask of some axes of a tensor, from `start` on."""
    mask, x = shape_of(value), shape_of(of)
    first = 0 if start is None else axis(whose, "axis", start)
    first = first + len(x) if first < 0 else first
    if not 0 <= first < len(x):
        raise refused(whose, "axis", f"an axis of {len(x)}", start)
    if not mask:
        raise refused(whose, name, "of one axis or more", value)
    if mask != x[first : first + len(mask)]:
        raise refused(whose, name, f"of the shape of the first axes of {x[first:]}", value)
    return value


def noise(whose: str, name: str, value: Any, of: Any) -> tuple[int | None, ...]:
    """Return the shape of a random mask, None for an axis as in the tensor."""
    shape = shape_of(of)
    if isinstance(value, list | tuple) and None in value and len(value) == len(shape):
        value = [size if size is not None else own for size, own in zip(value, shape, strict=True)]
    found = checks.extents(whose, name, value)
    try:
        fits = np.broadcast_shapes(found, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise refused(whose, name, f"a shape that broadcasts to {shape}", value)
    return found


def contracted(whose: str, name: str, value: Any, a: Any, b: Any) -> Any:
    """Return how many axes to contract, or which ones of each tensor."""
    if getattr(value, "ndim", 0) > 0 and not is_traced(getattr(value, "value", value)):
        value = np.asarray(value).tolist()
    ranks = len(shape_of(a)), len(shape_of(b))
    if not isinstance(value, list | tuple):
        return checks.whole(whose, name, value, 0, min(ranks))
    if len(value) != 2:
        raise refused(whose, name, "a number of axes, or a list for each tensor", value)
    first, second = (
        checks.wholes(whose, f"{name}[{k}]", each, -ranks[k], ranks[k] - 1)
        for k, each in enumerate(value)
    )
    if len(first) != len(second):
        raise refused(whose, name, "as many axes of one tensor as of the other", value)
    return first, second


def same_shapes(whose: str, name: str, value: Any) -> Any:
    """Return a list of tensors of one shape."""
    if not isinstance(value, list | tuple) or not value:
        raise refused(whose, name, "a list of tensors", value, WrongType)
    shapes = [shape_of(each) for each in value]
    if any(shape != shapes[0] for shape in shapes):
        raise refusal(ValueError, f"{whose}: {name} must have one shape, got {shapes}")
    return value


# -- numbers for tensors ---------------------------------------------------------------------------

_HELD = {"b": "fV", "i": "iufVc", "u": "iufVc", "f": "fVc", "c": "c"}
"""Kind of Python's numbers -> kinds of dtypes that hold them; some more hold truths."""


def numbers(value: Any, dtype: Any) -> Any:
    """Return an array of a dtype; refuse Python's numbers that it cannot hold, and texts.

    Arrays and NumPy's numbers are converted in any case: they have a dtype of their own, and
    asking for another is a cast. So is a whole number out of range, which wraps.
    """
    if hasattr(value, "dtype"):
        return raw(value, dtype)
    wanted = np.dtype(dtype)
    try:
        found = np.asarray(value)
    except ValueError:
        return raw(value, dtype)  # a ragged list is refused there
    kind = found.dtype.kind
    if found.size and not (
        wanted.kind in _HELD.get(kind, "")
        or (kind == "b" and wanted in (np.bool_, np.int32, np.int64))
        or (kind == "O" and wanted.kind in "fVc" and all(type(each) is int for each in found.flat))
    ):
        if kind == "O" and all(type(each) is int for each in found.flat):
            raise refused(
                "tf.convert_to_tensor", "value", "of 64 bits, if whole", value, OverflowError
            )
        words = f"numbers that {wanted} can hold (tf.cast converts others)"
        raise refused("tf.convert_to_tensor", "value", words, value, WrongType)
    with np.errstate(over="ignore"):
        return found.astype(wanted)
