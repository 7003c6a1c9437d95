"""Random tensors from generators whose whole state is one small array of whole numbers.

A generator's state is six uint32 words: a key of four, and the number of the next draw as two, the
low word first. A draw is a pure function of key, number and shape: it runs Philox, a cipher of
counters, which NumPy has, under the key and from the counter `number * 2**64` on. Then the number
goes up by one. So nothing has to be advanced through: any draw can be repeated alone, two draws
have nothing in common however large they are, and `split` makes new generators by drawing keys.

The state lives in a variable, which makes it one more array to save, and one more for an executor
to pass through a compiled step: all that happens to it is that 1 is added. It is written past
`assign`, for no tape and no report has anything to say about it. The namespace that owns the state
draws: for each, `draws` takes the words and returns what draws, and the words after it. Here is
NumPy's; where the state is a stand-in, as in a compiled function, the executor's draws otherwise.

The functions of this module use the default generator, which `set_seed` starts anew; without that
it starts from the system's entropy. Threads may share a generator: each draw gets its own number.

Draws are constants: no gradient flows into them. A parameter of a distribution gets gradient by
reparameterisation, which `normal` and `uniform` do when their parameters are tensors:
`mean + stddev * draw`.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

from headgate.core.checks import WrongType, extents, refused, whole, wholes
from headgate.core.lift import as_tensor
from headgate.core.namespace import common, implementations, owner
from headgate.core.op import op
from headgate.core.tensor import Tensor, constant
from headgate.core.traced import is_traced, refused_trace
from headgate.core.variable import Variable

_WORDS = 6
_lock = threading.RLock()  # held while a state is read and written, never during a draw


class _Draws(np.random.Generator):
    """NumPy's generator, with all that a namespace's `draws` has; one method is called, once."""

    def truncated_normal(self, size: Any, dtype: Any) -> Any:
        return standard_truncated_normal(self, size, dtype)

    def standard_gamma(self, shape: Any, size: Any) -> Any:  # type: ignore[override]
        return super().standard_gamma(np.asarray(shape), size)

    def poisson(self, rate: Any, size: Any) -> Any:  # type: ignore[override]
        return super().poisson(np.asarray(rate), size)


class _Engine(threading.local):
    """A NumPy generator for each thread, put in place before each draw: making one is slow."""

    def __init__(self) -> None:
        self.bits = np.random.Philox(0)
        self.source = _Draws(self.bits)

    def placed(self, key: tuple[int, int], number: int) -> _Draws:
        state: Any = {
            "bit_generator": "Philox",
            "state": {"counter": (0, number, 0, 0), "key": key},
            "buffer": (0, 0, 0, 0),
            "buffer_pos": 4,  # nothing is left over from an earlier draw
            "has_uint32": 0,
            "uinteger": 0,
        }
        self.bits.state = state
        return self.source


_engine = _Engine()


def _counted(words: Any) -> tuple[tuple[int, int], int, Any]:
    """Return the key and the number of a draw, and the state after it."""
    if is_traced(words):
        raise refused_trace("the key of a NumPy generator: conversion", words)
    words = np.array(words)
    wide = words.view(np.uint64)
    first, second, number = wide.tolist()
    wide[2] += np.uint64(1)
    return (first, second), number, words


def _draws(xp: Any, words: Any) -> tuple[_Draws, Any]:
    """Return what draws once, the same for all draws of a thread; and the state after it."""
    key, number, after = _counted(words)
    return _engine.placed(key, number), after


implementations["draws"] = {"numpy": _draws}


class _Key(ISeedSequence):
    """Gives a bit generator its key; one that is given as `key` asks the system for entropy too."""

    def __init__(self, key: tuple[int, int]) -> None:
        self.key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return np.array(self.key, np.uint64)


def _first_state(seed: int | Sequence[int] | None) -> Any:
    """Return the state that a seed stands for, or one from the system's entropy."""
    if seed is not None:
        seeds = wholes("Generator", "seed", seed)
        # Their number first, for (1, 0) is not 1; and no sign, for that is all that NumPy takes.
        seed = [len(seeds), *(2 * abs(one) + (one < 0) for one in seeds)]
    key = np.random.SeedSequence(seed).generate_state(4)
    return np.concatenate([key, np.zeros(2, np.uint32)])


