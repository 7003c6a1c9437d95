"""Picking elements by index, and the transposed ops, which put them back.

Picking is linear, and so is its transpose: "make zeros and add each update at its place". Each way
to pick is a row here, and so is its transpose. The rule of either is the other one, which makes the
derivatives of every order right at once:

    index                x[key] for a key of ints, slices, None, `...`, masks and integer arrays
    scatter              its transpose
    take                 whole slices along an axis, by one integer array
    scatter_rows         its transpose
    take_along_axis      along an axis, by an integer array of as many dimensions
    scatter_along_axis   its transpose

What puts leaves out what is out of range where that cannot raise, in a program, and what picks has
NaN for it (`headgate.compile.xla.index`). The transpose of a put is a pick that has zeros for it:
`pick`, `pick_rows`, `pick_along_axis`.

The key of `index` and `scatter` is a static parameter of raw values; `getitem` makes one of what
the user wrote. A tensor in a key may have a history (of cuts: the index is the result of an argmax,
say). The result gets it from `inherit`, an identity that takes along the history of a second
argument.

An integer array may name a place twice, and then updates must be summed. `x[key] += updates` does
not do that, and NumPy's `add.at` is quick only on one axis. So `scatter` assigns where no place can
be named twice; where one can, it adds along the flattened result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import EllipsisType, NoneType
from typing import Any

import numpy as np

from headgate.core.checks import whole
from headgate.core.cotangent import Pieces
from headgate.core.lift import as_tensor
from headgate.core.namespace import NUMPY, Array, common, implementations, owner
from headgate.core.op import op, public
from headgate.core.rows import LEAST, Rows, note, note_sum, noted, notes, widen, worthwhile
from headgate.core.tensor import Tensor, constant
from headgate.ops.rules import is_half, normal_axes
from headgate.ops.shape import Shape, broadcast_to, reshape, sizes

PLAIN = {int, slice, NoneType, EllipsisType}
"""Parts of a key that pick by position and name no place twice."""


def parts_of(key: Any) -> tuple[Any, ...]:
    return key if type(key) is tuple else (key,)


# -- rows: x[key] ---------------------------------------------------------------------------------


def _scatter_numpy(xp: Any, updates: Array, key: Any, shape: Shape) -> Array:
    updates = np.asarray(updates)
    made = np.zeros(shape, updates.dtype)
    if _may_repeat(key):
        _add_at(made, key, updates)
    else:
        made[key] = updates
    note_put(made, [key])
    return made


def _put_on(xp: Any, made: np.ndarray[Any, Any], updates: Array, key: Any) -> None:
    """Add updates at a key to an array, in place."""
    if not _may_repeat(key):
        made[key] += updates
    elif made.flags.c_contiguous:
        _add_at(made, key, updates)
    else:
        made += _scatter_numpy(xp, updates, key, made.shape)
    if notes and noted(made) is not None:
        # Who takes rows by number takes one after the other, and many: these are not followed.
        one = any(type(part) is int for part in parts_of(key)[:1])
        found = None if one else rows_of(key, made.shape[0])
        widen(made, None if found is None else found[0])


implementations["put_on"] = {"numpy": _put_on}


def _scatter_each_numpy(xp: Any, updates: Sequence[Array], keys: Any, shape: Shape) -> Array:
    made = np.zeros(shape, np.result_type(*updates))
    for part, key in zip(updates, keys, strict=True):
        _put_on(xp, made, part, key)
    note_put(made, keys)
    return made


def rows_of(key: Any, count: int) -> tuple[Array, tuple[Any, ...]] | None:
    """Return the rows that a key picks of so many, and the key that picks the same of these alone.

    None if the key begins with neither a number, nor a slice, nor an array of them, nor a mask.
    """
    first, *rest = parts_of(key) or (None,)
    kind = type(first)
    if kind is slice:
        return np.arange(*first.indices(count)), (slice(None), *rest)
    if kind is int:
        return np.array([first]), (0, *rest)
    if kind in PLAIN:
        return None
    if first.dtype.kind == "b":
        if not isinstance(first, np.ndarray) or not first.ndim:
            return None
        first, *others = first.nonzero()
        rest = [*others, *rest]
    rows = first.reshape(-1)
    if isinstance(rows, np.ndarray):
        rows = rows.astype(np.intp, copy=False)
    return rows, (np.arange(first.size).reshape(first.shape), *rest)


def note_put(
    made: Array, keys: Sequence[Any], lifted: Callable[[int, Any, Shape], Array] | None = None
) -> None:
    """Note the rows of a new array of zeros to which something was added at keys.

    In a program, `lifted` puts the updates for one of the keys into zeros: given its number, its
    key among the rows alone, and the shape of these.
    """
    if made.size < LEAST:
        return
    count, *rest = made.shape
    found = [rows_of(key, count) for key in keys]
    known = [each for each in found if each is not None]
    if len(known) < len(found) or not worthwhile(made, sum(rows.size for rows, _ in known)):
        return
    parts = [
        Rows(rows, lifted and lifted(number, key, (rows.size, *rest)))
        for number, (rows, key) in enumerate(known)
    ]
    note_sum(made, parts)


def _may_repeat(key: Any) -> bool:
    """Tell whether a key could name one place twice."""
    parts = parts_of(key)
    return not PLAIN.issuperset(map(type, parts)) and any(
        type(part) not in PLAIN and part.dtype.kind in "iu" and part.ndim for part in parts
    )


_SMALL = 256
"""Up to so many updates, `add.at` in the given shape is quicker than finding flat places first."""


def _add_at(made: np.ndarray[Any, Any], key: Any, updates: Array) -> None:
    """Add updates to a new array in place, summing those of one place; halves in float32."""
    if is_half(made):
        wide = made.astype(np.float32)
        _add_at(wide, key, np.asarray(updates).astype(np.float32))
        made[...] = wide
    elif np.size(updates) <= _SMALL:
        np.add.at(made, key, updates)
    else:
        _add_flat(made, _places(made.shape, key), updates)


def _places(shape: Shape, key: Any) -> Array:
    """Return the flat positions of what a key picks."""
    count, *rest = shape
    found = rows_of(key, count)
    if found is None or found[0].size >= count:
        return np.arange(math.prod(shape)).reshape(shape)[key]
    rows, key = found
    size = math.prod(rest)
    rows = np.arange(count)[rows]  # which refuses what is out of range
    return (rows[:, None] * size + np.arange(size)).reshape(-1, *rest)[key]


def _add_flat(made: np.ndarray[Any, Any], places: Array, updates: Array) -> None:
    updates = np.broadcast_to(updates, places.shape).ravel()
    np.add.at(made.reshape(-1), places.ravel(), updates)


index = op(
    "index(x, *, key)",
    """Pick elements by a key of ints, slices, `None`, `...` and raw arrays; use `x[key]`.

    >>> hg.asarray([1.0, 2.0, 3.0])[::2]
    Tensor([1., 3.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, x_shape, key: Pieces(xp, [(g, key)], x_shape),
    impl_numpy=lambda xp, x, key: x[key],
    keeps_shape=True,
    views=True,
)

scatter = op(
    "scatter(updates, *, key, shape)",
    "Make zeros of a shape and add updates at a key of raw arrays, ints and slices.",
    lambda g, xp, key: xp.pick(g, key=key),
    impl_numpy=_scatter_numpy,
)

pick = op(
    "pick(x, *, key)",
    "Pick elements by a key as `index` does, for `scatter` to put them there.",
    lambda g, xp, x_shape, key: xp.scatter(g, key=key, shape=x_shape),
    impl_numpy=lambda xp, x, key: x[key],
    keeps_shape=True,
    views=True,
)

scatter_each = op(
    "scatter_each([updates], *, keys, shape)",
    "Make zeros of a shape and add arrays of updates at a key each.",
    lambda g, xp, index, keys: xp.pick(g, key=keys[index]),
    impl_numpy=_scatter_each_numpy,
)

inherit = op(
    "inherit(x, other)",
    "Return `x` with the history of a value that decided which part of `x` is used.",
    lambda g: g,
    None,
    impl_numpy=lambda xp, x, other: x,
    views=True,
)


# -- rows: adding to and replacing parts of an array ----------------------------------------------


def in_dtype_of(xp: Any, x: Array, updates: Array) -> Array:
    """Return updates in the dtype of what they go to; refuse to lose more than precision."""
    updates = xp.asarray(updates)
    if not np.can_cast(updates.dtype, x.dtype, "same_kind"):
        raise TypeError(f"updates of dtype {updates.dtype} do not fit into an array of {x.dtype}")
    return updates.astype(x.dtype)


def _index_add_numpy(xp: Any, x: Array, updates: Array, key: Any) -> Array:
    made = np.array(x, order="C")
    updates = in_dtype_of(xp, made, updates)
    if _may_repeat(key):
        _add_at(made, key, updates)
    else:
        made[key] += updates
    return made


def _index_update_numpy(xp: Any, x: Array, updates: Array, key: Any) -> Array:
    made = np.array(x)
    made[key] = in_dtype_of(xp, made, updates)
    return made


def _updates_rule(g: Any, xp: Any, key: Any) -> Any:
    """Give gradient to those updates that are in the result: of several for one place, to one."""
    picked = xp.pick(g, key=key)
    if not _may_repeat(key):
        return picked
    stayed = _stayed(key, g.shape, picked.shape)
    if type(stayed) is np.ndarray and stayed.all():
        return picked
    return xp.where(stayed, picked, 0)


def _stayed(key: Any, shape: Shape, picked: Shape) -> Array:
    """Tell which updates at a key stay: write the number of each, and see which are still there."""
    xp = owner[common(*(type(part) for part in parts_of(key) if type(part) not in PLAIN))]
    numbers = np.arange(math.prod(picked), dtype=np.int32).reshape(picked)
    written = xp.index_update(xp.zeros(shape, dtype=np.int32), numbers, key=key)
    return xp.pick(written, key=key) == numbers


index_add = op(
    "index_add(x, updates, *, key)",
    "Add updates at a key of raw values; use `scatter_add`.",
    lambda g: g,
    lambda g, xp, key: xp.pick(g, key=key),
    impl_numpy=_index_add_numpy,
)

index_update = op(
    "index_update(x, updates, *, key)",
    "Replace what is at a key of raw values; use `scatter_update`.",
    lambda g, xp, key: xp.index_update(g, xp.zeros((), dtype=g.dtype), key=key),
    _updates_rule,
    impl_numpy=_index_update_numpy,
)


# -- rows: along one axis -------------------------------------------------------------------------


def whole_numbers(indices: Array) -> Array:
    """Return indices as an array of a signed integer type; refuse floats and booleans."""
    array = indices if hasattr(indices, "dtype") else np.asarray(indices)
    if array.dtype.kind not in "iu":
        if not array.size and array.dtype.kind == "f":  # the empty list
            return array.astype(int)
        raise TypeError(_not_an_index(array))
    # NumPy casts uint64 to no index type by itself.
    return array.astype(np.int64) if array.dtype == np.uint64 else array


def _not_an_index(array: Array) -> str:
    cure = (
        "pick by a mask with x[mask] or headgate.boolean_mask(x, mask)"
        if array.dtype.kind == "b"
        else "convert it with headgate.astype(index, int)"
    )
    return f"an index must hold integers, and this one is {array.dtype} {array.shape}; {cure}"


def single_axis(x: Array, axis: int | None) -> int:
    """Return the axis to pick from, which may be left out for a 1-d array."""
    if axis is None and x.ndim != 1:
        raise ValueError(
            f"the array has {x.ndim} dimensions; say by axis=... which one to pick from"
        )
    return 0 if axis is None else normal_axes(axis, x.ndim)[0]


def _take(xp: Any, x: Array, indices: Array, axis: int | None) -> Array:
    x = xp.asarray(x)
    if axis is None:
        axis = single_axis(x, axis)
    return x.take(whole_numbers(indices), axis=axis)


def _flat_places(indices: Array, shape: Shape, axis: int) -> Array:
    """Return the flat positions of each index, which counts along `axis` of an array of a shape.

    `indices` is 3-d: what lies before the axis, along it, and after it (sizes of 1 broadcast).
    """
    before, count, after = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    indices = indices.astype(np.intp, copy=False)  # a narrow type does not hold the count
    indices = np.where(indices < 0, indices + count, indices)
    return (np.arange(before)[:, None, None] * count + indices) * after + np.arange(after)


def _scatter_rows_numpy(
    xp: Any, updates: Array, indices: Array, axis: int | None, shape: Shape
) -> Array:
    updates, indices = np.asarray(updates), whole_numbers(indices)
    made = np.zeros(shape, updates.dtype)
    axis = 0 if axis is None else axis % len(shape)
    if is_half(updates):
        _add_at(made, (*[slice(None)] * axis, indices), updates)
    elif updates.size <= _SMALL:
        np.add.at(made, (*[slice(None)] * axis, indices), updates)
    else:
        places = _flat_places(indices.reshape(1, -1, 1), shape, axis)
        _add_flat(made, places, updates.reshape(places.shape))
    if axis == 0:
        note(made, indices)
    return made


take = op(
    "take(x, indices, *, axis=None)",
    """Pick slices along an axis by an integer array of any shape, which replaces the axis.

    `axis` may be left out for a 1-d array. Negative indices count from the end.

    >>> hg.take([[1.0, 2.0], [3.0, 4.0]], [1, 1, 0], axis=0)
    Tensor([[3., 4.],
            [3., 4.],
            [1., 2.]], shape=(3, 2), dtype=float64)
    """,
    lambda g, xp, x_shape, indices, axis: xp.scatter_rows(g, indices, axis=axis, shape=x_shape),
    None,
    impl_numpy=_take,
    keeps_shape=True,
)

scatter_rows = op(
    "scatter_rows(updates, indices, *, axis, shape)",
    "Make zeros of a shape and add slices along an axis at integer indices: `take`, transposed.",
    lambda g, xp, indices, axis: xp.pick_rows(g, indices, axis=axis),
    None,
    impl_numpy=_scatter_rows_numpy,
)

pick_rows = op(
    "pick_rows(x, indices, *, axis)",
    "Pick slices along an axis as `take` does, for `scatter_rows` to put them there.",
    lambda g, xp, x_shape, indices, axis: xp.scatter_rows(g, indices, axis=axis, shape=x_shape),
    None,
    impl_numpy=_take,
    keeps_shape=True,
)


def _take_along_axis(xp: Any, x: Array, indices: Array, axis: int) -> Array:
    return xp.array_module.take_along_axis(x, whole_numbers(indices), axis=axis)


def _scatter_along_axis_numpy(
    xp: Any, updates: Array, indices: Array, axis: int, size: int
) -> Array:
    axis %= updates.ndim
    shape = (*updates.shape[:axis], size, *updates.shape[axis + 1 :])
    made = np.zeros(shape, updates.dtype)
    indices = np.broadcast_to(whole_numbers(indices), updates.shape)
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    places = _flat_places(indices.reshape(before, updates.shape[axis], after), shape, axis)
    _add_flat(made, places, updates.reshape(places.shape))
    return made


take_along_axis = op(
    "take_along_axis(x, indices, *, axis=-1)",
    """Pick along an axis by an integer array of as many dimensions; the other axes are matched.

    >>> hg.take_along_axis([[1.0, 2.0], [3.0, 4.0]], [[1], [0]], axis=1)
    Tensor([[2.],
            [3.]], shape=(2, 1), dtype=float64)
    """,
    lambda g, xp, x_shape, indices, axis: xp.scatter_along_axis(
        g, indices, axis=axis, size=x_shape[axis]
    ),
    None,
    impl_numpy=_take_along_axis,
)

scatter_along_axis = op(
    "scatter_along_axis(updates, indices, *, axis, size)",
    "Make zeros, `size` along an axis, and add updates there: `take_along_axis`, transposed.",
    lambda g, xp, indices, axis: xp.pick_along_axis(g, indices, axis=axis),
    None,
    impl_numpy=_scatter_along_axis_numpy,
)

pick_along_axis = op(
    "pick_along_axis(x, indices, *, axis)",
    "Pick along an axis as `take_along_axis` does, for `scatter_along_axis` to put it there.",
    lambda g, xp, x_shape, indices, axis: xp.scatter_along_axis(
        g, indices, axis=axis, size=x_shape[axis]
    ),
    None,
    impl_numpy=_take_along_axis,
)


# -- public functions -----------------------------------------------------------------------------


def _resolve(x: Any, key: Any) -> tuple[Any, Any]:
    """Return `x` and the key in raw values, `x` with the history of the tensors in the key."""
    parts = parts_of(key)
    if PLAIN.issuperset(map(type, parts)):
        return x, key
    x = as_tensor(x)
    found: list[Any] = []
    for part in parts:
        if type(part) not in PLAIN:
            tensor = _as_index(part)
            if tensor.node is not None or owner[type(tensor.value)] is not NUMPY:
                x = inherit(x, tensor)
            part = tensor.value
            if part.ndim == 0 and part.dtype.kind in "iu" and owner[type(part)] is NUMPY:
                part = int(part)
        found.append(part)
    return x, tuple(found) if type(key) is tuple else found[0]


def _as_index(part: Any) -> Tensor:
    """Return a part of a key as a tensor of integers or booleans."""
    if isinstance(part, str | bytes):
        raise TypeError(f"an index must be made of integers, slices, masks or arrays, not {part!r}")
    tensor = as_tensor(part)
    kind = tensor.dtype.kind
    if kind not in "biu":
        if isinstance(part, list) and not tensor.size:
            return constant(np.zeros(tensor.shape, int))
        raise TypeError(_not_an_index(tensor.value))
    return tensor


@public
def getitem(x: Any, key: Any) -> Tensor:
    """Pick elements as NumPy does: `x[key]`.

    A key is made of integers, slices, `None`, `...`, masks (booleans) and integer arrays; tensors
    may be among them. The gradient is zero where nothing was picked, and summed where an integer
    array picked an element more than once.

    >>> hg.asarray([[1.0, 2.0], [3.0, 4.0]])[[0, 1], [1, 0]]
    Tensor([2., 3.], shape=(2,), dtype=float64)
    """
    kind = type(key)
    if kind is int or kind is slice:
        return index(x, key)
    if kind is not tuple and kind not in PLAIN:
        tensor = _as_index(key)
        if tensor.dtype.kind != "b" and tensor.ndim:
            return take(x, tensor, 0)
    x, key = _resolve(x, key)
    return index(x, key)


@public
def scatter_add(x: Any, updates: Any, key: Any) -> Tensor:
    """Return `x` with updates added at `x[key]`; those of one place are summed.

    >>> hg.scatter_add([1.0, 1.0, 1.0], [2.0, 3.0], key=[0, 0])
    Tensor([6., 1., 1.], shape=(3,), dtype=float64)
    """
    x, key = _resolve(x, key)
    return index_add(x, updates, key)


@public
def scatter_update(x: Any, updates: Any, key: Any) -> Tensor:
    """Return `x` with `x[key]` replaced by updates.

    Of several updates for one place one stays, the last one on a CPU; it alone gets gradient.

    >>> hg.scatter_update([1.0, 1.0, 1.0], 5.0, key=slice(1, None))
    Tensor([1., 5., 5.], shape=(3,), dtype=float64)
    """
    x, key = _resolve(x, key)
    return index_update(x, updates, key)


@public
def gather(x: Any, indices: Any, axis: int | None = None, batch_dims: int = 0) -> Tensor:
    """Pick slices along an axis; the first `batch_dims` axes of `x` and `indices` are matched.

    `axis` is the first one that is not matched if left out.

    >>> hg.gather([[1.0, 2.0], [3.0, 4.0]], [1, 0], batch_dims=1)
    Tensor([2., 3.], shape=(2,), dtype=float64)
    """
    x, indices = as_tensor(x), as_tensor(indices)
    if type(batch_dims) is not int or batch_dims:
        batch_dims = whole("gather", "batch_dims", batch_dims, 0, indices.ndim)
    if axis is None:
        axis = batch_dims
    else:
        axis = normal_axes(whole("gather", "axis", axis), x.ndim)[0]
    if not batch_dims:
        return take(x, indices, axis)
    if axis < batch_dims:
        raise ValueError(f"gather: axis {axis} is one of the {batch_dims} axes that are matched")
    between = (None,) * (axis - batch_dims)
    indices = indices[(slice(None),) * batch_dims + between]
    _check_matched(x, indices, batch_dims)
    return getitem(x, (*counting(x.shape[:axis], indices.ndim), indices))


@public
def gather_nd(x: Any, indices: Any, batch_dims: int = 0) -> Tensor:
    """Pick slices by rows of `indices`, each of which is a key of that many leading axes of `x`.

    The result has the shape `indices.shape[:-1] + x.shape[indices.shape[-1] + batch_dims:]`.

    >>> hg.gather_nd([[1.0, 2.0], [3.0, 4.0]], [[0, 1], [1, 1]])
    Tensor([2., 4.], shape=(2,), dtype=float64)
    """
    x, indices = as_tensor(x), as_tensor(indices)
    batch_dims = whole("gather_nd", "batch_dims", batch_dims, 0, indices.ndim)
    _check_matched(x, indices, batch_dims)
    if indices.ndim and not indices.shape[-1]:  # each row names the whole array
        rest, rows = x.shape[batch_dims:], indices.shape[batch_dims:-1]
        x = reshape(x, (*x.shape[:batch_dims], *(1,) * len(rows), *rest))
        return broadcast_to(x, (*indices.shape[:-1], *rest))
    matched = counting(x.shape[:batch_dims], indices.ndim - 1)
    return getitem(x, (*matched, *_columns(indices)))


@public
def scatter_nd(indices: Any, updates: Any, shape: Any) -> Tensor:
    """Make zeros of a shape and add updates at the keys in the rows of `indices` (see `gather_nd`).

    >>> hg.scatter_nd([[0], [2], [0]], [1.0, 2.0, 3.0], (4,))
    Tensor([4., 0., 2., 0.], shape=(4,), dtype=float64)
    """
    updates, key = _resolve(updates, _columns(as_tensor(indices)))
    return scatter(updates, key, sizes(shape))


def _columns(indices: Tensor) -> tuple[Tensor, ...]:
    if not indices.ndim:
        raise ValueError("the indices need an axis, along which one key lies; they are 0-d")
    return tuple(indices[..., k] for k in range(indices.shape[-1]))


def _check_matched(x: Tensor, indices: Tensor, batch_dims: int) -> None:
    if x.shape[:batch_dims] != indices.shape[:batch_dims]:
        raise ValueError(
            f"the first {batch_dims} axes of shapes {x.shape} and {indices.shape} must be the same"
        )


def counting(shape: Shape, ndim: int) -> list[Array]:
    """Return one array of `ndim` dimensions per axis of a shape: its indices, along that axis."""
    return [np.arange(size).reshape(-1, *[1] * (ndim - k - 1)) for k, size in enumerate(shape)]


@public
def embedding(table: Any, ids: Any) -> Tensor:
    """Return the row of a table for each id.

    >>> hg.embedding([[1.0, 2.0], [3.0, 4.0]], [1, 0, 1]).shape
    (3, 2)
    """
    return take(table, ids, 0)


@public
def boolean_mask(x: Any, mask: Any, axis: int = 0) -> Tensor:
    """Pick where a mask is true; the mask covers as many axes as it has, from `axis` on.

    >>> hg.boolean_mask([1.0, 2.0, 3.0], [True, False, True])
    Tensor([1., 3.], shape=(2,), dtype=float64)
    """
    x, mask = as_tensor(x), as_tensor(mask)
    if mask.dtype.kind != "b":
        raise TypeError(
            f"a mask must hold booleans, and this one is {mask.dtype} {mask.shape}; "
            "compare it with something, as in mask != 0"
        )
    return getitem(x, (slice(None),) * normal_axes(axis, x.ndim)[0] + (mask,))
