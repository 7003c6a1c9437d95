"""TensorFlow's top-level functions whose arguments differ from ours: creation, shapes, indexing."""

from __future__ import annotations

import builtins
import sys
import warnings
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

import headgate.compile.control as _control
import headgate.core.custom as _custom
from headgate.compile.function import Function as _CompiledFunction
from headgate.core import variable as _variable
from headgate.core.gates import stop_gradient as _stop_gradient
from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor
from headgate.core.tensor import constant as _constant
from headgate.core.traced import is_traced, refused_trace
from headgate.ops import index as _index
from headgate.optim import clip as _clip
from headgate.record.errors import TracingError as _TracingError
from headgate.record.errors import refusal
from headgate.tf import _arguments as _is
from headgate.tf._adapt import (
    IndexedSlices,
    alike,
    convert_to_tensor,
    in_range,
    matched,
    static,
    tensor,
)
from headgate.tf._arguments import checked as _checked
from headgate.tf._dtypes import (
    FIELD,
    FLOATS,
    NUMBERS,
    PRODUCTS,
    REAL,
    SIGNED,
    SMALL,
    TRUTHS,
    check,
    dtype_of,
)

float16, float32, float64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
complex64, complex128 = np.dtype("complex64"), np.dtype("complex128")
bool = np.dtype("bool")
newaxis = None
_bool = builtins.bool
_MATRIX = "a matrix, or several: two axes or more; tf.linalg.matvec is for vectors"
_POLICY = _is.one_of("", "DEFAULT", "ERROR")
_WHOLE, _PLAIN = (int,), (int, float)
_DIRECTION = _is.one_of("ASCENDING", "DESCENDING")
_KINDS = _is.one_of("constant", "reflect", "symmetric")


def _mode(whose: str, name: str, value: Any) -> str:
    """Return how to pad; capitals do not matter."""
    return _KINDS(whose, name, value.lower() if isinstance(value, str) else value)  # type: ignore[no-any-return]


def _parts(whose: str, name: str, value: Any) -> Any:
    """Return a number of parts, or the size of each, one of them -1: what is left."""
    found = _is.some_axes(whose, name, value)
    if isinstance(found, int):
        return _is.positive(whose, name, found)
    if found.count(-1) > 1 or builtins.min(found, default=0) < -1:
        raise _is.refused(whose, name, "sizes of parts, one of them -1 at most", value)
    return found


def _repeats(whose: str, name: str, value: Any) -> Any:
    """Return how often to repeat, all elements or each."""
    found = _is.some_axes(whose, name, value)
    if builtins.min((found,) if isinstance(found, int) else found, default=0) < 0:
        raise _is.refused(whose, name, "0 or positive integers", value)
    return found


def _one_or_two(whose: str, name: str, value: Any) -> Any:
    """Return the axis of vectors, or the two of matrices."""
    found = _is.axes(whose, name, value)
    if isinstance(found, tuple) and (len(found) not in (1, 2) or len({*found}) < len(found)):
        raise _is.refused(whose, name, "an axis, two of them, or None for all", value)
    return found


def _order(whose: str, name: str, value: Any) -> Any:
    """Return the order of a norm: a text, or a positive number."""
    if isinstance(value, str):
        return _is.checks.choice(whose, name, value, ("euclidean", "fro"))
    return _is.checks.number(whose, name, value, "(0, inf]")


class UnconnectedGradients(Enum):
    """What `gradient` gives for a source that the target does not depend on: None or zeros."""

    NONE = "none"
    ZERO = "zero"


class _MakesVariables(type):
    """Calling the class makes a `headgate.Variable`, and those are its instances."""

    def __call__(
        cls,
        initial_value: Any = None,
        trainable: _bool | None = None,
        validate_shape: _bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        import_scope: Any = None,
        constraint: Any = None,
        synchronization: Any = None,
        aggregation: Any = None,
        shape: Any = None,
    ) -> _variable.Variable:
        for option, given in {"constraint": constraint, "variable_def": variable_def}.items():
            if given is not None:
                raise ValueError(
                    f"Variable({option}=...) is not supported"
                    + ("; after each update, v.assign(constraint(v))" if option[0] == "c" else "")
                )
        value = initial_value() if callable(initial_value) else initial_value
        if value is None:
            raise ValueError("Variable needs an initial_value")
        if not is_tensor(value) or (dtype is not None and value.dtype != np.dtype(dtype)):
            value = convert_to_tensor(value, dtype)
        return _variable.Variable(value, trainable is None or trainable, name, None, shape)

    def __instancecheck__(cls, instance: object) -> _bool:
        return isinstance(instance, _variable.Variable)


if TYPE_CHECKING:  # what a call makes is a `headgate.Variable`, and so is every instance
    _Base = _variable.Variable
else:
    _Base = object