class Generator:
    """A source of random tensors; equal seeds give equal draws.

    Args:
        seed: a whole number or several; the system's entropy if left out.
        name: of the variable that holds the state.

    >>> import headgate as hg
    >>> a, b = hg.random.Generator(7), hg.random.Generator(7)
    >>> bool(hg.all(a.normal((3,)) == b.normal((3,))))
    True
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int | Sequence[int] | None = None, name: str = "random_state") -> None:
        self._state = Variable(_first_state(seed), trainable=False, name=name)

    # -- state ------------------------------------------------------------------------------------

    @property
    def state(self) -> Variable:
        """The variable with the state: uint32 words, four of the key and two of the number."""
        return self._state

    def set_seed(self, seed: int | Sequence[int]) -> None:
        """Start anew from a seed."""
        self._state._value = _first_state(seed)

    def get_state(self) -> dict[str, Any]:
        """Return the state, as an array by name.

        >>> import headgate as hg
        >>> source = hg.random.Generator(0)
        >>> state, draw = source.get_state(), source.uniform()
        >>> source.set_state(state)
        >>> bool(draw == source.uniform())
        True
        """
        return {"state": np.array(self._state._value)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from where a generator was that a state is from.

        Raises:
            ValueError: not such a state. Nothing is changed then.
        """
        _check_keys(state, ["state"])
        self._state._value = _checked("state", state["state"])

    def _take(self) -> tuple[tuple[int, int], int]:
        """Return the key and the number of a draw, and count it."""
        with _lock:
            key, number, self._state._value = _counted(self._state._value)
        return key, number

    def _source(self) -> Any:
        """Return something with the methods of a NumPy generator, for one draw, and count it."""
        with _lock:
            words = self._state._value
            source, self._state._value = owner[type(words)].draws(words)
        return source

    def stream(self) -> np.random.Generator:
        """Return a new NumPy generator, on a stream of its own.

        >>> import headgate as hg
        >>> hg.random.Generator(0).stream().random(3).shape
        (3,)
        """
        key, number = self._take()
        seed: Any = _Key(key)
        bits = np.random.Philox(seed, counter=np.array([0, number, 0, 0], np.uint64))
        return np.random.Generator(bits)

    def split(self, count: int = 2) -> list[Generator]:
        """Return new generators, whose draws have nothing to do with this one's and each other's.

        >>> import headgate as hg
        >>> a, b = hg.random.Generator(0).split()
        >>> bool(a.normal() == b.normal())
        False
        """
        count = whole("split", "count", count, 0)
        keys = self._source().integers(0, 1 << 32, (count, 4), dtype=np.uint32)
        made = [type(self)(0, self._state.name) for _ in keys]
        for generator, key in zip(made, keys):
            generator._state._value = np.concatenate([key, np.zeros(2, np.uint32)])
        return made

    # -- draws ------------------------------------------------------------------------------------

    def normal(
        self, shape: Any = (), mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = np.float64
    ) -> Tensor:
        """Draw from a normal distribution; see `headgate.random.normal`."""
        drawn = self._source().standard_normal(_shape(shape), dtype=_drawn_dtype("normal", dtype))
        return _scaled(drawn, stddev, mean, dtype)

    def truncated_normal(
        self, shape: Any = (), mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = np.float64
    ) -> Tensor:
        """Draw from a cut-off normal distribution; see `headgate.random.truncated_normal`."""
        source, drawn_dtype = self._source(), _drawn_dtype("truncated_normal", dtype)
        drawn = source.truncated_normal(_shape(shape), drawn_dtype)
        return _scaled(drawn, stddev, mean, dtype)

    def uniform(
        self, shape: Any = (), low: Any = 0.0, high: Any = 1.0, dtype: Any = np.float64
    ) -> Tensor:
        """Draw from a uniform distribution; see `headgate.random.uniform`."""
        kind = np.dtype(dtype)
        if kind.kind in "iu":
            return self.integers(shape, low, high, dtype)
        drawn = self._source().random(_shape(shape), dtype=_drawn_dtype("uniform", kind))
        if not (isinstance(low, _PLAIN) and isinstance(high, _PLAIN)):
            return _scaled(drawn, high - low, low, kind)
        _check_range("uniform", low, high, np.logical_not(high >= low))
        if drawn.dtype == kind and _is_number(low, 0) and _is_number(high, 1):
            return constant(drawn)
        found = _cast(drawn * (high - low) + low, kind)
        below = np.nextafter(np.asarray(high, kind), np.asarray(low, kind))
        # The sum may have been rounded up to `high`.
        return constant(owner[type(found)].minimum(found, below))

    def integers(
        self, shape: Any = (), low: Any = 0, high: Any = 2, dtype: Any = np.int64
    ) -> Tensor:
        """Draw whole numbers; see `headgate.random.integers`."""
        if not (isinstance(low, int) and isinstance(high, int)):
            low, high = as_tensor(low).value, as_tensor(high).value
            for name, end in (("low", low), ("high", high)):
                if end.dtype.kind not in "iu":
                    raise refused("integers", name, "whole numbers", end, WrongType)
        if not (is_traced(low) or is_traced(high)):
            _check_range("integers", low, high, high <= low)
        drawn = self._source().integers(low, high, _shape(shape), dtype=np.dtype(dtype))
        return constant(_as_array(drawn))

    def permutation(self, count: int) -> Tensor:
        """Return the numbers from 0 to count - 1 in random order."""
        return constant(self._source().permutation(whole("permutation", "count", count, 0)))

    def categorical(self, logits: Any, num_samples: int = 1) -> Tensor:
        """Draw class numbers; see `headgate.random.categorical`."""
        return categorical(logits, num_samples=num_samples, generator=self)

    def bernoulli(self, p: Any, shape: Any = ()) -> Tensor:
        """Draw ones and zeros; see `headgate.random.bernoulli`."""
        return bernoulli(p, shape=shape, generator=self)

    def shuffle(self, x: Any) -> Tensor:
        """Return x with the entries of its first axis in random order."""
        return shuffle(x, generator=self)

    def gamma(self, alpha: Any, shape: Any = ()) -> Tensor:
        """Draw from gamma distributions; see `headgate.random.gamma`."""
        return gamma(alpha, shape=shape, generator=self)

    def poisson(self, rate: Any, shape: Any = ()) -> Tensor:
        """Draw counts; see `headgate.random.poisson`."""
        return poisson(rate, shape=shape, generator=self)

    def __repr__(self) -> str:
        *_, number = np.array(self._state._value).view(np.uint64).tolist()
        return f"<Generator {self._state.name!r}, {number} draws done>"


