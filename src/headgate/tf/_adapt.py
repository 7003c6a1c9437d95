"""How TensorFlow's calling conventions differ from ours: default dtypes, `name=`, argument names.

TensorFlow makes float32 of Python floats and int32 of Python integers, keeps the dtype of NumPy
arrays, and lets a number take the dtype of the tensor it meets. The factories below turn one of our
functions into one with TensorFlow's arguments; the modules beside this one are tables built with
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from headgate.core.host import came_back
from headgate.core.lift import owned
from headgate.core.namespace import TENSORS
from headgate.core.tensor import Tensor, constant, raw, tensor_of
from headgate.core.traced import is_traced
from headgate.core.variable import Variable as _Variable
from headgate.ops.operators import looked_at
from headgate.record.errors import refusal
from headgate.record.graph import state
from headgate.tf._arguments import axes, numbers, truth
from headgate.tf._dtypes import ANY, dtype_of, other_function, refused, usual_of


def default_dtype(array: Any) -> Any:
    """Return an array of Python numbers in TensorFlow's default dtype."""
    if array.dtype == np.float64:
        return array.astype(np.float32)
    if array.dtype == np.int64 and np.all(np.abs(array) <= np.iinfo(np.int32).max):
        return array.astype(np.int32)
    return array


class IndexedSlices:
    """Rows of a larger tensor and their positions; positions may repeat.

    TensorFlow's gradients of gathers have this form. Headgate's are dense; the class is here
    for programs that make such values or ask whether a gradient is one.

    >>> import headgate.tf as tf
    >>> slices = tf.IndexedSlices(tf.constant([1.0, 2.0]), tf.constant([1, 1]), [3])
    >>> tf.convert_to_tensor(slices).numpy()
    array([0., 3., 0.], dtype=float32)
    """

    __slots__ = ("dense_shape", "indices", "values")

    def __init__(self, values: Any, indices: Any, dense_shape: Any = None) -> None:
        self.values = values
        self.indices = indices
        self.dense_shape = dense_shape

    def __neg__(self) -> IndexedSlices:
        return IndexedSlices(-self.values, self.indices, self.dense_shape)

    def dense(self) -> Tensor:
        """Return the tensor, rows at the same position added."""
        if self.dense_shape is None:
            raise ValueError(
                "Tensor conversion requested for IndexedSlices without dense_shape: the size of "
                "the first axis is not known"
            )
        values = convert_to_tensor(self.values)
        zeros = constant(np.zeros(static(self.dense_shape), values.dtype))
        rows = in_range(tensor(self.indices), zeros.shape[0])
        return TENSORS.scatter_add(zeros, values, rows)  # type: ignore[no-any-return]


def convert_to_tensor(
    value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None
) -> Tensor:
    """Convert a number, list, array, tensor or variable to a tensor as TensorFlow does.

    Python floats become float32 and integers int32, or what `dtype_hint` says if it can hold them;
    a list with tensors in it is stacked.

    >>> import headgate.tf as tf
    >>> tf.convert_to_tensor([1.0, 2.0]).dtype
    dtype('float32')
    """
    dtype = dtype_of(dtype)
    if type(value) is _Variable:
        value = value.read_value()
    if type(value) is Tensor:
        found = value
        if dtype is not None and found.dtype != dtype:
            raise ValueError(
                f"Tensor conversion requested dtype {dtype} for Tensor with dtype "
                f"{found.dtype}; use tf.cast"
            )
        return found
    if type(value) is IndexedSlices:
        return value.dense()
    if value is None or isinstance(value, dict | str | bytes):
        raise ValueError(
            f"Attempt to convert a value ({value!r}) with an unsupported type ({type(value)}) "
            "to a Tensor."
        )
    if isinstance(value, list | tuple) and _has_tensors(value):
        parts = alike(value) if dtype is None else [convert_to_tensor(v, dtype) for v in value]
        if any(part.shape != parts[0].shape for part in parts):
            raise ValueError(
                "Shapes of all inputs must match: values have the shapes "
                f"{[part.shape for part in parts]}"
            )
        return TENSORS.stack(parts)  # type: ignore[no-any-return]
    array = raw(value) if dtype is None else numbers(value, dtype)
    if isinstance(value, np.ndarray):
        array = np.array(array)
    elif dtype is None and dtype_hint is not None and _holds(dtype_hint, array.dtype.kind):
        array = array.astype(dtype_hint)
    elif (
        dtype is None
        and isinstance(value, int | float | list | tuple | range)
        and not (
            isinstance(value, np.generic)
            or (isinstance(value, list | tuple) and _has_arrays(value))
        )
    ):
        array = default_dtype(array)
    return tensor_of(array, came_back(value) if state.recording.departed else None)


