"""Cotangents: what the walk carries, and how several of them become one.

Most cotangents are plain arrays (tensors, if the walk is recorded). Three are not, because what
comes from several sides is better taken together than one by one: `Parts`, those of an op with
several outputs, `Product`, one not multiplied out yet, and `Pieces`, those of parts of an array,
not put in their places yet. `added` adds a cotangent to what a node has already, `fit` gives one
the shape and dtype of the argument that it is for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate.core import rows
from headgate.core.namespace import NUMPY, TENSORS, Array, owner
from headgate.core.tensor import Tensor


class Parts:
    """The cotangents of an op with several outputs, as far as they have arrived."""

    __slots__ = ("answer", "dtype", "parts", "shape")

    def __init__(self, parts: dict[int, Any]) -> None:
        self.parts = parts
        self.answer: Any = None  # what a custom rule gave for them (headgate.core.custom)
        self.shape = self.dtype = None

    def __add__(self, other: Parts) -> Parts:
        merged = dict(self.parts)
        for index, part in other.parts.items():
            merged[index] = merged[index] + part if index in merged else part
        return Parts(merged)

    def whole(self, xp: Any, like: Sequence[Array]) -> tuple[Any, ...]:
        """Return one cotangent per output, zeros where nothing arrived."""
        return tuple(
            self.parts[k] if k in self.parts else xp.zeros_like(output)
            for k, output in enumerate(like)
        )


class Product:
    """A cotangent `sum of x.T @ g` over pairs, on NumPy arrays, not multiplied out yet.

    A weight used at many steps gets one such product from each. Gathered, they are one long matrix
    product instead of many short ones, and there is nothing to add up.
    """

    __slots__ = ("dtype", "pairs", "shape", "total")

    most = 64  # pairs held at a time: what they refer to cannot be freed before

    def __init__(self, pairs: list[tuple[Array, Array]], total: Array | None = None) -> None:
        x, g = pairs[0]
        self.pairs = pairs
        self.total = total
        self.shape = (x.shape[1], g.shape[1])
        self.dtype = g.dtype

    def __add__(self, other: Any) -> Any:
        if type(other) is not Product:
            return self.value() + other
        pairs = self.pairs + other.pairs
        if len(pairs) < self.most and self.total is other.total is None:
            return Product(pairs)
        return self.value() + other.value()

    def __iadd__(self, other: Any) -> Any:
        if type(other) is not Product or other.total is not None:
            return self.value() + other
        if len(self.pairs) >= self.most:
            self.total, self.pairs = self.value(), []
        self.pairs += other.pairs
        return self

    def value(self) -> Array:
        """Return the sum of the products as an array."""
        if len(self.pairs) == 1:
            x, g = self.pairs[0]
        else:
            x, g = (np.concatenate(column) for column in zip(*self.pairs, strict=True))
        product = x.T @ g
        if self.total is not None:
            product += self.total
        return product


class Pieces:
    """The cotangents of parts of an array, each with the key of its part, not put in place yet.

    Each alone would be an array of zeros with little in it, and there are as many of them as a
    program takes parts: a loop over the steps of a sequence takes as many as it has steps. NumPy's
    are added where they belong in one array. Others are gathered, and put in place all at once.
    """

    __slots__ = ("dtype", "pieces", "shape", "xp")

    def __init__(self, xp: Any, pieces: list[tuple[Any, Any]], shape: tuple[int, ...]) -> None:
        self.xp = xp
        self.pieces = pieces
        self.shape = shape
        self.dtype = pieces[-1][0].dtype

    def onto(self, total: Any, own: bool) -> Any:
        """Return the sum of this and of what came before, which is ours to change or not."""
        if type(total) is Pieces:
            if self.xp is not NUMPY:
                pieces = total.pieces if own else list(total.pieces)
                pieces += self.pieces
                return Pieces(self.xp, pieces, self.shape)
            total, own = total.value(), True
        elif type(total) is Product:
            total, own = total.value(), True
        if self.xp is not NUMPY or type(total) is not np.ndarray or total.dtype != self.dtype:
            return rows.added(total, self.value(), own)
        if not own:
            total = rows.copied(total)
        for g, key in self.pieces:
            NUMPY.put_on(total, g, key)
        return total

    def value(self) -> Any:
        """Return the whole array."""
        if len(self.pieces) == 1:
            ((g, key),) = self.pieces
            return self.xp.scatter(g, key=key, shape=self.shape)
        parts, keys = zip(*self.pieces, strict=True)
        return self.xp.scatter_each(list(parts), keys=list(keys), shape=self.shape)


GATHERED = {Product, Pieces}
"""The types of cotangents that have a `value` yet to be computed."""


def turned(c: Any) -> Any:
    """Return a cotangent as the other side of the border has it: its conjugate, if complex.

    The border is that of the walk (`headgate.core.walk`).
    """
    if c.dtype.kind != "c":
        return c
    return (TENSORS if type(c) is Tensor else owner[type(c)]).conj(c)


def finished(g: Any) -> Any:
    """Return a cotangent as an array; those of several outputs as a tuple of what arrived."""
    if type(g) is Parts:
        return tuple(map(finished, g.parts.values()))
    if type(g) in GATHERED:
        g = g.value()
    return g.value if type(g) is Tensor else g


def pass_through(g: Any) -> Any:
    """Return the cotangent unchanged."""
    return g


Waiting = tuple[Any, Any, bool]
"""A node that waits for its turn, the cotangent that it has, and whether that is our own sum."""


def added(waiting: Waiting, c: Any) -> Waiting:
    """Return a waiting node with one more cotangent; a sum that nobody else holds grows in place.

    Products are gathered as long as nothing but products comes.
    """
    node, total, own = waiting
    kind = type(c)
    if kind in GATHERED:
        if kind is Pieces:
            return node, c.onto(total, own), True
        if type(total) is not Product:
            c = c.value()
    if type(total) is Pieces:
        total, own = total.value(), True
    if rows.notes:
        return node, rows.added(total, c, own), True
    if own:
        total += c
    else:
        total = total + c
    return node, total, True


_NARROW = 128
"""Sums over long columns of rows up to this wide are products with ones: NumPy's sum takes 15 times
as long when the rows are short."""


def fit(c: Any, shape: tuple[int, ...], dtype: Any, lifted: bool) -> Any:
    """Sum a cotangent over the axes that were broadcast, and cast it to the argument's dtype."""
    if type(c) in GATHERED:
        c = c.value()
    xp = TENSORS if lifted else owner[type(c)]
    if c.dtype != dtype:
        if c.dtype.kind == "c" and np.dtype(dtype).kind != "c":
            c = xp.real(c)
        if c.dtype != dtype:
            c = xp.astype(c, dtype)
    if c.shape != shape:
        extra = len(c.shape) - len(shape)
        axes = tuple(range(extra)) + tuple(
            axis + extra
            for axis, size in enumerate(shape)
            if size == 1 and c.shape[axis + extra] != 1
        )
        if len(axes) == extra and type(c) is np.ndarray and c.dtype.kind == "f":
            size = math.prod(shape)
            if 0 < size * size < c.size and size <= _NARROW:  # a bias behind a convolution, say
                rows = c.reshape(-1, size)
                return (np.ones(len(rows), c.dtype) @ rows).reshape(shape)
        if extra == 1 == len(axes):
            return xp.sum(c, axis=0)
        if axes:
            c = xp.sum(c, axis=axes, keepdims=True)
        if c.shape != shape:
            # Leading axes are summed to 1 by now; a scalar's cotangent may have to grow.
            c = xp.reshape(c, shape) if extra > 0 or not shape else xp.broadcast_to(c, shape)
    return c
