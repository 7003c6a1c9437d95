"""Equal values: what to divide by where eigenvalues or singular values meet, or are zero.

Where two eigenvalues or singular values are **equal**, their vectors have no derivative. Functions
of the values alone have one all the same, as long as they treat equal values alike; it is the first
one that is right then. A function that uses the vectors too may be smooth there (the exponential of
a matrix, the matrix put together again), but its derivative is a limit 0/0 that the cotangents of
values and vectors at this one matrix do not tell: it takes the function's next derivative. So the
gradient is NaN, with an `UndefinedGradientWarning`, and never a number without those terms. It
stays a number if nothing uses the vectors in question, which is to say if their cotangents and
those of their values are zero. Equal means equal up to rounding, where the difference of what is
to be divided is lost in rounding as well (`quotient`). The cure is a function of the matrix that
knows its derivative: `headgate.linalg.funm` for any function of the values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headgate.core.namespace import owner
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.ops.linalg.matrices import by_column, raw_of, reciprocal
from headgate.record.errors import warn_undefined


def differences(xp: Any, x: Any) -> Any:
    """Return the matrix of x[j] - x[i]."""
    return xp.expand_dims(x, axis=-2) - xp.expand_dims(x, axis=-1)


def lengths_of(x: Any) -> Any:
    """Return the Euclidean lengths of the columns of a raw matrix."""
    ns = owner[type(x)].array_module
    return ns.sqrt(ns.sum(ns.abs(x) ** 2, axis=-2))


def rounding(values: Any, size: int) -> Any:
    """Return how far rounding moves the computed values of each matrix, as a column."""
    ns = owner[type(values)].array_module
    return size * ns.finfo(values.dtype).eps * ns.max(abs(values), axis=-1, initial=0)[..., None]


def quotient(
    xp: Any,
    name: str,
    values: Any,
    numerator: Any,
    gap: Any,
    near: Any,
    noise: Any,
    used: Any,
    size: Any = None,
) -> Any:
    """Divide by gaps between values, or by values; NaN where a quotient 0/0 is asked for.

    A gap up to `near` may be rounding, and so may a numerator up to `noise`; `size` is how large
    the numerator is, if not by elements. Where both are, or where the gap is zero, the quotient is
    NaN if it is `used`, and 0 / 0 is 0 if not.
    """
    raw = raw_of(gap)
    size = abs(raw_of(numerator)) if size is None else size
    undefined = ((raw == 0) | ((abs(raw) <= near) & (size <= noise))) & used
    if not is_traced(undefined) and undefined.any():
        warn_undefined(name, _met(name, np.asarray(raw_of(values)), np.asarray(undefined)))
    return xp.where(undefined, math.nan, numerator * reciprocal(xp, gap))


def _met(name: str, values: Any, undefined: Any) -> str:
    """Say which values are in the way, those of the first matrix that has some, and what to do."""
    columns = undefined.any(axis=-2)
    first = tuple(np.argwhere(columns.any(axis=-1))[0].tolist())
    met = values[first][columns[first]]
    shown = ", ".join(f"{value:.6g}" for value in met[:4]) + (", ..." if len(met) > 4 else "")
    where = f" of matrix {first}" if first else ""
    what = "eigenvalues" if name.startswith("eig") else "singular values"
    how = "equal" if len(met) > 1 else "zero"
    order = "second derivative by" if name.endswith("vals") or name == "eigvalsh" else "gradient by"
    of, f_of = "x", "any f"
    if what != "eigenvalues":  # of any matrix, which funm does not take
        of, f_of = "conj(x.mT) @ x", "any f of w, the squares of singular values"
    return (
        f"{what}{where} are {how} ({shown}), and what is computed from their vectors has no "
        f"{order} the matrix that could be told there. Compute a function of the matrix itself: "
        f"headgate.linalg.funm({of}, f) has the gradient of v @ diag(f(w)) @ v* for {f_of}, and so "
        "have expm, sqrtm, logm, solve, inv, det, cholesky and matrix_power for theirs. Or set the "
        "values apart: add small numbers, all different, to the diagonal"
    )


def touched(values: Any, used: Any) -> Any:
    """Tell which pairs of values ask for a quotient: those of equal values of which any is used.

    `used` are two masks: whether a vector is used, and whether its value is.
    """
    ns = owner[type(values)].array_module
    vectors, valued = used
    rows, columns = vectors[..., :, None], vectors[..., None, :]
    equal = values[..., :, None] == values[..., None, :]
    group = ns.any(equal & (vectors | valued)[..., None, :], axis=-1)
    apart = ~ns.eye(values.shape[-1], dtype=bool)
    return ns.where(equal, group[..., :, None], rows | columns) & apart


def is_fixed(g: Any) -> bool:
    """Tell whether a cotangent depends on nothing that is differentiated by."""
    return type(g) is not Tensor or g.node is None or not g.node.live


def weighed(xp: Any, k: Any, weights: Any, sign: int, fixed: bool) -> tuple[Any, Any, Any]:
    """Return k times sums or differences of weights, what of them is noise, and what is used.

    Weights that are fixed stay equal where they are: then the quotient is 0 and not 0/0.
    """
    rows, columns = xp.expand_dims(weights, axis=-1), xp.expand_dims(weights, axis=-2)
    combined = columns + sign * rows
    raw, size = raw_of(weights), abs(raw_of(k))
    noise = 8 * np.finfo(raw.dtype).eps * (abs(raw)[..., :, None] + abs(raw)[..., None, :])
    used = size != 0
    if fixed:
        equal = abs(raw_of(combined)) <= noise
        combined = xp.where(equal, 0, combined)
        used = used & ~equal
    return k * combined, noise * size, used


class Singular:
    """Singular values to divide by, and what is used of their vectors: columns of some lengths."""

    def __init__(self, xp: Any, name: str, s: Any, size: int, lengths: Any, valued: Any) -> None:
        self.xp, self.name, self.s = xp, name, s
        self.values = raw_of(s)
        self.near = rounding(self.values, size)
        self.precision = size * owner[type(self.values)].array_module.finfo(self.values.dtype).eps
        self.noise = self.precision * (lengths[..., :, None] + lengths[..., None, :])
        self.used = lengths != 0, valued
        self.pairs = touched(self.values, self.used)

    def _quotient(self, *args: Any) -> Any:
        return quotient(self.xp, self.name, self.s, *args)

    def by_differences(self, numerator: Any) -> Any:
        gaps = differences(self.xp, self.s)
        return self._quotient(numerator, gaps, self.near[..., None], self.noise, self.pairs)

    def by_sums(self, numerator: Any) -> Any:
        sums = self.xp.expand_dims(self.s, axis=-2) + self.xp.expand_dims(self.s, axis=-1)
        used = self.pairs
        if numerator.dtype.kind == "c":  # if real, the diagonal is zero
            own = (self.used[0] | self.used[1])[..., None, :]
            used = used | own & (raw_of(sums) == 2 * self.values[..., None, :])
        return self._quotient(numerator, sums, self.near[..., None], self.noise, used)

    def by_values(self, numerator: Any, lengths: Any) -> Any:
        """Divide columns by their singular values."""
        noise = (self.precision * lengths)[..., None, :]
        used = (self.used[0] | self.used[1])[..., None, :]
        size = lengths_of(raw_of(numerator))[..., None, :]
        return self._quotient(
            numerator, by_column(self.xp, self.s), self.near[..., None], noise, used, size
        )