def _has_tensors(value: Any) -> bool:
    return any(
        type(item) is Tensor
        or type(item) is _Variable
        or (isinstance(item, list | tuple) and _has_tensors(item))
        for item in value
    )


def _has_arrays(value: Any) -> bool:
    return any(
        isinstance(item, np.ndarray | np.generic)
        or (isinstance(item, list | tuple) and _has_arrays(item))
        for item in value
    )


def _is_tensor(x: Any) -> bool:
    return type(x) is Tensor or type(x) is _Variable


def _named(call: Any, function: Callable[..., Any], what: str) -> Any:
    call.__name__ = getattr(function, "__name__", what)
    call.__doc__ = getattr(function, "__doc__", None)
    return call


def name_all(scope: dict[str, Any], names: Iterable[str]) -> None:
    """Give the functions of a table the names under which they stand there, the first of several.

    Until then they have those of our ops.
    """
    named: set[int] = set()
    for name in names:
        function = scope[name]
        code = getattr(function, "__code__", None)
        if code is not None and code.co_filename == __file__ and id(function) not in named:
            named.add(id(function))
            function.__name__ = function.__qualname__ = name
            function.__module__ = scope["__name__"]


def _taking(call: Any, *names: str) -> Any:
    """Give a function's first parameters the names that TensorFlow's has."""
    code = call.__code__
    call.__code__ = code.replace(co_varnames=(*names, *code.co_varnames[len(names) :]))
    return call


def unary(
    function: Callable[..., Any], allowed: str = ANY, argument: str = "x"
) -> Callable[..., Any]:
    """Adapt a function of one tensor of an allowed dtype; TensorFlow calls it `argument`."""

    usual = usual_of(allowed)

    def call(x: Any, name: str | None = None) -> Any:
        if type(x) is Tensor:
            dtype = x.value.dtype
        else:
            x = x if type(x) is _Variable else convert_to_tensor(x)
            dtype = x.dtype
        if dtype is not usual and dtype.char not in allowed:
            raise refused(call.__name__, dtype, allowed)
        return function(x)

    return _named(_taking(call, argument), function, "unary")  # type: ignore[no-any-return]


def binary(
    function: Callable[..., Any],
    allowed: str = ANY,
    first: str = "x",
    second: str = "y",
    others: dict[str, Callable[..., Any]] | None = None,
) -> Callable[..., Any]:
    """Adapt a function of two tensors; what is no tensor takes the other one's dtype.

    `others` are functions for the dtypes of further sets.
    """

    usual = usual_of(allowed)

    def call(x: Any, y: Any, name: str | None = None) -> Any:
        if type(x) is Tensor and type(y) is Tensor:
            dtype = x.value.dtype
            if dtype is not y.value.dtype and dtype != y.value.dtype:
                x, y = matched(x, y)
        else:
            x, y = matched(x, y)
            dtype = (x if _is_tensor(x) else y).dtype
        if dtype is not usual and dtype.char not in allowed:
            return other_function(call.__name__, dtype, allowed, others)(x, y)
        return function(x, y)

    return _named(_taking(call, first, second), function, "binary")  # type: ignore[no-any-return]