class Variable(_Base, metaclass=_MakesVariables):
    """`headgate.Variable` with TensorFlow's default dtypes (float32, int32) and arguments.

    >>> import headgate.tf as tf
    >>> x = tf.Variable(2.0, name="x")
    >>> x.dtype, isinstance(x, tf.Variable)
    (dtype('float32'), True)
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            initial_value: Any = None,
            trainable: _bool | None = None,
            validate_shape: _bool = True,
            caching_device: Any = None,
            name: str | None = None,
            variable_def: Any = None,
            dtype: Any = None,
            import_scope: Any = None,
            constraint: Any = None,
            synchronization: Any = None,
            aggregation: Any = None,
            shape: Any = None,
        ) -> None: ...


@_checked(shape=_is.sizes)
def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """Make a tensor from numbers or an array; one element fills a given shape.

    >>> import headgate.tf as tf
    >>> tf.constant([1, 2]).dtype
    dtype('int32')
    """
    made = convert_to_tensor(value, dtype)
    if shape is not None:
        wanted = static(shape)
        made = ops.broadcast_to(made, wanted) if made.size == 1 else ops.reshape(made, wanted)
    return made


def stop_gradient(input: Any, name: str | None = None) -> Any:
    """Return the same value, through which no gradient flows; a list of tensors is stacked.

    >>> import headgate.tf as tf
    >>> x = tf.Variable(2.0)
    >>> with tf.GradientTape() as tape:
    ...     y = x * tf.stop_gradient(x)
    >>> tape.gradient(y, x).numpy()
    np.float32(2.0)
    """
    if type(input) is IndexedSlices:
        parts = (input.values, input.indices, input.dense_shape)
        return IndexedSlices(*(part if part is None else stop_gradient(part) for part in parts))
    if type(input) is not Tensor and type(input) is not _variable.Variable:
        input = convert_to_tensor(input)
    return _stop_gradient(input, name)


def identity(input: Any, name: str | None = None) -> Tensor:
    """Return the same value as a new tensor."""
    return ops.identity(tensor(input))  # type: ignore[no-any-return]


def custom_gradient(f: Any = None) -> Any:
    """Decorate a function that gives its own gradient; see `headgate.custom_gradient`."""
    return _custom.custom_gradient(f)


class _Function(_CompiledFunction):
    """A compiled function that is run as plain Python if it cannot be compiled."""

    _constants = True
    _cure = (
        "Python numbers are constants of the program, as in TensorFlow: pass one that changes as a "
        "tensor, tf.constant(...). Pad tensors to a few shapes"
    )

    def __init__(self, function: Callable[..., Any], must: _bool = False) -> None:
        super().__init__(function)
        self._told = False
        self._settings = (must,)
        self._must = must
        self.python_function = function

    def _warn_of_many(self, described: dict[str, str]) -> None:
        if not self._told:
            self._told = True
            super()._warn_of_many(described)

    def _called(self, args: Any, kwargs: Any) -> Any:
        try:
            return super()._called(args, kwargs)
        except (_TracingError, ImportError) as error:
            if self._must or not self._jit:
                raise
            self._jit = False
            if isinstance(error, _TracingError):
                warnings.warn(
                    f"{self.__name__} runs as plain Python, not compiled: {error}", stacklevel=2
                )
            return self._function(*args, **kwargs)


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Any = None,
    autograph: _bool = True,
    jit_compile: _bool | None = None,
    reduce_retracing: _bool = False,
    experimental_implements: Any = None,
    experimental_autograph_options: Any = None,
    experimental_attributes: Any = None,
    experimental_relax_shapes: _bool | None = None,
    experimental_compile: _bool | None = None,
    experimental_follow_type_hints: _bool | None = None,
) -> Any:
    """Compile a function; see `headgate.function`.

    Python numbers are constants, as in TensorFlow: they may be sizes, and the function is compiled
    for each value. A number that changes from call to call is better a tensor; a warning says so
    after a while.

    Python control flow is not rewritten: a function that branches on a tensor runs as plain Python,
    with a warning (with `jit_compile=True` it is an error), and so does every function if JAX is
    not installed. The other options are taken for TensorFlow's programs, and without effect.

    >>> import headgate.tf as tf
    >>> @tf.function
    ... def double(x):
    ...     return 2.0 * x
    >>> double(tf.constant([1.0, 2.0])).numpy()
    array([2., 4.], dtype=float32)
    """
    if jit_compile is None:
        jit_compile = experimental_compile
    if func is None:
        return lambda found: function(found, jit_compile=jit_compile)
    return _Function(func, jit_compile is True)


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """Convert to another dtype; gradient passes between floating dtypes only."""
    x, dtype = tensor(x), dtype_of(_is.dtype("tf.cast", "dtype", dtype))
    if x.dtype.kind == "c" and dtype.kind != "c":
        x = ops.real(x)
    return ops.astype(x, dtype)  # type: ignore[no-any-return]


def shape(input: Any, out_type: Any = None, name: str | None = None) -> Tensor:
    """Return the shape as a tensor of integers."""
    return _constant(np.asarray(tensor(input).shape, dtype=_counting("shape", out_type)))


def size(input: Any, out_type: Any = None, name: str | None = None) -> Tensor:
    """Return the number of elements."""
    return _constant(np.asarray(tensor(input).size, dtype=_counting("size", out_type)))


def _counting(function: str, out_type: Any) -> Any:
    """Return a dtype of sizes; refuse others."""
    found = int32 if out_type is None else dtype_of(out_type)
    check(f"{function} as a tensor", found, "ilq")
    return found


def rank(input: Any, name: str | None = None) -> Tensor:
    """Return the number of axes."""
    return _constant(np.asarray(tensor(input).ndim, dtype=int32))


@_checked(shape=_is.sizes_but_one)
def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """Give the elements another shape; one size may be -1."""
    x, wanted = convert_to_tensor(tensor), _shape(shape)
    if not x.size and wanted.count(-1) == 1:
        wanted = _filled(x.shape, wanted)
    return ops.reshape(x, wanted)  # type: ignore[no-any-return]


def _filled(old: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the new shape of no elements, with a size for -1: as if sizes of 0 were not there."""
    rest = int(np.prod([size for size in old if size], dtype=np.int64))
    given = int(np.prod([size for size in wanted if size > 0], dtype=np.int64))
    size = rest // given if 0 in wanted else 0
    return tuple(size if each == -1 else each for each in wanted)


