"""Sums of products over several axes at once: `tensordot` and `einsum`.

NumPy contracts two operands by one product of matrices. The rule of `einsum` is an `einsum` of the
cotangent with the other operands.
"""

from __future__ import annotations

import math
import string
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from headgate.core.namespace import Array
from headgate.core.op import op
from headgate.core.tensor import Tensor
from headgate.ops.rules import normal_axes

# -- tensordot ------------------------------------------------------------------------------------


class _Contraction(NamedTuple):
    """Which axes of both arrays a tensordot sums over, numbered from 0, and which it keeps."""

    x_axes: tuple[int, ...]
    y_axes: tuple[int, ...]
    x_kept: tuple[int, ...]
    y_kept: tuple[int, ...]


def _contraction(axes: Any, x_ndim: int, y_ndim: int) -> _Contraction:
    if isinstance(axes, int):
        x_given: Any = tuple(range(x_ndim - axes, x_ndim))
        y_given: Any = tuple(range(axes))
    else:
        x_given, y_given = axes
    x_axes, y_axes = normal_axes(x_given, x_ndim), normal_axes(y_given, y_ndim)
    return _Contraction(
        x_axes,
        y_axes,
        tuple(axis for axis in range(x_ndim) if axis not in x_axes),
        tuple(axis for axis in range(y_ndim) if axis not in y_axes),
    )


def _tensordot_x(g: Any, xp: Any, y: Any, x_shape: Any, axes: Any) -> Any:
    plan = _contraction(axes, len(x_shape), y.ndim)
    kept = len(plan.x_kept)
    c = xp.tensordot(g, y, axes=(tuple(range(kept, g.ndim)), plan.y_kept))
    # Its axes are those kept of x, then those summed, in y's order: put each in its place.
    summed = sorted(range(len(plan.y_axes)), key=lambda k: plan.y_axes[k])
    order = (*plan.x_kept, *(plan.x_axes[k] for k in summed))
    return xp.permute_dims(c, tuple(np.argsort(order).tolist()))


def _tensordot_y(g: Any, xp: Any, x: Any, y_shape: Any, axes: Any) -> Any:
    plan = _contraction(axes, x.ndim, len(y_shape))
    kept = len(plan.x_kept)
    c = xp.tensordot(x, g, axes=(plan.x_kept, tuple(range(kept))))
    summed = sorted(range(len(plan.x_axes)), key=lambda k: plan.x_axes[k])
    order = (*(plan.y_axes[k] for k in summed), *plan.y_kept)
    return xp.permute_dims(c, tuple(np.argsort(order).tolist()))


def _tensordot_numpy(xp: Any, x: Array, y: Array, axes: Any) -> Array:
    ans = np.tensordot(x, y, axes)
    if ans.dtype.char == "O":  # bfloat16 beside a dtype that it has none in common with
        np.result_type(x, y)
    return ans


tensordot = op(
    "tensordot(x, y, *, axes=2)",
    """Sum products over several axes at once.

    `axes` is how many: the last ones of `x` meet the first ones of `y`; or a pair of tuples, the
    axes of `x` and those of `y` that they meet.

    >>> hg.tensordot([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 10.0]])
    Tensor(41., shape=(), dtype=float64)
    """,
    _tensordot_x,
    _tensordot_y,
    impl_numpy=_tensordot_numpy,
    lists=("axes",),
)


# -- einsum ---------------------------------------------------------------------------------------


class _Subscripts(NamedTuple):
    """Subscripts in full: a letter for every axis of every operand, and those of the result."""

    inputs: tuple[str, ...]
    output: str

    def __str__(self) -> str:
        return f"{','.join(self.inputs)}->{self.output}"


def _fresh(used: str, count: int) -> str:
    """Return letters that are not in use yet."""
    free = [letter for letter in string.ascii_letters if letter not in used]
    if count > len(free):
        raise ValueError("more axes than there are letters to name them")
    return "".join(free[:count])