def matched(x: Any, y: Any) -> tuple[Any, Any]:
    """Convert two operands to tensors of one dtype; numbers and arrays take that of a tensor."""
    if _is_tensor(x):
        y = y if _is_tensor(y) else _like(y, x)
    elif _is_tensor(y):
        x = _like(x, y)
    else:
        x = convert_to_tensor(x)
        y = _like(y, x)
    if _is_tensor(x) and _is_tensor(y) and x.dtype != y.dtype:
        _check_dtypes((x, y))
    return x, y


def alike(values: Any) -> list[Tensor]:
    """Convert several operands to tensors of one dtype, as `matched` does for two."""
    values = list(values)
    first = next((value for value in values if _has_dtype(value)), None)
    if first is None:
        return [convert_to_tensor(value) for value in values]
    found = []
    for value in values:
        if not _is_tensor(value):
            value = _like(value, first)
            if not _is_tensor(value):
                value = constant(np.asarray(value, first.dtype))
        found.append(tensor(value))
    _check_dtypes(found)
    return found


def _has_dtype(value: Any) -> bool:
    """Tell whether a value is a tensor; a number in a compiled function is none."""
    return type(value) is _Variable or (
        type(value) is Tensor and not getattr(value.value, "weak_type", False)
    )


def _check_dtypes(operands: Iterable[Any]) -> None:
    """Refuse tensors of different dtypes, which TensorFlow never promotes."""
    dtypes = [operand.dtype for operand in operands if _has_dtype(operand)]
    if any(dtype != dtypes[0] for dtype in dtypes):
        raise refusal(
            ValueError,
            f"tensors of different dtypes: {', '.join(map(str, dtypes))}; convert one with tf.cast",
        )


_RANKS = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}
"""Kind of a dtype -> which numbers it can hold: those of kinds of its rank and below."""

_NUMBERS = {bool: 0, int: 1, float: 2, complex: 3}
"""The ranks of Python's numbers."""


def _holds(dtype: Any, kind: str) -> bool:
    """Tell whether numbers of a kind can be had in a dtype; truths are no numbers."""
    wanted = np.dtype(dtype).kind
    return wanted == kind or (kind != "b" and _RANKS[kind] <= _RANKS[wanted])


def _like(value: Any, other: Any) -> Any:
    rank = _NUMBERS.get(type(value))
    if rank is not None:
        if rank <= _RANKS[other.dtype.kind]:
            return value
        raise refusal(
            TypeError,
            f"cannot convert {value!r} to a tensor of dtype {other.dtype}, that of the other "
            "operand; convert that one with tf.cast",
        )
    if isinstance(value, list | tuple) and _has_tensors(value):
        return convert_to_tensor(value)
    array = raw(value)
    if _holds(other.dtype, array.dtype.kind):
        array = raw(value, other.dtype)
    return constant(owned(array))


def reduction(
    function: Callable[..., Any],
    allowed: str = ANY,
    keeps: bool = False,
    others: dict[str, Callable[..., Any]] | None = None,
    of_nothing: float | None = None,
) -> Callable[..., Any]:
    """Adapt a reduction: TensorFlow calls its argument `input_tensor`.

    One that `keeps` the dtype of whole numbers would widen it if not told: sums and products. One
    that NumPy refuses for no elements has a value `of_nothing`, cut down to what the dtype holds.
    """

    usual = usual_of(allowed)

    def call(
        input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None
    ) -> Any:
        if type(input_tensor) is not Tensor:
            input_tensor = convert_to_tensor(input_tensor)
        dtype = input_tensor.value.dtype
        if axis is not None and type(axis) is not int:
            axis = axes(f"tf.{call.__name__}", "axis", axis)
        if type(keepdims) is not bool:
            keepdims = truth(f"tf.{call.__name__}", "keepdims", keepdims)
        if dtype is not usual and dtype.char not in allowed:
            other = other_function(call.__name__, dtype, allowed, others)
            return other(input_tensor, axis=axis, keepdims=keepdims)
        if of_nothing is not None and not input_tensor.value.size:
            least = of_nothing if dtype.kind not in "iu" else _limit(dtype, of_nothing)
            shape = np.sum(np.empty(input_tensor.shape), axis=axis, keepdims=keepdims).shape
            return constant(np.full(shape, least, dtype))
        if keeps and dtype.kind in "iu":
            return function(input_tensor, axis=axis, keepdims=keepdims, dtype=dtype)
        return function(input_tensor, axis=axis, keepdims=keepdims)

    return _named(call, function, "reduction")  # type: ignore[no-any-return]