def _shape(shape: Any) -> tuple[int, ...]:
    found = static(shape)
    return (found,) if isinstance(found, int) else found


@_checked(axis=_is.only_axis)
def expand_dims(input: Any, axis: Any, name: str | None = None) -> Tensor:
    """Insert an axis of size 1."""
    return ops.expand_dims(tensor(input), axis=static(axis))  # type: ignore[no-any-return]


@_checked(axis=_is.axes)
def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """Remove axes of size 1, all of them if none are named."""
    x = tensor(input)
    if axis is None or axis == ():
        axis = tuple(k for k, size in enumerate(x.shape) if size == 1)
    return ops.squeeze(x, axis=static(axis))  # type: ignore[no-any-return]


@_checked(axis=_is.only_axis)
def concat(values: Any, axis: Any, name: str | None = None) -> Tensor:
    """Join tensors along an axis; a tensor alone, in a list or not, stays as it is."""
    if type(values) is Tensor or type(values) is _variable.Variable:
        return identity(values)
    parts = alike(values)
    if len(parts) == 1:
        return identity(parts[0])
    return ops.concat(parts, axis=axis)  # type: ignore[no-any-return]


@_checked(axis=_is.axis)
def stack(values: Any, axis: int = 0, name: str | None = None) -> Tensor:
    """Join tensors along a new axis."""
    return ops.stack(alike(values), axis=axis)  # type: ignore[no-any-return]


@_checked(num=_is.positive, axis=_is.axis)
def unstack(
    value: Any, num: int | None = None, axis: int = 0, name: str | None = None
) -> list[Tensor]:
    """Take a tensor apart along an axis; `num` says how many parts there are."""
    parts = list(ops.unstack(tensor(value), axis=axis))
    _check_number(num, parts)
    return parts


def _check_number(num: int | None, parts: list[Tensor]) -> None:
    """Refuse a number of parts that is another than that of the parts."""
    if num is not None and static(num) != len(parts):
        raise ValueError(f"num={num} for {len(parts)} parts; give the right number, or none")


@_checked(num_or_size_splits=_parts, axis=_is.axis, num=_is.positive)
def split(
    value: Any, num_or_size_splits: Any, axis: Any = 0, num: Any = None, name: str | None = None
) -> list[Tensor]:
    """Split along an axis into so many equal parts, or into parts of given sizes."""
    x, parts, axis = tensor(value), static(num_or_size_splits), static(axis)
    if not isinstance(parts, int) and -1 in parts:
        rest = x.shape[axis] - sum(part for part in parts if part >= 0)
        parts = [rest if part == -1 else part for part in parts]
    found = list(ops.split(x, parts, axis=axis))
    _check_number(num, found)
    return found


@_checked(perm=(_is.order, "a"), conjugate=_is.truth)
def transpose(
    a: Any, perm: Any = None, conjugate: _bool = False, name: str | None = None
) -> Tensor:
    """Permute the axes, or reverse them if no order is given."""
    x = tensor(a)
    order = tuple(reversed(builtins.range(x.ndim))) if perm is None else static(perm)
    moved = ops.permute_dims(x, order)
    return ops.conj(moved) if conjugate else moved  # type: ignore[no-any-return]


@_checked(multiples=(_is.per_axis, "input"))
def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """Repeat a tensor along each axis."""
    return ops.tile(tensor(input), static(multiples))  # type: ignore[no-any-return]


@_checked(repeats=_repeats, axis=_is.axis)
def repeat(input: Any, repeats: Any, axis: Any = None, name: str | None = None) -> Tensor:
    """Repeat elements along an axis."""
    return ops.repeat(tensor(input), static(repeats), axis=axis)  # type: ignore[no-any-return]


@_checked(axis=_is.some_axes, shift=(_is.shifts, "axis"))
def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Tensor:
    """Shift elements along axes, around the end."""
    return ops.roll(tensor(input), static(shift), axis=static(axis))  # type: ignore[no-any-return]


@_checked(axis=_is.some_axes)
def reverse(tensor: Any, axis: Any, name: str | None = None) -> Tensor:
    """Reverse the order of elements along axes."""
    return ops.flip(convert_to_tensor(tensor), axis=static(axis))  # type: ignore[no-any-return]


@_checked(mode=_mode, paddings=(_is.paddings, "tensor", "mode"), constant_values=_is.real)
def pad(
    tensor: Any,
    paddings: Any,
    mode: str = "CONSTANT",
    constant_values: Any = 0,
    name: str | None = None,
) -> Tensor:
    """Pad each axis at its start and end."""
    widths = paddings
    x = convert_to_tensor(tensor)
    if not x.ndim and not widths:
        return identity(x)
    if is_tensor(constant_values):
        outside = np.pad(np.zeros(x.shape, np.bool_), widths, constant_values=True)
        return ops.where(_constant(outside), constant_values, ops.pad(x, widths))  # type: ignore[no-any-return]
    return ops.pad(x, widths, mode=mode, value=constant_values)  # type: ignore[no-any-return]


