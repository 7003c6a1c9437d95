"""Functions that call a function for each row, and what is made of rows one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from headgate.compile import control as _control
from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor, constant
from headgate.record.errors import refusal
from headgate.tf import _arguments as _is
from headgate.tf._adapt import convert_to_tensor, static, tensor
from headgate.tf._arguments import checked as _checked
from headgate.tf._dtypes import bool as truth
from headgate.tf._dtypes import dtype_of, float32, int32
from headgate.tf._gradients import stop_gradient


def _tensors(structure: Any) -> Any:
    return optree.tree_map(convert_to_tensor, structure)


def _first(structure: Any, reverse: bool) -> tuple[Any, Any]:
    """Return the row to begin with, and the others."""
    if reverse:
        return (
            optree.tree_map(lambda x: x[-1], structure),
            optree.tree_map(lambda x: x[:-1], structure),
        )
    return optree.tree_map(lambda x: x[0], structure), optree.tree_map(lambda x: x[1:], structure)


def _held(structure: Any, back_prop: bool) -> Any:
    return structure if back_prop else optree.tree_map(stop_gradient, structure)


def map_fn(
    fn: Callable[[Any], Any],
    elems: Any,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    name: str | None = None,
    fn_output_signature: Any = None,
) -> Any:
    """Call a function with each row of tensors, and stack what it returns.

    >>> import headgate.tf as tf
    >>> tf.map_fn(lambda x: x * x, tf.constant([1.0, 2.0, 3.0])).numpy()
    array([1., 4., 9.], dtype=float32)
    """
    wanted = fn_output_signature if fn_output_signature is not None else dtype

    def step(carry: Any, row: Any) -> tuple[Any, Any]:
        found = _tensors(fn(row))
        if wanted is not None:
            _check_dtypes(found, wanted)
        return carry, found

    _, found = _control.scan(step, constant(np.zeros(())), _tensors(elems))
    return _held(found, back_prop)


def _check_dtypes(found: Any, wanted: Any) -> None:
    """Refuse results that are not what `fn_output_signature` says."""
    given = optree.tree_leaves(wanted)
    leaves = optree.tree_leaves(found)
    for leaf, kind in zip(leaves, given, strict=False):
        expected = dtype_of(getattr(kind, "dtype", kind))
        if leaf.dtype != expected:
            raise refusal(
                TypeError,
                f"tf.map_fn: fn returned {leaf.dtype}, and fn_output_signature says {expected}",
            )


def vectorized_map(
    fn: Callable[[Any], Any], elems: Any, fallback_to_while_loop: bool = True, warn: bool = True
) -> Any:
    """Call a function with each row of tensors, and stack what it returns, as `map_fn` does."""
    return map_fn(fn, elems)


def scan(
    fn: Callable[[Any, Any], Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    reverse: bool = False,
    name: str | None = None,
) -> Any:
    """Go along rows with a function of what it returned before and a row; return all results.

    >>> import headgate.tf as tf
    >>> tf.scan(lambda total, x: total + x, tf.constant([1.0, 2.0, 3.0])).numpy()
    array([1., 3., 6.], dtype=float32)
    """
    rows = _tensors(elems)
    if initializer is None:
        first, rows = _first(rows, reverse)
    else:
        first = _tensors(initializer)

    def step(carry: Any, row: Any) -> tuple[Any, Any]:
        found = _tensors(fn(carry, row))
        return found, found

    _, found = _control.scan(step, first, rows, reverse=reverse)
    if initializer is None:

        def join(one: Any, others: Any) -> Any:
            return ops.concat([others, one[None]] if reverse else [one[None], others])

        found = optree.tree_map(join, first, found)
    return _held(found, back_prop)


def _folded(fn: Any, elems: Any, initializer: Any, back_prop: bool, reverse: bool) -> Any:
    rows = _tensors(elems)
    if initializer is None:
        first, rows = _first(rows, reverse)
    else:
        first = _tensors(initializer)

    def step(carry: Any, row: Any) -> tuple[Any, Any]:
        return _tensors(fn(carry, row)), constant(np.zeros(()))

    last, _ = _control.scan(step, first, rows, reverse=reverse)
    return _held(last, back_prop)


def foldl(
    fn: Callable[[Any, Any], Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """Go along rows with a function of what it returned before and a row; return the last result.

    >>> import headgate.tf as tf
    >>> tf.foldl(lambda total, x: total + x, tf.constant([1.0, 2.0, 3.0])).numpy()
    np.float32(6.0)
    """
    return _folded(fn, elems, initializer, back_prop, False)


def foldr(
    fn: Callable[[Any, Any], Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """Go along rows from the last to the first, as `foldl` does."""
    return _folded(fn, elems, initializer, back_prop, True)


def sequence_mask(
    lengths: Any, maxlen: Any = None, dtype: Any = truth, name: str | None = None
) -> Tensor:
    """Tell which places of each sequence are within its length.

    >>> import headgate.tf as tf
    >>> tf.sequence_mask([1, 3], 3).numpy().astype(int)
    array([[1, 0, 0],
           [1, 1, 1]])
    """
    sizes = tensor(lengths)
    if maxlen is None:
        maxlen = int(ops.max(sizes).item()) if sizes.size else 0
    found = np.arange(static(maxlen)) < sizes[..., None]
    return ops.astype(found, dtype_of(dtype))  # type: ignore[no-any-return]


@_checked(side=_is.one_of("left", "right"))
def searchsorted(
    sorted_sequence: Any,
    values: Any,
    side: str = "left",
    out_type: Any = int32,
    name: str | None = None,
) -> Tensor:
    """Return where values would go in rows that are sorted along the last axis."""
    rows, wanted = tensor(sorted_sequence), tensor(values)
    if rows.shape[:-1] != wanted.shape[:-1]:
        raise refusal(
            ValueError,
            "tf.searchsorted: both need the same axes but for the last, and have the shapes "
            f"{rows.shape} and {wanted.shape}",
        )
    if rows.ndim == 1:
        found = ops.searchsorted(rows, wanted, side=side)
    else:
        below = ops.less if side == "left" else ops.less_equal
        found = ops.sum(below(rows[..., None, :], wanted[..., None]), axis=-1)
    return ops.astype(found, dtype_of(out_type))  # type: ignore[no-any-return]


def unique(x: Any, out_idx: Any = int32, name: str | None = None) -> tuple[Tensor, Tensor]:
    """Return different elements in the order in which they come, and the place of each element.

    >>> import headgate.tf as tf
    >>> values, places = tf.unique(tf.constant([5, 3, 5]))
    >>> values.numpy(), places.numpy()
    (array([5, 3], dtype=int32), array([0, 1, 0], dtype=int32))
    """
    values, places, _ = _unique(x, out_idx)
    return values, places


def unique_with_counts(
    x: Any, out_idx: Any = int32, name: str | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `unique` does, and how often each element is there."""
    return _unique(x, out_idx)