def _shape(shape: Any) -> tuple[int, ...]:
    return extents("random", "shape", shape)


_PLAIN: Any = (int, float, np.ndarray, np.generic)


def _scaled(drawn: Any, scale: Any, shift: Any, dtype: Any) -> Tensor:
    """Return `drawn * scale + shift`; gradient flows to those of the two that are tensors."""
    if not (isinstance(scale, _PLAIN) and isinstance(shift, _PLAIN)):
        return constant(_cast(drawn, dtype)) * scale + shift  # type: ignore[no-any-return]
    if not (_is_number(scale, 1) and _is_number(shift, 0)):
        drawn = drawn * scale + shift
    return constant(_cast(drawn, dtype))


def _as_array(drawn: Any) -> Any:
    """Return a draw as an array: a single one is a NumPy scalar, or Python's number."""
    return drawn if hasattr(drawn, "ndim") and drawn.ndim else owner[type(drawn)].asarray(drawn)


def _cast(drawn: Any, dtype: Any) -> Any:
    array = _as_array(drawn)
    if array.dtype.kind == "c":
        raise TypeError(
            "random: the parameters of a distribution are real numbers, got complex ones"
        )
    return array if array.dtype == dtype else array.astype(dtype)


def _is_number(value: Any, number: int) -> bool:
    return isinstance(value, int | float) and value == number