@_checked(shape=_is.sizes_but_one)
def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """Broadcast to a shape."""
    return ops.broadcast_to(tensor(input), _shape(shape))  # type: ignore[no-any-return]


@_checked(axis=_is.axis, batch_dims=(_is.matched_axes, "params", "indices"))
def gather(
    params: Any,
    indices: Any,
    validate_indices: Any = None,
    axis: Any = None,
    batch_dims: int = 0,
    name: str | None = None,
) -> Tensor:
    """Take slices of an axis (the first one, unless told otherwise) by index."""
    x, given = tensor(params), tensor(indices)
    chosen, batch_dims = static(axis), static(batch_dims)
    if batch_dims < 0:  # counted from the end of the indices
        batch_dims += given.ndim
        if batch_dims < 0:
            raise refusal(ValueError, f"gather: batch_dims is too small for {given.shape}")
    number = batch_dims if chosen is None else chosen
    if not -x.ndim <= number < x.ndim:
        return _index.gather(x, given, chosen, batch_dims)  # refused there
    checked = in_range(given, x.shape[number], number % x.ndim)
    picked = _index.gather(x, checked, chosen, batch_dims)
    if checked is given or not batch_dims:
        return picked
    between = (1,) * (number % x.ndim - batch_dims)
    outside = ops.reshape(
        checked != given, (*given.shape[:batch_dims], *between, *given.shape[batch_dims:])
    )
    return _without(outside, picked)


@_checked(batch_dims=_is.count)
def gather_nd(
    params: Any,
    indices: Any,
    batch_dims: int = 0,
    name: str | None = None,
    bad_indices_policy: str = "",
) -> Tensor:
    """Take elements or slices by index vectors (the last axis of indices)."""
    _POLICY("tf.gather_nd", "bad_indices_policy", bad_indices_policy)
    x, given = tensor(params), tensor(indices)
    checked = _rows_in_range(x, given, batch_dims)
    picked = _index.gather_nd(x, checked, batch_dims)
    if checked is given:
        return picked
    return _without(ops.any(checked != given, axis=-1), picked)


def _rows_in_range(x: Tensor, indices: Tensor, batch_dims: int = 0) -> Tensor:
    """Return index vectors that name places of `x`; refuse others (see `in_range`)."""
    depth = indices.shape[-1] if indices.ndim else 0
    if not depth or depth > x.ndim - batch_dims:
        return indices  # names whole arrays, or is refused where it is used
    return in_range(indices, x.shape[batch_dims : batch_dims + depth], batch_dims)


def _without(outside: Tensor, picked: Tensor) -> Tensor:
    """Return what was picked, with NaN in place of what an index outside picked."""
    if picked.dtype.kind not in "fc":
        return picked
    outside = ops.reshape(outside, outside.shape + (1,) * (picked.ndim - outside.ndim))
    return ops.where(outside, np.nan, picked)  # type: ignore[no-any-return]


@_checked(axis=_is.axis, mask=(_is.mask_of, "tensor", "axis"))
def boolean_mask(
    tensor: Any, mask: Any, axis: int | None = None, name: str | None = None
) -> Tensor:
    """Take the elements where a mask is true."""
    chosen = np.asarray(mask).astype(np.bool_)
    key = (slice(None),) * (axis or 0) + (chosen,)
    return ops.getitem(convert_to_tensor(tensor), key)  # type: ignore[no-any-return]


@_checked(updates=(_is.updates, "tensor", "indices"))
def tensor_scatter_nd_update(
    tensor: Any, indices: Any, updates: Any, name: str | None = None
) -> Tensor:
    """Return a copy with slices replaced at index vectors."""
    x, new = alike([convert_to_tensor(tensor), updates])
    return ops.scatter_update(x, new, key=_key(x, indices))  # type: ignore[no-any-return]


@_checked(updates=(_is.updates, "tensor", "indices"))
def tensor_scatter_nd_add(
    tensor: Any, indices: Any, updates: Any, bad_indices_policy: str = "", name: str | None = None
) -> Tensor:
    """Return a copy with values added at index vectors."""
    _POLICY("tf.tensor_scatter_nd_add", "bad_indices_policy", bad_indices_policy)
    x, new = alike([convert_to_tensor(tensor), updates])
    check("tensor_scatter_nd_add", x.dtype, NUMBERS)
    return ops.scatter_add(x, new, key=_key(x, indices))  # type: ignore[no-any-return]


def _key(x: Tensor, indices: Any) -> tuple[Tensor, ...]:
    """Return the key of places in `x` that index vectors name."""
    checked = _rows_in_range(x, convert_to_tensor(indices))
    if not checked.shape[-1]:
        raise refusal(
            ValueError, f"indices of shape {checked.shape} name no place: their last axis is empty"
        )
    return tuple(checked[..., k] for k in builtins.range(checked.shape[-1]))


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """Choose elementwise; with a condition alone, return the positions where it is true."""
    condition = tensor(condition)
    if x is None and y is None:
        _is.ranked("tf.where", "condition", condition)
        return _constant(np.argwhere(np.asarray(condition)).astype(np.int64))
    x, y = matched(x, y)
    return ops.where(condition, x, y)  # type: ignore[no-any-return]