def _unique(x: Any, out_idx: Any) -> tuple[Tensor, Tensor, Tensor]:
    given = tensor(x)
    if given.ndim != 1:
        raise refusal(ValueError, f"tf.unique: x must have one axis; its shape is {given.shape}")
    _, first, places, counts = ops.unique_all(given)
    order = ops.argsort(first)
    kind = dtype_of(out_idx)
    return (
        ops.take(given, ops.sort(first), axis=0),
        ops.astype(ops.take(ops.argsort(order), places, axis=0), kind),
        ops.astype(ops.take(counts, order, axis=0), kind),
    )


class TensorArray:
    """A list of tensors of one shape, as loops write them; each method returns a new list.

    >>> import headgate.tf as tf
    >>> array = tf.TensorArray(tf.float32, size=2)
    >>> for k in range(2):
    ...     array = array.write(k, tf.ones(2) * k)
    >>> array.stack().numpy()
    array([[0., 0.],
           [1., 1.]], dtype=float32)
    """

    __slots__ = ("_dynamic", "_items", "_shape", "dtype")

    def __init__(
        self,
        dtype: Any,
        size: Any = None,
        dynamic_size: bool | None = None,
        clear_after_read: bool | None = None,
        tensor_array_name: str | None = None,
        handle: Any = None,
        flow: Any = None,
        infer_shape: bool = True,
        element_shape: Any = None,
        colocate_with_first_write_call: bool = True,
        name: str | None = None,
    ) -> None:
        for option, given in {"handle": handle, "flow": flow}.items():
            if given is not None:
                raise refusal(ValueError, f"TensorArray({option}=...) belongs to graphs")
        self.dtype = dtype_of(dtype)
        self._dynamic = bool(dynamic_size)
        self._items: list[Tensor | None] = [None] * int(static(size) or 0)
        self._shape = None if element_shape is None else static(element_shape)

    def _with(self, items: list[Any]) -> TensorArray:
        made = TensorArray(self.dtype, 0, self._dynamic)
        made._items, made._shape = items, self._shape
        return made

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """Return the list with a tensor at a place."""
        place, item = int(static(index)), convert_to_tensor(value, self.dtype)
        items = list(self._items)
        if place >= len(items) and self._dynamic:
            items += [None] * (place + 1 - len(items))
        if not 0 <= place < len(items):
            raise refusal(
                IndexError,
                f"TensorArray: there is no place {place} in {len(items)}; make it with "
                "dynamic_size=True to let it grow",
            )
        items[place] = item
        return self._with(items)

    def read(self, index: Any, name: str | None = None) -> Tensor:
        """Return the tensor at a place."""
        found = self._items[int(static(index))]
        if found is None:
            raise refusal(ValueError, f"TensorArray: nothing was written at {static(index)}")
        return found

    def _written(self) -> list[Tensor]:
        like = next((item for item in self._items if item is not None), None)
        if like is None and self._items and not isinstance(self._shape, tuple):
            raise refusal(ValueError, "TensorArray: nothing was written, so no shape is known")
        shape = like.shape if like is not None else self._shape
        blank = constant(np.zeros(shape or (), self.dtype))
        return [blank if item is None else item for item in self._items]

    def stack(self, name: str | None = None) -> Tensor:
        """Return all tensors along a new first axis; zeros where nothing was written."""
        items = self._written()
        if not items:
            shape = tuple(size or 0 for size in self._shape or ())
            return constant(np.zeros((0, *shape), self.dtype))
        return ops.stack(items)  # type: ignore[no-any-return]

    def concat(self, name: str | None = None) -> Tensor:
        """Return all tensors one after the other, along their first axis."""
        return ops.concat(self._written())  # type: ignore[no-any-return]

    def gather(self, indices: Any, name: str | None = None) -> Tensor:
        """Return the tensors at some places along a new first axis."""
        return ops.stack([self.read(k) for k in np.asarray(indices)])  # type: ignore[no-any-return]

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """Return a list of the rows of a tensor."""
        return self._with(list(ops.unstack(convert_to_tensor(value, self.dtype))))

    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """Return the list with the rows of a tensor at some places."""
        made = self
        for k, row in zip(np.asarray(indices), ops.unstack(convert_to_tensor(value)), strict=True):
            made = made.write(int(k), row)
        return made

    def size(self, name: str | None = None) -> Tensor:
        """Return the number of places."""
        return constant(np.asarray(len(self._items), np.int32))

    def identity(self) -> TensorArray:
        """Return the same list."""
        return self._with(list(self._items))

    def close(self, name: str | None = None) -> None:
        """Forget what was written."""
        self._items = []