def _drawn_dtype(name: str, dtype: Any) -> Any:
    """Return what NumPy can draw: float32, or float64 for all else."""
    found = np.dtype(dtype)
    if found.kind not in "fV":
        raise ValueError(
            f"{name} draws floats, not {found}; use headgate.random.integers for those"
        )
    return np.float32 if found == np.float32 else np.float64


def _check_range(name: str, low: Any, high: Any, is_empty: Any) -> None:
    if is_empty if isinstance(is_empty, bool) else np.any(is_empty):
        raise ValueError(f"{name}: there is nothing to draw from low={low} up to high={high}")


def standard_truncated_normal(
    source: np.random.Generator, shape: Any, dtype: Any = np.float64
) -> Any:
    """Draw with a NumPy generator from the standard normal distribution cut off at two."""
    drawn = source.standard_normal(shape, dtype=dtype)
    while count := np.count_nonzero(beyond := np.abs(drawn) > 2.0):
        drawn[beyond] = source.standard_normal(count, dtype=dtype)
    return drawn


# -- the default generator -------------------------------------------------------------------------

_default = Generator()
_seed = 0
_operations: dict[int, Generator] = {}
"""Generators of single operations by their seed: they follow from it and from `set_seed` alone."""


def get_generator(seed: int | None = None) -> Generator:
    """Return the default generator; or the one that all operations with a certain seed use.

    What an operation with its own seed draws does not depend on the others in the program. Its
    generator starts from that seed and from the one of `set_seed`, and is part of `get_state`.

    >>> import headgate as hg
    >>> hg.random.set_seed(0)
    >>> first = hg.random.get_generator(5).normal()
    >>> hg.random.set_seed(0)
    >>> _ = hg.random.normal((100,))
    >>> bool(first == hg.random.get_generator(5).normal())
    True
    """
    if seed is None:
        return _default
    seed = whole("get_generator", "seed", seed)
    with _lock:
        if seed not in _operations:
            _operations[seed] = Generator((_seed, seed), f"random_state/{seed}")
        return _operations[seed]


def generator() -> np.random.Generator:
    """Return a new NumPy generator, on a stream of its own that the default generator gives out."""
    return _default.stream()


def set_seed(seed: int) -> None:
    """Start the default generator anew from a seed, so that the draws that follow repeat.

    >>> import headgate as hg
    >>> hg.random.set_seed(0)
    >>> a = hg.random.normal((2,))
    >>> hg.random.set_seed(0)
    >>> bool(hg.all(a == hg.random.normal((2,))))
    True
    """
    global _seed
    _seed = whole("set_seed", "seed", seed)
    _default.set_seed(seed)
    _restart_operations()


def _restart_operations() -> None:
    """Start the generators of single operations anew; compiled functions may hold them."""
    for seed, made in _operations.items():
        made.set_seed((_seed, seed))


def get_state() -> dict[str, Any]:
    """Return the state of the default generator and of those of single operations.

    >>> import headgate as hg
    >>> state, draw = hg.random.get_state(), hg.random.normal()
    >>> hg.random.set_state(state)
    >>> bool(draw == hg.random.normal())
    True
    """
    words = {str(seed): np.array(made._state._value) for seed, made in _operations.items()}
    used = {seed: array for seed, array in words.items() if array[4:].any()}
    return {"seed": _seed, **_default.get_state(), "operations": used}


