"""Random draws in JAX: what a NumPy generator is to `headgate.random`, under the same names.

A draw is a pure function of a generator's state, as on NumPy, but of another one: the words of the
state become a key of JAX's Threefry generator. So a compiled function draws other numbers than the
same function run as plain Python; both are repeated exactly from the same seed.
"""

from __future__ import annotations

from typing import Any

from headgate.core.namespace import Array


class Draws:
    """One draw: call one method, once."""

    __slots__ = ("_key", "_random")

    def __init__(self, words: Array) -> None:
        import jax

        self._random = jax.random
        key = jax.random.wrap_key_data(words[:2], impl="threefry2x32")
        for word in (words[2], words[3], words[5], words[4]):
            key = jax.random.fold_in(key, word)
        self._key = key

    def standard_normal(self, size: Any, dtype: Any) -> Array:
        return self._random.normal(self._key, size, dtype)

    def truncated_normal(self, size: Any, dtype: Any) -> Array:
        return self._random.truncated_normal(self._key, -2.0, 2.0, size, dtype)

    def random(self, size: Any, dtype: Any) -> Array:
        return self._random.uniform(self._key, size, dtype)

    def integers(self, low: Any, high: Any, size: Any, dtype: Any) -> Array:
        return self._random.randint(self._key, size, low, high, dtype)

    def permutation(self, count: int) -> Array:
        return self._random.permutation(self._key, count)

    def gumbel(self, size: Any) -> Array:
        return self._random.gumbel(self._key, size, "float64")

    def standard_gamma(self, shape: Array, size: Any) -> Array:
        return self._random.gamma(self._key, shape, size, shape.dtype)

    def poisson(self, rate: Array, size: Any) -> Array:
        return self._random.poisson(self._key, rate, size, "int64")


def draws(xp: Any, words: Array) -> tuple[Draws, Array]:
    """Return what draws once, and the state after it: its number, two words, is one higher."""
    low = words[4] + xp.uint32(1)
    high = words[5] + (low == 0).astype("uint32")
    after = xp.array_module.concatenate([words[:4], low[None], high[None]])
    return Draws(words), after