class TensorShape(tuple[Any, ...]):
    """A shape, of which sizes may be None; a tuple besides.

    >>> import headgate.tf as tf
    >>> tf.TensorShape([2, None]).as_list(), tf.TensorShape([2, 3]).num_elements()
    ([2, None], 6)
    """

    __slots__ = ()

    def __new__(cls, dims: Any = ()) -> TensorShape:
        if isinstance(dims, int | np.integer):
            dims = (dims,)
        sizes = (None if size is None else int(size) for size in dims)
        return super().__new__(cls, sizes)

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self)

    @property
    def ndims(self) -> int:
        """The number of axes."""
        return len(self)

    @property
    def dims(self) -> list[Any]:
        """The sizes as a list."""
        return list(self)

    def as_list(self) -> list[Any]:
        """Return the sizes as a list."""
        return list(self)

    def num_elements(self) -> int | None:
        """Return the number of elements, None if a size is."""
        return int(np.prod(self)) if self.is_fully_defined() else None

    def is_fully_defined(self) -> bool:
        """Tell whether all sizes are known."""
        return None not in self

    def is_compatible_with(self, other: Any) -> bool:
        """Tell whether an array could have both shapes."""
        other = TensorShape(other)
        return len(self) == len(other) and all(
            x is None or y is None or x == y for x, y in zip(self, other, strict=True)
        )

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raise `ValueError` unless an array could have both shapes."""
        if not self.is_compatible_with(other):
            raise refusal(ValueError, f"Shapes {tuple(self)} and {tuple(other)} are incompatible")

    def concatenate(self, other: Any) -> TensorShape:
        """Return the sizes of both, one after the other."""
        return TensorShape((*self, *TensorShape(other)))

    def merge_with(self, other: Any) -> TensorShape:
        """Return the shape with what the other one knows."""
        self.assert_is_compatible_with(other)
        return TensorShape(
            y if x is None else x for x, y in zip(self, TensorShape(other), strict=True)
        )

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return TensorShape(found) if isinstance(key, slice) else found

    def __repr__(self) -> str:
        return f"TensorShape({list(self)})"


class TensorSpec:
    """The shape and dtype of a tensor to come.

    >>> import headgate.tf as tf
    >>> tf.TensorSpec([None, 2]).is_compatible_with(tf.ones((3, 2)))
    True
    """

    __slots__ = ("dtype", "name", "shape")

    def __init__(self, shape: Any, dtype: Any = float32, name: str | None = None) -> None:
        self.shape = TensorShape(shape)
        self.dtype = dtype_of(dtype)
        self.name = name

    @classmethod
    def from_tensor(cls, tensor: Any, name: str | None = None) -> TensorSpec:
        """Return what is known of a tensor."""
        return cls(tensor.shape, tensor.dtype, name)

    def is_compatible_with(self, spec_or_tensor: Any) -> bool:
        """Tell whether a tensor is one of these."""
        given = spec_or_tensor
        if not hasattr(given, "dtype"):
            given = convert_to_tensor(given)
        return bool(given.dtype == self.dtype) and self.shape.is_compatible_with(given.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorSpec):
            return NotImplemented
        return (self.shape, self.dtype, self.name) == (other.shape, other.dtype, other.name)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape.as_list()}, dtype={self.dtype}, name={self.name!r})"