@_checked(depth=_is.count, on_value=_is.scalar, off_value=_is.scalar, axis=_is.axis)
def one_hot(
    indices: Any,
    depth: Any,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Tensor:
    """Return vectors with a one (or `on_value`) at each index and zeros (`off_value`) elsewhere.

    Without a dtype they have that of the values, or float32 if none is given.
    """
    kind, found = dtype_of(dtype), tensor(indices, "Bbilq", "one_hot: the indices")
    given = {"on_value": on_value, "off_value": off_value}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if value is not None:
            values[name] = made = convert_to_tensor(value, dtype_hint=dtype_of(dtype))
            kind = made.dtype if kind is None else kind
            if made.dtype != kind:
                raise refusal(
                    TypeError,
                    f"one_hot: {name} has the dtype {made.dtype}, and the result {kind}; convert "
                    "it with tf.cast",
                )
    if kind == bool and len(values) < 2:
        raise refusal(TypeError, "one_hot of booleans needs an on_value and an off_value")
    if not values:
        hot = ops.one_hot(found, static(depth), dtype=kind or float32)
        return hot if axis is None or axis == -1 else ops.moveaxis(hot, -1, axis)  # type: ignore[no-any-return]
    hot = ops.one_hot(found, static(depth), dtype=bool)
    if axis is not None and axis != -1:
        hot = ops.moveaxis(hot, -1, axis)
    on = values.get("on_value", _constant(np.ones((), kind)))
    off = values.get("off_value", _constant(np.zeros((), kind)))
    return ops.where(hot, on, off)  # type: ignore[no-any-return]


_COUNTED = (int32, int64, float16, float32, float64)
"""The dtypes of ranges; of two, the later one wins."""


def range(
    start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None
) -> Tensor:
    """Return numbers from start (0 if only one number is given) to limit, in steps of delta.

    How many there are is computed in their dtype: of float32, ten from 0 to 1 in steps of 0.1.
    """
    if limit is None:
        start, limit = 0, start
    kind = dtype_of(dtype)
    bounds = [convert_to_tensor(bound, dtype_hint=kind) for bound in (start, limit, delta)]
    if kind is None:
        kind = builtins.max((bound.dtype for bound in bounds), key=_rank_of)
    _rank_of(kind)
    for bound in bounds:
        if bound.dtype.kind == "f" and kind.kind != "f":
            raise refusal(TypeError, f"range of {kind}: {bound.numpy()} is no whole number")
    first, last, step = (bound.numpy().reshape(()).astype(kind)[()] for bound in bounds)
    if step == 0 or (first > last if step > 0 else first < last):
        raise refusal(
            ValueError,
            f"range: there is no way from {first} to {last} in steps of {step}; the sign of delta "
            "must be that of limit - start",
        )
    if kind.kind == "i":
        return _constant(np.arange(first, last, step, dtype=kind))
    number = int(np.ceil(np.abs((last - first) / step)))
    return _constant(first + np.arange(number).astype(kind) * step)


def _rank_of(dtype: Any) -> int:
    """Return the place of a dtype among those of ranges; refuse others."""
    check("range", dtype, "ilqefd")
    return _COUNTED.index(dtype)


@_checked(num=_is.count, axis=_is.axis)
def linspace(start: Any, stop: Any, num: Any, name: str | None = None, axis: int = 0) -> Tensor:
    """Return evenly spaced numbers, along a new axis; gradient flows to both ends.

    Those between whole numbers are float64, or float32 if they have 16 bits or less.
    """
    low = tensor(start, NUMBERS, "linspace")
    high = convert_to_tensor(stop, None if is_tensor(stop) else low.dtype)
    low, high = alike([low, high])
    if low.dtype.kind in "iu":
        wide = float32 if low.dtype.char in SMALL else float64
        low, high = ops.astype(low, wide), ops.astype(high, wide)
    number, shape = static(num), np.broadcast_shapes(low.shape, high.shape)
    place = axis if axis >= 0 else axis + len(shape) + 1
    low, high = (ops.expand_dims(ops.broadcast_to(end, shape), axis=place) for end in (low, high))
    if number < 2:
        return (
            low
            if number == 1
            else _constant(np.zeros((*shape[:place], 0, *shape[place:]), low.dtype))
        )
    counted = np.arange(1, number - 1).astype(low.dtype).reshape(-1, *(1,) * (len(shape) - place))
    between = low + (high - low) / np.asarray(number - 1, low.dtype) * counted
    return ops.concat([low, between, high], axis=place)  # type: ignore[no-any-return]


@_checked(shape=_is.sizes, dtype=_is.dtype)
def zeros(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """Return zeros."""
    return _constant(np.zeros(_shape(shape), dtype_of(dtype)))


@_checked(shape=_is.sizes, dtype=_is.dtype)
def ones(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """Return ones."""
    return _constant(np.ones(_shape(shape), dtype_of(dtype)))


@_checked(dims=_is.sizes, value=_is.scalar)
def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """Return a tensor of one value everywhere."""
    return ops.broadcast_to(tensor(value), _shape(dims))  # type: ignore[no-any-return]


@_checked(num_rows=_is.count, num_columns=_is.count, batch_shape=_is.sizes, dtype=_is.dtype)
def eye(
    num_rows: Any,
    num_columns: Any = None,
    batch_shape: Any = None,
    dtype: Any = float32,
    name: str | None = None,
) -> Tensor:
    """Return the identity matrix, or a batch of them."""
    matrix = np.eye(static(num_rows), static(num_columns), dtype=dtype_of(dtype))
    batch = () if batch_shape is None else _shape(batch_shape)
    return _constant(np.array(np.broadcast_to(matrix, (*batch, *matrix.shape))))


def zeros_like(input: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Return zeros of the same shape."""
    return ops.zeros_like(tensor(input), dtype=dtype_of(dtype))  # type: ignore[no-any-return]


def ones_like(input: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """Return ones of the same shape."""
    return ops.ones_like(tensor(input), dtype=dtype_of(dtype))  # type: ignore[no-any-return]


@_checked(indexing=_is.one_of("xy", "ij"))
def meshgrid(*args: Any, indexing: str = "xy", name: str | None = None) -> list[Tensor]:
    """Return coordinate matrices."""
    flat = [x if x.ndim == 1 else ops.reshape(x, (-1,)) for x in alike(map(tensor, args))]
    return list(ops.meshgrid(*flat, indexing=indexing))


@_checked(clip_value_min=(_is.fitting, "t"), clip_value_max=(_is.fitting, "t"))
def clip_by_value(
    t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None
) -> Tensor:
    """Clip each element; gradient passes within the bounds, both included.

    Where the lower bound is greater, the result is the lower one, as in TensorFlow.
    """
    bounds = clip_value_min, clip_value_max
    x = tensor(t, REAL, "clip_by_value")
    numbers = _WHOLE if x.dtype.kind in "iu" else _PLAIN
    if (
        isinstance(bounds[0], numbers)
        and isinstance(bounds[1], numbers)
        and clip_value_min <= clip_value_max
    ):
        return _clip.clipped(ops, "clip_by_value", x, *bounds)  # type: ignore[no-any-return]
    x, low, high = alike([x, *bounds])
    return ops.maximum(ops.minimum(x, high), low)  # type: ignore[no-any-return]


@_checked(ord=_order, axis=_one_or_two, keepdims=_is.truth)
def norm(
    tensor: Any,
    ord: Any = "euclidean",
    axis: Any = None,
    keepdims: _bool | None = None,
    name: str | None = None,
) -> Tensor:
    """Return a norm of vectors, or of matrices if `axis` has two entries."""
    kind, keepdims = 2 if ord == "euclidean" else ord, keepdims is True
    x, axes = convert_to_tensor(tensor), static(axis)
    whole = x.dtype.kind == "i" and kind in (1, np.inf)
    check("norm", x.dtype, SIGNED if whole else FIELD)
    if isinstance(axes, tuple) and len(axes) == 2 and ord != "euclidean":
        found = ops.matrix_norm(ops.moveaxis(x, axes, (-2, -1)), ord=ord)
        if keepdims:
            found = ops.expand_dims(found, axis=tuple(sorted(axis % x.ndim for axis in axes)))
    else:
        if ord == "fro":
            kind = 2
        found = ops.vector_norm(x, axis=axes, ord=kind, keepdims=keepdims)
    if whole or (x.dtype.kind == "c" and ord in ("euclidean", "fro")):
        return ops.astype(found, x.dtype)  # type: ignore[no-any-return]
    return found  # type: ignore[no-any-return]


@_checked(clip_norm=(_is.like, "t"), axes=_is.axes)
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """Scale a tensor down to at most a Euclidean norm."""
    limit = builtins.max(clip_norm, 0) if isinstance(clip_norm, int | float) else clip_norm
    return _clip.scaled_to_norm(ops, tensor(t, FLOATS, "clip_by_norm"), limit, static(axes))  # type: ignore[no-any-return]


def global_norm(t_list: Any, name: str | None = None) -> Tensor:
    """Return the Euclidean norm of all elements of several tensors; None counts as absent."""
    return _clip.global_norm([None if t is None else tensor(t) for t in t_list])


@_checked(clip_norm=_is.within("[0, inf]"))
def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Tensor | None], Tensor]:
    """Scale tensors so that their common norm is at most `clip_norm`; return them and the norm."""
    if not isinstance(t_list, list | tuple):
        raise TypeError("t_list should be a sequence of tensors")
    tensors = [None if t is None else tensor(t) for t in t_list]
    length = _clip.global_norm(tensors) if use_norm is None else tensor(use_norm)
    return _clip.scaled_to_global_norm(ops, tensors, clip_norm, length), length


def einsum(
    equation: str, *inputs: Any, optimize: Any = "greedy", name: str | None = None
) -> Tensor:
    """Sum products of tensors by Einstein's convention; `optimize` has no effect on the result.

    >>> import headgate.tf as tf
    >>> tf.einsum("ij,kj->ik", tf.ones((1, 3)), tf.ones((2, 3))).numpy()
    array([[3., 3.]], dtype=float32)
    """
    parts = alike(inputs)
    check("einsum", parts[0].dtype, PRODUCTS)
    return ops.einsum(parts, subscripts=equation)  # type: ignore[no-any-return]


def matmul(
    a: Any,
    b: Any,
    transpose_a: _bool = False,
    transpose_b: _bool = False,
    adjoint_a: _bool = False,
    adjoint_b: _bool = False,
    a_is_sparse: _bool = False,
    b_is_sparse: _bool = False,
    output_type: Any = None,
    grad_a: _bool = False,
    grad_b: _bool = False,
    name: str | None = None,
) -> Tensor:
    """Multiply matrices, either of them transposed first if asked.

    Whole numbers are multiplied in the dtype that `output_type` names.
    """
    if type(a) is not Tensor or type(b) is not Tensor or a.value.dtype != b.value.dtype:
        a, b = matched(a, b)
        a, b = (x if is_tensor(x) else convert_to_tensor(x) for x in (a, b))
    check("matmul", a.dtype, PRODUCTS)
    if output_type is not None and dtype_of(output_type) != a.dtype:
        wanted = dtype_of(output_type)
        if a.dtype.kind not in "iu" or wanted.kind not in "iu":
            raise _is.refused("tf.matmul", "output_type", f"{a.dtype}, that of a and b", wanted)
        a, b = ops.astype(a, wanted), ops.astype(b, wanted)
    if a.ndim < 2 or b.ndim < 2:
        raise _is.refused("tf.matmul", *(("a", _MATRIX, a) if a.ndim < 2 else ("b", _MATRIX, b)))
    if transpose_a or adjoint_a:
        if transpose_a and adjoint_a:
            raise _is.refused("tf.matmul", "adjoint_a", "False where transpose_a is True", True)
        a = ops.matrix_transpose(ops.conj(a) if adjoint_a else a)
    if transpose_b or adjoint_b:
        if transpose_b and adjoint_b:
            raise _is.refused("tf.matmul", "adjoint_b", "False where transpose_b is True", True)
        b = ops.matrix_transpose(ops.conj(b) if adjoint_b else b)
    return ops.matmul(a, b)  # type: ignore[no-any-return]


@_checked(axes=(_is.contracted, "a", "b"))
def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """Contract axes of two tensors."""
    a, b = matched(a, b)
    check("tensordot", (a if is_tensor(a) else b).dtype, PRODUCTS)
    return ops.tensordot(a, b, axes=axes)  # type: ignore[no-any-return]


def nan_last(x: Tensor, value: float = -np.inf) -> Tensor:
    """Return a tensor with the number that never wins in place of NaN, if it has any."""
    if x.value.dtype.kind not in "fV":
        return x
    missing = x.value != x.value
    if not is_traced(missing) and not np.count_nonzero(missing):
        return x
    return ops.where(_constant(missing), value, x)  # type: ignore[no-any-return]


@_checked(axis=_is.axis)
def argmax(
    input: Any, axis: Any = None, output_type: Any = int64, name: str | None = None
) -> Tensor:
    """Return the index of the greatest element along an axis (the first one by default)."""
    x = nan_last(tensor(input, REAL + TRUTHS, "argmax"))
    found = ops.argmax(x, axis=0 if axis is None else static(axis))
    return ops.astype(found, dtype_of(output_type))  # type: ignore[no-any-return]


@_checked(axis=_is.axis)
def argmin(
    input: Any, axis: Any = None, output_type: Any = int64, name: str | None = None
) -> Tensor:
    """Return the index of the least element along an axis (the first one by default)."""
    x = nan_last(tensor(input, REAL + TRUTHS, "argmin"), np.inf)
    found = ops.argmin(x, axis=0 if axis is None else static(axis))
    return ops.astype(found, dtype_of(output_type))  # type: ignore[no-any-return]


@_checked(values=_is.ranked, axis=_is.axis, direction=_DIRECTION)
def argsort(
    values: Any,
    axis: int = -1,
    direction: str = "ASCENDING",
    stable: _bool = False,
    name: str | None = None,
) -> Tensor:
    """Return the indices that sort a tensor."""
    order = ops.argsort(
        tensor(values, REAL, "argsort"), axis=axis, descending=direction == "DESCENDING"
    )
    return ops.astype(order, int32)  # type: ignore[no-any-return]


@_checked(values=_is.ranked, axis=_is.axis, direction=_DIRECTION)
def sort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None
) -> Tensor:
    """Sort along an axis."""
    return ops.sort(tensor(values, REAL, "sort"), axis=axis, descending=direction == "DESCENDING")  # type: ignore[no-any-return]


def numpy_function(
    func: Callable[..., Any], inp: Any, Tout: Any, stateful: _bool = True, name: str | None = None
) -> Any:
    """Call a NumPy function on arrays; gradient does not pass it.

    Args:
        func: a function of arrays that returns an array or a number, or several in a tuple or list.
        inp: what it is called with.
        Tout: the dtype of its result, or a list of those of several results. A list of tensors
            comes back for those, and a tensor for one.
        stateful: without effect: functions are called each time.

    >>> import headgate.tf as tf
    >>> tf.numpy_function(np.sin, [tf.constant(0.0)], tf.float32).numpy()
    np.float32(0.0)
    """
    wanted, _ = _wanted(Tout)
    given = [np.asarray(x.numpy()) for x in _known("numpy_function", inp)]
    results = _results("numpy_function", func(*given), wanted)
    if len(results) == 1:
        return results[0]
    return results or None


def py_function(func: Callable[..., Any], inp: Any, Tout: Any, name: str | None = None) -> Any:
    """Call a Python function on tensors, which is differentiated like any code.

    The arguments are those of `numpy_function`. A list comes back if `Tout` is one.

    >>> import headgate.tf as tf
    >>> x = tf.Variable(3.0)
    >>> with tf.GradientTape() as tape:
    ...     y = tf.py_function(lambda x: x * x, [x], tf.float32)
    >>> tape.gradient(y, x).numpy()
    np.float32(6.0)
    """
    wanted, listed = _wanted(Tout)
    results = _results("py_function", func(*_known("py_function", inp)), wanted)
    return results if listed else results[0]


def _known(whose: str, inputs: Any) -> list[Tensor]:
    """Return the arguments of a function of the host; refuse those whose values are not known yet.

    So a compiled function that calls one runs as plain Python: of what shape the results will be
    can't be told without calling it.
    """
    given = [identity(item) for item in inputs]
    for x in given:
        if is_traced(x.value):
            raise refused_trace(whose, x.value)
    return given


def _wanted(types: Any) -> tuple[list[Any], _bool]:
    """Return the dtypes of results, and whether they were given as a list."""
    if types is None:
        raise refusal(TypeError, "Tout is missing: the dtype of the result, or a list of dtypes")
    listed = isinstance(types, list | tuple)
    return [dtype_of(each) for each in (types if listed else [types])], listed


def _results(whose: str, returned: Any, wanted: list[Any]) -> list[Tensor]:
    """Return what a function of the host returned as tensors of the dtypes that were promised."""
    several = isinstance(returned, list | tuple) and (len(wanted) != 1 or len(returned) == 1)
    found = list(returned) if several else [] if returned is None and not wanted else [returned]
    if len(found) != len(wanted):
        raise refusal(
            ValueError,
            f"{whose}: the function returned {len(found)} values, and Tout has {len(wanted)} types",
        )
    return [_promised(whose, *pair) for pair in zip(found, wanted, strict=True)]


def _promised(whose: str, value: Any, dtype: Any) -> Tensor:
    if value is None:
        raise refusal(ValueError, f"{whose}: the function returned None, and Tout promises {dtype}")
    made = value if is_tensor(value) else convert_to_tensor(np.asarray(value))
    if made.dtype == dtype:
        return tensor(made)  # type: ignore[no-any-return]
    if is_tensor(value) or not np.can_cast(made.dtype, dtype, "same_kind"):
        raise refusal(
            ValueError,
            f"{whose}: the function returned {made.dtype}, and Tout promises {dtype}; convert it "
            "there",
        )
    return ops.astype(made, dtype)  # type: ignore[no-any-return]


def is_tensor(x: Any) -> _bool:
    """Tell whether a value is a tensor or variable."""
    return type(x) is Tensor or type(x) is _variable.Variable


def cond(
    pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None
) -> Any:
    """Call one of two functions; see `headgate.cond`."""
    return _control.cond(tensor(pred), true_fn, false_fn)


@_checked(maximum_iterations=_is.count)
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: _bool = True,
    swap_memory: _bool = False,
    maximum_iterations: int | None = None,
    name: str | None = None,
) -> Any:
    """Repeat a function of several variables while a condition holds; see `headgate.while_loop`.

    >>> import headgate.tf as tf
    >>> i, total = tf.while_loop(lambda i, t: i < 4, lambda i, t: (i + 1, t + i), (0, 0))
    >>> int(i), int(total)
    (4, 6)
    """

    def step(values: Any) -> Any:
        result = body(*values)
        return tuple(result) if isinstance(result, list | tuple) else (result,)

    first = tuple(loop_vars)
    last = _control.while_loop(lambda values: cond(*values), step, first, maximum_iterations)
    return last if back_prop else optree.tree_map(stop_gradient, last)


def group(*inputs: Any, name: str | None = None) -> None:
    """Do nothing: what was passed has already run."""


def no_op(name: str | None = None) -> None:
    """Do nothing."""


def print(
    *inputs: Any,
    output_stream: Any = None,
    summarize: int = 3,
    sep: str = " ",
    end: str = "\n",
    name: str | None = None,
) -> None:
    """Print tensors as plain numbers, of each axis the first and last `summarize` (-1: all).

    `output_stream` is a file such as `sys.stderr`; it is `sys.stdout` if left out.
    """
    short = (
        {"edgeitems": summarize, "threshold": 0} if summarize >= 0 else {"threshold": sys.maxsize}
    )
    with np.printoptions(**short):  # type: ignore[arg-type]
        texts = [str(x.numpy() if is_tensor(x) else x) for x in inputs]
    builtins.print(*texts, sep=sep, end=end, file=output_stream)


class Module:
    """Collect the variables of a custom model from its attributes, as `tf.Module` does."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__.lower()

    @property
    def variables(self) -> tuple[_variable.Variable, ...]:
        """All variables of this module and those below it, by attribute name."""
        found: dict[int, _variable.Variable] = {}
        _collect(self, found, set())
        return tuple(found.values())

    @property
    def trainable_variables(self) -> tuple[_variable.Variable, ...]:
        """Those variables that tapes watch."""
        return tuple(v for v in self.variables if v.trainable)


def _collect(item: Any, found: dict[int, Any], seen: set[int]) -> None:
    if type(item) is _variable.Variable:
        found.setdefault(id(item), item)
        return
    if id(item) in seen:
        return
    seen.add(id(item))
    if isinstance(item, dict):
        for value in item.values():
            _collect(value, found, seen)
    elif isinstance(item, list | tuple):
        for value in item:
            _collect(value, found, seen)
    elif isinstance(item, Module):
        for key in sorted(vars(item)):
            _collect(vars(item)[key], found, seen)
    elif hasattr(item, "trainable_variables"):
        for value in item.variables:
            _collect(value, found, seen)