def set_state(state: dict[str, Any]) -> None:
    """Go on from a state that `get_state` returned.

    Raises:
        ValueError: not such a state. Nothing is changed then.
    """
    global _seed
    _check_keys(state, ["operations", "seed", "state"])
    default = _checked("state", state["state"])
    try:
        first, given = operator.index(state["seed"]), dict(state["operations"])
        seeds = [int(seed) for seed in given]
    except (TypeError, ValueError):
        raise ValueError(
            f"a state of headgate.random has a seed that is a whole number, and operations by "
            f"their seed, not {state['seed']!r} and {state['operations']!r}"
        ) from None
    words = [_checked(f"operations/{seed}", array) for seed, array in given.items()]
    _seed = first
    _default._state._value = default
    _restart_operations()
    for seed, array in zip(seeds, words):
        get_generator(seed)._state._value = array


def _check_keys(state: Any, expected: list[str]) -> None:
    found = sorted(state) if isinstance(state, dict) else repr(state)
    if found != expected:
        raise ValueError(
            f"a state of random draws has the keys {expected}, and this one is {found}"
        )


def _checked(key: str, value: Any) -> Any:
    """Return a copy of the array of a state; refuse what is none."""
    array = np.asarray(value)
    if array.shape != (_WORDS,) or array.dtype != np.uint32:
        raise ValueError(
            f"{key}: a generator's state has the shape ({_WORDS},) and the dtype uint32, this one "
            f"has {array.shape} and {array.dtype}"
        )
    return np.array(array)


def split(count: int = 2) -> list[Generator]:
    """Return new generators from the default one; see `Generator.split`.

    >>> import headgate as hg
    >>> len(hg.random.split(3))
    3
    """
    return _default.split(count)


# -- draws from the default generator --------------------------------------------------------------


def normal(shape: Any = (), mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = np.float64) -> Tensor:
    """Draw from a normal distribution.

    Args:
        shape: of the result, if the parameters have none that is larger.
        mean: of the distribution, anything that broadcasts; gradient flows to a tensor.
        stddev: standard deviation, likewise.
        dtype: of floats.

    >>> import headgate as hg
    >>> hg.random.normal((2, 3)).shape
    (2, 3)
    """
    return _default.normal(shape, mean, stddev, dtype)


def truncated_normal(
    shape: Any = (), mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = np.float64
) -> Tensor:
    """Draw from a normal distribution, again for whatever lies beyond two standard deviations.

    Arguments are those of `normal`.

    >>> import headgate as hg
    >>> bool(hg.all(hg.abs(hg.random.truncated_normal((100,))) <= 2.0))
    True
    """
    return _default.truncated_normal(shape, mean, stddev, dtype)


def uniform(shape: Any = (), low: Any = 0.0, high: Any = 1.0, dtype: Any = np.float64) -> Tensor:
    """Draw from a uniform distribution over [low, high); of whole numbers for integer dtypes.

    Gradient flows to ends that are tensors.

    Raises:
        ValueError: `high` is below `low`.

    >>> import headgate as hg
    >>> hg.random.uniform((3,), 0, 10, dtype="int32").dtype
    dtype('int32')
    """
    return _default.uniform(shape, low, high, dtype)


def integers(shape: Any = (), low: Any = 0, high: Any = 2, dtype: Any = np.int64) -> Tensor:
    """Draw whole numbers from `low` on and below `high`, all with the same probability.

    Raises:
        ValueError: there is none, or the dtype cannot hold them.

    >>> import headgate as hg
    >>> set(hg.random.integers((100,), 3, 5).tolist()) == {3, 4}
    True
    """
    return _default.integers(shape, low, high, dtype)


def permutation(count: int) -> Tensor:
    """Return the numbers from 0 to count - 1 in random order.

    >>> import headgate as hg
    >>> sorted(hg.random.permutation(4).tolist())
    [0, 1, 2, 3]
    """
    return _default.permutation(count)


# -- draws that depend on arrays: ops, so that gradient which ends here is explained ---------------


