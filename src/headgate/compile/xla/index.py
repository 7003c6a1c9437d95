"""Indices in XLA's programs: what they pick, and what happens to those that are out of range.

Eagerly an index out of range raises, from -n to n - 1 is in range, and negative ones count from the
end. A program knows its indices only when it runs, and cannot raise then. So what happens is
defined, and the same for all rows:

* what is **picked** out of range is NaN, of whole numbers the least one (unsigned: the greatest),
  of booleans true; and no gradient goes anywhere from there.
* what is **put** out of range is left out, and gets no gradient (zero).

That is how XLA's gathers and scatters are told to work; JAX's own indexing clamps in some cases and
wraps in others. Indices that are known while a function is traced are looked at then, and raise as
they do eagerly. For the others, `headgate.function(check=True)` puts a report into the program
(`headgate.compile.alarms`): next to the operation, a callback under a condition that is false as
long as all is well.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headgate.compile.alarms import asked
from headgate.compile.xla import places
from headgate.compile.xla.dtypes import cast
from headgate.core.namespace import Array
from headgate.core.rows import note
from headgate.core.traced import is_traced
from headgate.ops.functional import class_numbers, out_of_classes, shifted_logits
from headgate.ops.index import (
    PLAIN,
    counting,
    in_dtype_of,
    note_put,
    parts_of,
    single_axis,
    whole_numbers,
)
from headgate.ops.rules import is_half
from headgate.ops.shape import Shape
from headgate.record.errors import describe
from headgate.record.graph import state

# -- reports ---------------------------------------------------------------------------------------


def _report(failed: Array, explain: Callable[..., Exception], *values: Array) -> None:
    """Let the program report values where something fails; `explain` makes an error of them."""
    import jax

    alarms = asked()
    if alarms is None or state.recording.walking:  # the walk goes where the program has been
        return
    report = alarms.reporter(explain)

    def called(failed: Array, *values: Array) -> None:
        if failed:  # a batched condition calls at any rate
            report(*map(np.asarray, values))

    def alarm(failed: Array, *values: Array) -> None:
        jax.debug.callback(called, failed, *values)

    jax.lax.cond(failed, alarm, lambda failed, *values: None, failed, *values)


def look(find: Callable[[], Sequence[Array]], explain: Callable[..., Exception]) -> None:
    """Report what is found, whether it fails and values, if anybody asked for it."""
    if asked() is not None:
        failed, *values = find()
        _report(failed, explain, *values)


def _is_known(indices: Array) -> bool:
    """Tell whether the values of indices, or of a part of a key, are known."""
    return type(indices) in PLAIN or isinstance(indices, np.ndarray | np.generic)


def _outside(place: int, axis: int, size: int) -> IndexError:
    return IndexError(f"index {place} is out of bounds for axis {axis} with size {size}")


def _looked_at(what: str, indices: Array, axis: int, size: int) -> Array:
    """Return indices along an axis as JAX wants them; what is out of range stays so.

    Those that are known are refused if they are out of range. `what` says of which call they are.
    """
    import jax

    if _is_known(indices):
        bad = np.asarray((indices < -size) | (indices >= size))
        if bad.any():
            raise _outside(np.asarray(indices)[bad][0], axis, size)
        return indices
    given = indices
    if indices.dtype.itemsize > 4 or indices.dtype.kind == "u":
        # JAX counts in 32 bits as long as they suffice, and would take the lower half.
        indices = jax.numpy.clip(indices.astype(np.int64), -size - 1, size)
    elif indices.dtype.itemsize < 4:
        indices = indices.astype(np.int32)
    if asked() is not None and is_traced(indices) and indices.size:

        def explain(place: Array) -> Exception:
            op, _, call = what.partition(" ")
            return IndexError(f"{op}: {_outside(int(place), axis, size)}\n  given {call}")

        bad = jax.numpy.ravel((indices < -size) | (indices >= size))
        first = jax.numpy.ravel(given)[jax.numpy.argmax(bad)]
        _report(bad.any(), explain, first)
    return indices


# -- keys ------------------------------------------------------------------------------------------


def _placed(key: Any, ndim: int) -> list[tuple[Any, int]]:
    """Return each part of a key with the first axis that it is for."""
    parts = parts_of(key)
    takes = [
        0 if part is None or part is ... else part.ndim if _is_mask(part) else 1 for part in parts
    ]
    if sum(takes) > ndim:
        raise IndexError(
            f"too many indices for array: array is {ndim}-dimensional, but {sum(takes)} were "
            "indexed"
        )
    found, axis = [], 0
    for part, count in zip(parts, takes):
        found.append((part, axis))
        axis += ndim - sum(takes) if part is ... else count
    return found


def _is_mask(part: Any) -> bool:
    return type(part) not in PLAIN and part.dtype.kind == "b"


def _cleared(op: str, x: Array | None, key: Any, shape: Shape) -> Any:
    """Return a key whose indices were looked at."""
    if all(map(_is_known, parts_of(key))):
        np.broadcast_to(False, shape)[key]  # NumPy refuses what does not fit
        return key
    if any(_is_mask(part) and not _is_known(part) for part in parts_of(key)):
        return key  # which JAX refuses
    words = [repr(p) if type(p) in PLAIN else describe(p) for p in parts_of(key)]
    what = f"{op} x: {x.dtype if x is not None else ''} {shape}; key: {', '.join(words)}"
    found = [
        part if type(part) in PLAIN or _is_mask(part) else _looked_at(what, part, axis, shape[axis])
        for part, axis in _placed(key, len(shape))
    ]
    fixed = tuple(part if _is_known(part) else np.zeros(part.shape, int) for part in found)
    np.broadcast_to(False, shape)[fixed]
    return tuple(found) if type(key) is tuple else found[0]


def _picked(op: str, xp: Any, x: Array, key: Any, missing: Any) -> Array:
    """Return what is at a key, and something in place of what is out of range."""
    spans = places.spans(key, x.shape)
    if spans is not None:
        return spans.picked(x)
    key = _cleared(op, x, key, x.shape)
    unknown = [(part, axis) for part, axis in _placed(key, x.ndim) if not _is_known(part)]
    if not unknown or any(_is_mask(part) for part, _ in unknown):
        return x[key]
    if len(unknown) == 1 and all(type(p) in PLAIN or not p.ndim for p in parts_of(key)):
        place, axis = unknown[0]  # a slice of the array, which XLA takes without a gather
        inside = (place >= -x.shape[axis]) & (place < x.shape[axis])
        return xp.where(inside, x[key], _nothing(x.dtype) if missing is None else missing)
    return x.at[key].get(mode="fill", fill_value=missing)


def _nothing(dtype: Any) -> Any:
    """Return what stands for an element that is not there, as JAX has it."""
    if dtype.kind == "b":
        return True
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return dtype.type(limits.min if dtype.kind == "i" else limits.max)
    return dtype.type(np.nan)


def _index(xp: Any, x: Array, key: Any) -> Array:
    return _picked("index", xp, x, key, None)


def _pick(xp: Any, x: Array, key: Any) -> Array:
    return _picked("pick", xp, x, key, 0)


def _added(x: Array, key: Any, updates: Array) -> Array:
    """Return x with updates added at a key; booleans are true then if one of them is."""
    if x.dtype == bool:
        return x.astype(np.uint8).at[key].max(updates.astype(np.uint8)).astype(bool)
    if is_half(x):  # in which sums soon do not grow any more
        return x.astype(np.float32).at[key].add(updates.astype(np.float32)).astype(x.dtype)
    return x.at[key].add(updates)


def _scatter(xp: Any, updates: Array, key: Any, shape: Shape) -> Array:
    updates = xp.asarray(updates)
    spans = places.spans(key, shape)
    if spans is not None:
        made = spans.put(updates)
    else:
        key = _cleared("scatter", None, key, shape)
        made = _added(xp.zeros(shape, updates.dtype), key, updates)
    _note_put(xp, made, [updates], [key])
    return made


def _note_put(xp: Any, made: Array, updates: Sequence[Array], keys: Sequence[Any]) -> None:
    """Note the rows of zeros to which updates were added, and what was added to each."""

    def lifted(number: int, key: Any, shape: Shape) -> Array:
        given = updates[number]
        if given.size == math.prod(shape) and all(map(_is_all, parts_of(key)[1:])):
            return given.reshape(shape)
        return _scatter(xp, given, key, shape)

    note_put(made, keys, lifted)


def _is_all(part: Any) -> bool:
    """Tell whether a part of a key picks all there is along its axes."""
    return part is Ellipsis or (type(part) is slice and part == slice(None))


def _scatter_each(xp: Any, updates: Sequence[Array], keys: Sequence[Any], shape: Shape) -> Array:
    pieces, others = [], []
    updates = [xp.asarray(part) for part in updates]
    dtype = np.result_type(*(part.dtype for part in updates))
    for part, key in zip((cast(part, dtype) for part in updates), keys, strict=True):
        spans = places.spans(key, shape)
        if spans is None or part.dtype == bool:
            others.append(_scatter(xp, part, key, shape))
        else:
            pieces.append(spans.piece(part))
    whole = [*others, *places.joined(pieces, shape)]
    made = functools.reduce(operator.or_ if whole[0].dtype == bool else operator.add, whole)
    _note_put(xp, made, updates, keys)
    return made


def _index_add(xp: Any, x: Array, updates: Array, key: Any) -> Array:
    x = xp.asarray(x)
    updates, spans = in_dtype_of(xp, x, updates), places.spans(key, x.shape)
    if spans is not None:
        return spans.added(x, updates)
    return _added(x, _cleared("index_add", x, key, x.shape), updates)


def _index_update(xp: Any, x: Array, updates: Array, key: Any) -> Array:
    x = xp.asarray(x)
    updates, spans = in_dtype_of(xp, x, updates), places.spans(key, x.shape)
    if spans is not None:
        return spans.updated(x, updates)
    return x.at[_cleared("index_update", x, key, x.shape)].set(updates)


# -- along one axis --------------------------------------------------------------------------------


def _along(op: str, x: Array, indices: Array, axis: int, size: int) -> Array:
    what = f"{op} x: {describe(x)}; indices: {describe(indices)}; axis={axis}"
    return _looked_at(what, whole_numbers(indices), axis % x.ndim, size)


def _rows(op: str, xp: Any, x: Array, indices: Array, axis: int | None, missing: Any) -> Array:
    import jax

    axis = single_axis(x, axis)
    runs = places.runs(indices, axis, x.shape)
    if runs is not None:
        return runs.picked(x)
    indices = _along(op, x, indices, axis, x.shape[axis])
    if not x.shape[axis]:  # of nothing JAX takes nothing, whatever is asked for
        shape = (*x.shape[:axis], *np.shape(indices), *x.shape[axis + 1 :])
        if np.size(indices):
            raise IndexError("cannot do a non-empty take from an empty axes.")
        return xp.zeros(shape, x.dtype)
    return jax.numpy.take(x, indices, axis=axis, mode="fill", fill_value=missing)


def _take(xp: Any, x: Array, indices: Array, axis: int | None) -> Array:
    return _rows("take", xp, xp.asarray(x), indices, axis, None)


def _pick_rows(xp: Any, x: Array, indices: Array, axis: int | None) -> Array:
    return _rows("pick_rows", xp, xp.asarray(x), indices, axis, 0)


def _scatter_rows(xp: Any, updates: Array, indices: Array, axis: int | None, shape: Shape) -> Array:
    axis = 0 if axis is None else axis % len(shape)
    runs = places.runs(indices, axis, shape)
    if runs is not None:
        made = runs.put(updates, shape)
        if axis == 0:
            note(made, np.asarray(indices), updates)
        return made
    return _scatter(xp, updates, (*[slice(None)] * axis, whole_numbers(indices)), shape)


def _elements(op: str, x: Array, indices: Array, axis: int, missing: Any) -> Array:
    import jax

    indices = _along(op, x, indices, axis, x.shape[axis])
    return jax.numpy.take_along_axis(x, indices, axis=axis, mode="fill", fill_value=missing)


def _take_along_axis(xp: Any, x: Array, indices: Array, axis: int) -> Array:
    return _elements("take_along_axis", xp.asarray(x), indices, axis, None)


def _pick_along_axis(xp: Any, x: Array, indices: Array, axis: int) -> Array:
    return _elements("pick_along_axis", xp.asarray(x), indices, axis, 0)


def _permute_along_axis(xp: Any, x: Array, order: Array, back: Array, axis: int) -> Array:
    import jax

    return jax.numpy.take_along_axis(xp.asarray(x), order, axis=axis, mode="promise_in_bounds")


def _scatter_along_axis(xp: Any, updates: Array, indices: Array, axis: int, size: int) -> Array:
    axis %= updates.ndim
    shape = (*updates.shape[:axis], size, *updates.shape[axis + 1 :])
    key = counting(shape, updates.ndim)
    key[axis] = xp.broadcast_to(whole_numbers(indices), updates.shape)
    return _scatter(xp, updates, tuple(key), shape)


# -- classes ---------------------------------------------------------------------------------------


def _sparse_cross_entropy(xp: Any, logits: Array, labels: Array) -> Array:
    """Return NaN for a label that is no class; a negative one is none."""
    import jax

    logits, labels = xp.asarray(logits), class_numbers(xp, logits, labels).astype(np.int64)
    count = logits.shape[-1]
    outside = (labels < 0) | (labels >= count)
    if asked() is not None and is_traced(labels) and labels.size:

        def explain(least: Array, most: Array) -> Exception:
            text = out_of_classes(count, least, most)
            given = f"logits: {describe(logits)}; labels: {describe(labels)}"
            return ValueError(f"sparse_softmax_cross_entropy: {text}\n  given {given}")

        _report(outside.any(), explain, labels.min(), labels.max())
    shifted = shifted_logits(xp, logits, -1)
    classes = xp.where(outside, count, labels)[..., None]
    chosen = jax.numpy.take_along_axis(shifted, classes, axis=-1, mode="fill")[..., 0]
    return xp.log(xp.sum(xp.exp(shifted), axis=-1)) - chosen


OVERRIDES: dict[str, Callable[..., Any]] = {
    "index": _index,
    "index_add": _index_add,
    "index_update": _index_update,
    "permute_along_axis": _permute_along_axis,
    "pick": _pick,
    "pick_along_axis": _pick_along_axis,
    "pick_rows": _pick_rows,
    "scatter": _scatter,
    "scatter_along_axis": _scatter_along_axis,
    "scatter_each": _scatter_each,
    "scatter_rows": _scatter_rows,
    "sparse_softmax_cross_entropy": _sparse_cross_entropy,
    "take": _take,
    "take_along_axis": _take_along_axis,
}