@lru_cache(maxsize=1024)
def parsed_subscripts(subscripts: str, ndims: tuple[int, ...]) -> _Subscripts:
    """Spell out ellipses and an output that is left out."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"{subscripts!r} is for {len(terms)} operand(s), given {len(ndims)}")
    named = text.replace("...", "").replace(",", "").replace("->", "")
    if named and not (named.isascii() and named.isalpha()):
        raise ValueError(f"{subscripts!r} has something else than letters, ',', '...' and '->'")
    widths = []
    for term, ndim in zip(terms, ndims, strict=True):
        width = ndim - len(term.replace("...", ""))
        if width < 0 or (width and "..." not in term):
            raise ValueError(f"{term!r} in {subscripts!r} does not fit an operand of {ndim} axes")
        widths.append(width)
    shared = _fresh(named, max(widths))
    inputs = tuple(
        term.replace("...", shared[len(shared) - width :])
        for term, width in zip(terms, widths, strict=True)
    )
    if arrow:
        if shared and "..." not in right:
            raise ValueError(f"the result in {subscripts!r} must keep the axes of '...'")
        output = right.replace("...", shared)
    else:
        once = (letter for letter in sorted(set(named)) if named.count(letter) == 1)
        output = shared + "".join(once)
    for letter in output:
        if output.count(letter) > 1 or not any(letter in term for term in inputs):
            raise ValueError(
                f"{letter!r} in the result of {subscripts!r} must be there once, and in an operand"
            )
    return _Subscripts(inputs, output)


class _Product(NamedTuple):
    """How a contraction of two operands is one matrix product: permutations and counts of axes."""

    x_order: tuple[int, ...]
    y_order: tuple[int, ...]
    order: tuple[int, ...]
    batch: int
    left: int
    right: int


@lru_cache(maxsize=1024)
def _as_product(x: str, y: str, output: str) -> _Product | None:
    """Return how a matrix product contracts two operands, if it can and if that is worth it."""
    batch = [k for k in x if k in y and k in output]
    summed = [k for k in x if k in y and k not in output]
    left = [k for k in x if k not in y]
    right = [k for k in y if k not in x]
    kept = all(k in output for k in left + right)
    unique = len(set(x)) == len(x) and len(set(y)) == len(y)
    if not (kept and unique and summed and left and right):
        return None
    return _Product(
        tuple(map(x.index, batch + left + summed)),
        tuple(map(y.index, batch + summed + right)),
        tuple(map((batch + left + right).index, output)),
        len(batch),
        len(left),
        len(right),
    )


def _einsum_numpy(xp: Any, operands: list[Array], *, subscripts: str) -> Array:
    """Contract; two operands by a matrix product, which NumPy's einsum does only for a price."""
    arrays = [np.asarray(operand) for operand in operands]
    if any(array.dtype.kind == "V" for array in arrays):  # bfloat16, which NumPy's does not know
        wide = [array.astype(np.float32) if array.dtype.kind == "V" else array for array in arrays]
        found = _einsum_numpy(xp, wide, subscripts=subscripts)
        return found.astype(np.result_type(*arrays))
    parsed = parsed_subscripts(subscripts, tuple(array.ndim for array in arrays))
    if len(arrays) == 2:
        x, y = arrays
        plan = _as_product(*parsed.inputs, parsed.output)
        if plan is not None:
            x, y = x.transpose(plan.x_order), y.transpose(plan.y_order)
            batch, rows = plan.batch, plan.batch + plan.left
            columns = y.ndim - plan.right
            if x.shape[:batch] + x.shape[rows:] == y.shape[:columns]:
                outside = x.shape[:rows] + y.shape[columns:]
                inner = math.prod(x.shape[rows:])
                x = x.reshape(*x.shape[:batch], math.prod(x.shape[batch:rows]), inner)
                y = y.reshape(*y.shape[:batch], inner, math.prod(y.shape[columns:]))
                return (x @ y).reshape(outside).transpose(plan.order)
    return np.einsum(str(parsed), *arrays, optimize=len(arrays) > 2)


def _einsum_rule(g: Any, xp: Any, operands: Any, index: int, subscripts: str) -> Any:
    """Contract the cotangent with all other operands.

    A letter that is twice in the operand selected a diagonal, and its gradient is put there: a
    product with the identity. A letter that is nowhere else was summed: a product with ones.
    """
    parsed = parsed_subscripts(
        subscripts, tuple(getattr(operand, "ndim", 0) for operand in operands)
    )
    own = parsed.inputs[index]
    shape = operands[index].shape
    arrays = [g]
    terms = [parsed.output]
    for k, (operand, term) in enumerate(zip(operands, parsed.inputs, strict=True)):
        if k != index:
            arrays.append(operand)
            terms.append(term)
    wanted = ""
    fresh = iter(_fresh("".join(parsed.inputs), len(own) - len(set(own))))
    for letter, size in zip(own, shape, strict=True):
        if letter in wanted:
            repeated = next(fresh)
            arrays.append(xp.eye(size, dtype=g.dtype))
            terms.append(letter + repeated)
            letter = repeated
        wanted += letter
    for letter, size in zip(wanted, shape, strict=True):
        if not any(letter in term for term in terms):
            arrays.append(xp.ones((size,), dtype=g.dtype))
            terms.append(letter)
    return xp.einsum(arrays, subscripts=f"{','.join(terms)}->{wanted}")


_einsum = op(
    "einsum([operands], *, subscripts)",
    "Sum products of a list of operands over the subscripts that the result lacks.",
    _einsum_rule,
    impl_numpy=_einsum_numpy,
)


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Sum products over the subscripts that the result lacks (Einstein's convention).

    Letters name axes; `...` stands for any number of axes, which broadcast. Without `->`, the
    result has the letters that occur once, in alphabetical order.

    >>> import headgate as hg
    >>> hg.einsum("ij,kj->ik", [[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]])
    Tensor([[11., 17.]], shape=(1, 2), dtype=float64)
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            f"einsum takes its subscripts first, as in einsum('ij,jk->ik', x, y); "
            f"got {type(subscripts).__name__}"
        )
    return _einsum(list(operands), subscripts)