def _source_of(generator: Generator | None) -> Any:
    return (_default if generator is None else generator)._source()


def _draw_categories(xp: Any, logits: Any, *, num_samples: int, generator: Any) -> Any:
    logits = xp.asarray(logits)
    shape = (*logits.shape[:-1], num_samples, logits.shape[-1])
    noise = _source_of(generator).gumbel(size=shape)
    return xp.argmax(logits[..., None, :] + noise, axis=-1)


categorical = op(
    "categorical(logits, *, num_samples=1, generator=None)",
    """Draw class numbers with probabilities softmax(logits) along the last axis (Gumbel-max).

    Returns integers of shape `logits.shape[:-1] + (num_samples,)`; sampling has no gradient.

    >>> hg.random.categorical([[0.0, 50.0]], num_samples=3).numpy()
    array([[1, 1, 1]])
    """,
    None,
    impl=_draw_categories,
    checks={"num_samples": (whole, 0)},
)


def _draw_bernoulli(xp: Any, p: Any, *, shape: Any, generator: Any) -> Any:
    p = xp.asarray(p)
    if p.dtype.kind == "c":
        raise TypeError(f"p must be probabilities from 0 to 1, got {p.dtype}")
    if not is_traced(p):
        known = np.asarray(p)
        if not np.all((known >= 0) & (known <= 1)):
            raise ValueError(
                f"bernoulli: probabilities must be from 0 to 1, got up to {known.min()} and "
                f"{known.max()}"
            )
    return _cast(_source_of(generator).random((*_shape(shape), *p.shape), np.float64) < p, p.dtype)


bernoulli = op(
    "bernoulli(p, *, shape=(), generator=None)",
    """Draw 1 with the probability p, else 0; of p's dtype. Sampling has no gradient.

    The result has the shape `shape + p.shape`: so many draws for each probability.

    >>> hg.random.bernoulli([0.0, 1.0], shape=(2,)).numpy()
    array([[0., 1.],
           [0., 1.]])
    """,
    None,
    impl=_draw_bernoulli,
)


def _draw_gamma(xp: Any, alpha: Any, *, shape: Any, generator: Any) -> Any:
    alpha = xp.asarray(alpha)
    drawn = _source_of(generator).standard_gamma(alpha, (*_shape(shape), *alpha.shape))
    return _cast(drawn, alpha.dtype)


gamma = op(
    "gamma(alpha, *, shape=(), generator=None)",
    """Draw from gamma distributions of the shape parameter `alpha` and rate 1, in its dtype.

    The result has the shape `shape + alpha.shape`; sampling has no gradient. Divide by a rate.

    >>> hg.random.gamma([1.0, 2.0], shape=(5,)).shape
    (5, 2)
    """,
    None,
    impl=_draw_gamma,
)


def _draw_poisson(xp: Any, rate: Any, *, shape: Any, generator: Any) -> Any:
    rate = xp.asarray(rate)
    drawn = _source_of(generator).poisson(rate, (*_shape(shape), *rate.shape))
    return _cast(drawn, rate.dtype)


poisson = op(
    "poisson(rate, *, shape=(), generator=None)",
    """Draw counts from Poisson distributions of these mean values, in their dtype.

    The result has the shape `shape + rate.shape`; sampling has no gradient.

    >>> hg.random.poisson([0.0, 2.0], shape=(5,)).shape
    (5, 2)
    """,
    None,
    impl=_draw_poisson,
)


def _shuffle(xp: Any, x: Any, *, generator: Any) -> Any:
    order = _source_of(generator).permutation(x.shape[0])
    return owner[common(type(order), type(x))].take(x, order, axis=0)


shuffle = op(
    "shuffle(x, *, generator=None)",
    """Return x with the entries of its first axis in random order; no gradient, as in TensorFlow.

    >>> sorted(hg.random.shuffle([1.0, 2.0, 3.0]).tolist())
    [1.0, 2.0, 3.0]
    """,
    None,
    impl=_shuffle,
)
