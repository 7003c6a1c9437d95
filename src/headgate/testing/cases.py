"""Describe ops, so that one table of cases tests them all.

`OpCase` is one row in the tables of Headgate's own tests; the functions after it say what the
arguments of an op are like (`real`, `positive`, ...) without saying which numbers they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Maker = Callable[[np.random.Generator, str], Any]
"""Makes an argument from a generator of random numbers and a letter of `OpCase.dtypes`."""

DTYPES = {"f": np.float64, "F": np.float32, "c": np.complex128}


@dataclass(frozen=True, slots=True)
class OpCase:
    """One call of an op, from which all its tests follow.

    * `op`: the row's name.
    * `arrays`: one entry per array argument: a maker (below), an array, a number, `None`, or, for
      an op that takes a list of arrays, a list of these.
    * `statics`: the static arguments.
    * `reference`: a function of NumPy arrays (and the statics) with the right result, of the right
      dtype; NumPy's own of the op's name if left out.
    * `dtypes`: "f" float64, "F" float32, "c" complex128.
    * `order`: the highest order of derivative to check; 0 means that the result is a constant.
    * `bad`: calls that must raise: (arrays, statics, error, pattern in its message).
    * `wrt`: positions of the arrays to differentiate by, lists counted flat; every floating one if
      left out.
    """

    op: str
    arrays: Sequence[Any]
    statics: Mapping[str, Any] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None
    dtypes: str = "f"
    order: int = 2
    bad: Sequence[tuple[Sequence[Any], Mapping[str, Any], type[Exception], str]] = ()
    wrt: Sequence[int] | None = None

    def make(self, letter: str = "f", arrays: Sequence[Any] | None = None) -> list[Any]:
        """Return the arguments in a dtype, the same numbers each time."""
        rng = np.random.default_rng(2)
        return [_made(entry, rng, letter) for entry in (self.arrays if arrays is None else arrays)]


def _made(entry: Any, rng: np.random.Generator, letter: str) -> Any:
    if isinstance(entry, list):
        return [_made(item, rng, letter) for item in entry]
    return entry(rng, letter) if callable(entry) else entry


def real(*shape: int, low: float = -2.0, high: float = 2.0) -> Maker:
    """Make floating numbers between two bounds; in a complex case both parts are.

    >>> import numpy as np
    >>> real(2, 3)(np.random.default_rng(0), "F").shape
    (2, 3)
    """

    def make(rng: np.random.Generator, letter: str) -> Any:
        made = rng.uniform(low, high, shape)
        if letter == "c":
            made = made + 1j * rng.uniform(low, high, shape)
        return np.asarray(made, dtype=DTYPES[letter])

    return make


def positive(*shape: int) -> Maker:
    """Make numbers from 0.5 to 2: safe for logarithms, roots and as divisors."""
    return real(*shape, low=0.5, high=2.0)


def unit(*shape: int) -> Maker:
    """Make numbers from -0.6 to 0.6: inside the unit circle also when complex."""
    return real(*shape, low=-0.6, high=0.6)


def distinct(*shape: int) -> Maker:
    """Make numbers of which no two are near each other, nor near zero: safe for max and sort."""

    def make(rng: np.random.Generator, letter: str) -> Any:
        size = int(np.prod(shape))
        made = (rng.permutation(size) - size // 2 + 0.5 + rng.uniform(-0.2, 0.2, size)) / 2
        return np.asarray(made.reshape(shape), dtype=DTYPES[letter])

    return make


def complexes(*shape: int, low: float = -2.0, high: float = 2.0) -> Maker:
    """Make complex numbers whatever the letter (complex64 for "F")."""

    def make(rng: np.random.Generator, letter: str) -> Any:
        made = real(*shape, low=low, high=high)(rng, "c")
        return np.asarray(made, dtype=np.complex64 if letter == "F" else np.complex128)

    return make


def integers(*shape: int, low: int = 0, high: int = 10) -> Maker:
    """Make int64 numbers from `low` up to, not including, `high`."""
    return lambda rng, letter: np.asarray(rng.integers(low, high, shape))


def booleans(*shape: int) -> Maker:
    """Make both True and False, if there are two elements or more."""

    def make(rng: np.random.Generator, letter: str) -> Any:
        made = np.asarray(rng.uniform(size=shape) < 0.5)
        if made.size > 1:
            made.flat[0], made.flat[-1] = True, False
        return made

    return make


def spd(*shape: int) -> Maker:
    """Make positive definite matrices (Hermitian if complex), far from singular, eigenvalues apart.

    `spd(3)` is one 3 by 3 matrix, `spd(5, 3)` five of them.
    """

    def make(rng: np.random.Generator, letter: str) -> Any:
        *batch, size = shape
        matrix = real(*batch, size, size, low=-1.0, high=1.0)(rng, letter)
        product = matrix @ np.conj(np.swapaxes(matrix, -1, -2))
        return np.asarray(product + np.diag(1.0 + np.arange(size)), dtype=DTYPES[letter])

    return make
