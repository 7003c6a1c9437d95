"""What belongs to graphs and devices: taken for TensorFlow's programs, and without effect."""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from headgate.core.namespace import TENSORS as ops
from headgate.core.scope import stage
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.record.errors import refusal
from headgate.tf import _arguments as _is
from headgate.tf._adapt import convert_to_tensor, tensor
from headgate.tf._dtypes import dtype_of
from headgate.tf._sequences import TensorShape
from headgate.tf._shapes import shape


def executing_eagerly() -> bool:
    """Tell whether ops compute at once: no while `tf.function` traces a function.

    >>> import headgate.tf as tf
    >>> tf.executing_eagerly()
    True
    """
    return stage.scope is None


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield


def init_scope() -> contextlib.AbstractContextManager[None]:
    """Do nothing: there is no graph to leave."""
    return _nothing()


def control_dependencies(control_inputs: Any) -> contextlib.AbstractContextManager[None]:
    """Do nothing: ops run in the order in which they are written."""
    return _nothing()


def device(device_name: Any) -> contextlib.AbstractContextManager[None]:
    """Do nothing: eager ops are NumPy's, and compiled functions run where JAX is."""
    return _nothing()


class name_scope(contextlib.AbstractContextManager[str]):
    """Do nothing but to know a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> str:
        return f"{self.name}/"

    def __exit__(self, *error: object) -> None:
        return None


def ensure_shape(x: Any, shape: Any, name: str | None = None) -> Tensor:
    """Return a tensor as it is; refuse it if it has another shape than one that is partly known.

    >>> import headgate.tf as tf
    >>> tf.ensure_shape(tf.ones((2, 3)), [None, 3]).shape
    (2, 3)
    """
    given: Tensor = tensor(x)
    if shape is not None and not TensorShape(shape).is_compatible_with(given.shape):
        raise refusal(
            ValueError,
            f"tf.ensure_shape: the tensor has the shape {given.shape}, and must have "
            f"{list(TensorShape(shape))}",
        )
    return given


def identity_n(input: Any, name: str | None = None) -> list[Any]:
    """Return each tensor of a list as a new one; gradient passes."""
    return [ops.identity(convert_to_tensor(x)) for x in input]


def slice(input_: Any, begin: Any, size: Any, name: str | None = None) -> Tensor:
    """Return a part that begins at a place in each axis, of a size each, -1 for all the rest.

    >>> import headgate.tf as tf
    >>> tf.slice(tf.constant([1, 2, 3, 4]), [1], [2]).numpy()
    array([2, 3], dtype=int32)
    """
    x = tensor(input_)
    if is_traced(getattr(begin, "value", begin)):
        raise refusal(TypeError, "tf.slice: begin must be known; tf.gather takes others")
    starts = _is.checks.wholes("tf.slice", "begin", begin)
    sizes = _is.checks.wholes("tf.slice", "size", size)
    if len(starts) != x.ndim or len(sizes) != x.ndim:
        raise refusal(
            ValueError, f"tf.slice: begin and size need {x.ndim} entries, one for each axis"
        )
    key = []
    for start, length, whole in zip(starts, sizes, x.shape, strict=True):
        stop = whole if length == -1 else start + length
        if not 0 <= start <= stop <= whole:
            raise refusal(
                ValueError,
                f"tf.slice: {start} to {stop} is not within an axis of size {whole}",
            )
        key.append(_SLICE(start, stop))
    return x[tuple(key)]  # type: ignore[no-any-return]


_SLICE = builtins.slice


def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Tensor:
    """Convert to another dtype, numbers that it cannot hold to the nearest that it can."""
    x, kind = tensor(value), dtype_of(dtype)
    if kind.kind in "iu" and x.dtype.kind in "iuf":
        limits = np.iinfo(kind)
        x = ops.clip(x, limits.min, limits.max)
    return ops.astype(x, kind)  # type: ignore[no-any-return]


def dynamic_stitch(indices: Any, data: Any, name: str | None = None) -> Tensor:
    """Put the rows of several tensors at the places that are given for each; the last one wins."""
    places = [np.asarray(tensor(index)) for index in indices]
    parts = [tensor(x) for x in data]
    count = 1 + max((int(place.max(initial=-1)) for place in places), default=-1)
    rows = [
        ops.reshape(x, (-1, *x.shape[place.ndim :])) for x, place in zip(parts, places, strict=True)
    ]
    flat = np.concatenate([place.ravel() for place in places])
    last = np.zeros(count, int)
    last[flat] = np.arange(flat.size)
    return ops.take(ops.concat(rows), last, axis=0)  # type: ignore[no-any-return]


def shape_n(input: Any, out_type: Any = None, name: str | None = None) -> list[Tensor]:
    """Return the shape of each tensor of a list, as tensors."""
    return [shape(x) if out_type is None else shape(x, out_type) for x in input]