def _limit(dtype: Any, infinity: float) -> int:
    return np.iinfo(dtype).max if infinity > 0 else np.iinfo(dtype).min


def static(value: Any) -> Any:
    """Return an axis, size or shape as Python integers, also if it was given as tensors."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, list | tuple):
        return tuple(int(item) if item is not None else None for item in value)
    array = np.asarray(value)
    return int(array) if array.ndim == 0 else tuple(int(item) for item in array)


def as_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape that is known: one number is that of a vector."""
    found = static(shape)
    return (found,) if isinstance(found, int) else found


def tensor(value: Any, allowed: str = ANY, function: str = "") -> Any:
    """Convert what is no tensor yet; refuse a dtype that the function does not take."""
    found = value if type(value) is Tensor else convert_to_tensor(value)
    if allowed is not ANY and found.value.dtype.char not in allowed:
        raise refused(function, found.value.dtype, allowed)
    return found


_UNSIGNED = {np.dtype(f"i{size}"): np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


def in_range(indices: Tensor, sizes: int | tuple[int, ...], axis: int = 0) -> Tensor:
    """Return indices from 0 to `size - 1`; refuse others, as TensorFlow does on a CPU.

    Ours count a negative index from the end: a padding id of -1 would train the last row. What an
    index is can't be asked in a compiled function, so each that is outside becomes the largest
    number there: what it picks is NaN, and what is written there is dropped. Given several sizes,
    of axes from `axis` on, the last axis of `indices` has one index for each.
    """
    values = indices.value
    if is_traced(values):
        if indices.dtype.kind not in "iu":
            return indices
        outside = (indices < 0) | (indices >= np.asarray(sizes))

        def find() -> list[Any]:
            first = TENSORS.argmax(outside)
            found = TENSORS.any(outside), first, TENSORS.reshape(indices, (-1,))[first]
            return [each.value for each in found]

        def explain(first: Any, index: Any) -> Exception:
            place = tuple(map(int, np.unravel_index(int(first), indices.shape)))
            return IndexError(_out_of_range(place, index, sizes, axis))

        if indices.size:
            looked_at(values, find, explain)
        return TENSORS.where(outside, np.iinfo(indices.dtype).max, indices)  # type: ignore[no-any-return]
    if type(values) is not np.ndarray:
        values = np.asarray(values)
    # Seen without a sign, a negative number is a large one, and one look at the maximum does.
    unsigned = _UNSIGNED.get(values.dtype)
    if unsigned is not None:
        values = values.view(unsigned)
    if not values.size or values.dtype.kind != "u":
        return indices  # picks nothing, or is refused where it is used
    if isinstance(sizes, int):
        if np.maximum.reduce(values, axis=None) < sizes:
            return indices
    elif (values < np.asarray(sizes)).all():
        return indices
    place = tuple(np.argwhere(values >= np.asarray(sizes))[0].tolist())
    raise refusal(IndexError, _out_of_range(place, np.asarray(indices.value)[place], sizes, axis))


def _out_of_range(
    place: tuple[int, ...], index: Any, sizes: int | tuple[int, ...], axis: int
) -> str:
    if not isinstance(sizes, int):
        axis += place[-1]
        sizes = sizes[place[-1]]
    return (
        f"indices{list(place) if place else ''} = {index} is not in [0, {sizes}): axis {axis} that "
        f"is picked from has {sizes} entries, and none is counted from the end; give padding a row "
        "of its own, or leave it out with tf.boolean_mask (headgate.take does count from the end)"
    )
