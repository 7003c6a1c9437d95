"""`tf.random`: draws with TensorFlow's arguments, float32 by default.

Without `seed=` a draw comes from the default generator of `headgate.random`. Operations with a
seed share one generator per seed, which `set_seed` starts anew: they repeat whatever else is drawn.
The numbers are Headgate's own, not those of TensorFlow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate import random as _random
from headgate.core.namespace import TENSORS as _ops
from headgate.core.tensor import Tensor as _Tensor
from headgate.random import set_seed
from headgate.tf import _arguments as _is
from headgate.tf._adapt import static as _static
from headgate.tf._adapt import tensor as _tensor
from headgate.tf._arguments import checked as _checked


def _pair(whose: str, name: str, value: Any) -> Any:
    """Return a seed of two whole numbers."""
    if _is.shape_of(value) != (2,):
        raise _is.refused(whose, name, "two integers", value)
    return _is.checks.wholes(whose, name, value)


class Generator(_random.Generator):
    """A generator of its own, with a state; make it with `from_seed`.

    Or as a copy of another one, or from a state: the six numbers in `state` of a generator.

    >>> import headgate.tf as tf
    >>> a, b = (tf.random.Generator.from_seed(1) for _ in range(2))
    >>> bool(tf.reduce_all(a.normal([3]) == b.normal([3])))
    True
    """

    __slots__ = ()

    def __init__(self, copy_from: Any = None, state: Any = None, alg: Any = None) -> None:
        if (copy_from is None) == (state is None):
            raise ValueError("Generator needs copy_from or state, and not both; see from_seed")
        found = np.asarray(copy_from.state if state is None else state)
        if found.shape != (6,):
            raise _is.refused("tf.random.Generator", "state", "six integers", state)
        super().__init__(0)
        self._state.assign(found.astype(np.uint32))

    @classmethod
    def from_seed(cls, seed: Any, alg: Any = None) -> Generator:
        """Return a generator that starts from a seed."""
        return _with_state_of(_random.Generator(_static(seed)))

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """Return a generator that starts from the system's entropy."""
        return _with_state_of(_random.Generator())

    def split(self, count: int = 1) -> list[Any]:
        """Return new generators, whose draws have nothing to do with this one's."""
        source = _random.Generator.__new__(_random.Generator)
        source._state = self._state
        return [_with_state_of(made) for made in source.split(count)]

    def reset_from_seed(self, seed: Any) -> None:
        """Start anew from a seed."""
        self.set_seed(_static(seed))

    # The draws have TensorFlow's arguments, which are not those of `headgate.random.Generator`.

    @_checked(shape=_is.sizes)
    def normal(  # type: ignore[override]
        self,
        shape: Any,
        mean: Any = 0.0,
        stddev: Any = 1.0,
        dtype: Any = np.float32,
        name: str | None = None,
    ) -> _Tensor:
        """Draw from a normal distribution; gradient flows to `mean` and `stddev` tensors."""
        return super().normal(_static(shape), mean, stddev, dtype)

    @_checked(shape=_is.sizes)
    def truncated_normal(  # type: ignore[override]
        self,
        shape: Any,
        mean: Any = 0.0,
        stddev: Any = 1.0,
        dtype: Any = np.float32,
        name: str | None = None,
    ) -> _Tensor:
        """Draw from a normal distribution cut off at two standard deviations."""
        return super().truncated_normal(_static(shape), mean, stddev, dtype)

    @_checked(shape=_is.sizes)
    def uniform(  # type: ignore[override]
        self,
        shape: Any,
        minval: Any = 0,
        maxval: Any = None,
        dtype: Any = np.float32,
        name: str | None = None,
    ) -> _Tensor:
        """Draw from a uniform distribution over [minval, maxval); integers need a maxval."""
        if maxval is None:
            if np.dtype(dtype).kind in "iu":
                raise ValueError(f"Must specify maxval for integer dtype {np.dtype(dtype)}")
            maxval = 1
        return super().uniform(_static(shape), minval, maxval, dtype)


def get_global_generator() -> Generator:
    """Return a generator with the state of the default one, which all draws without a seed use."""
    return _with_state_of(_random.get_generator())


def _with_state_of(generator: _random.Generator) -> Generator:
    made = Generator.__new__(Generator)
    made._state = generator.state
    return made


def _for(seed: Any) -> Generator:
    return _with_state_of(_random.get_generator(_static(seed)))


def normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = np.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Draw from a normal distribution; gradient flows to `mean` and `stddev` tensors.

    >>> import headgate.tf as tf
    >>> tf.random.normal([2, 3], stddev=0.1).shape
    (2, 3)
    """
    return _for(seed).normal(shape, mean, stddev, dtype)


def truncated_normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = np.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Draw from a normal distribution cut off at two standard deviations.

    >>> import headgate.tf as tf
    >>> bool(tf.reduce_all(tf.abs(tf.random.truncated_normal([100])) <= 2.0))
    True
    """
    return _for(seed).truncated_normal(shape, mean, stddev, dtype)


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = np.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Draw from a uniform distribution over [minval, maxval); integers need a maxval.

    >>> import headgate.tf as tf
    >>> tf.random.uniform([3], maxval=5, dtype=tf.int32).dtype
    dtype('int32')
    """
    return _for(seed).uniform(shape, minval, maxval, dtype)


@_checked(num_samples=_is.count)
def categorical(
    logits: Any, num_samples: int, dtype: Any = None, seed: Any = None, name: str | None = None
) -> Any:
    """Draw class numbers with probabilities softmax(logits), `num_samples` for each row.

    >>> import headgate.tf as tf
    >>> tf.random.categorical([[0.0, 50.0]], 3).numpy()
    array([[1, 1, 1]])
    """
    return _ops.astype(
        _for(seed).categorical(_tensor(logits), num_samples), np.int64 if dtype is None else dtype
    )


def shuffle(value: Any, seed: Any = None, name: str | None = None) -> Any:
    """Return a tensor with the entries of its first axis in random order.

    >>> import headgate.tf as tf
    >>> sorted(tf.random.shuffle([1, 2, 3]).numpy().tolist())
    [1, 2, 3]
    """
    return _for(seed).shuffle(_tensor(value))


@_checked(shape=_is.sizes)
def gamma(
    shape: Any,
    alpha: Any,
    beta: Any = None,
    dtype: Any = np.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Draw from gamma distributions; gradient flows to the rate `beta`, not to `alpha`.

    The result has the shape `shape` + that of `alpha` and `beta` together.

    >>> import headgate.tf as tf
    >>> tf.random.gamma([10], [0.5, 1.5]).shape
    (10, 2)
    """
    alpha = _floats(alpha, dtype)
    if beta is None:
        return _for(seed).gamma(alpha, _static(shape))
    beta = _floats(beta, dtype)
    return _for(seed).gamma(alpha + _ops.zeros_like(beta), _static(shape)) / beta


@_checked(shape=_is.sizes)
def poisson(
    shape: Any, lam: Any, dtype: Any = np.float32, seed: Any = None, name: str | None = None
) -> Any:
    """Draw counts from Poisson distributions with the mean values `lam`.

    The result has the shape `shape` + that of `lam`.

    >>> import headgate.tf as tf
    >>> tf.random.poisson([10], [0.5, 1.5]).shape
    (10, 2)
    """
    return _ops.astype(_for(seed).poisson(_tensor(lam), _static(shape)), dtype)


def _floats(value: Any, dtype: Any) -> Any:
    return _ops.astype(_tensor(value), dtype)


@_checked(shape=_is.sizes, seed=_pair)
def stateless_normal(
    shape: Any,
    seed: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = np.float32,
    name: str | None = None,
    alg: Any = "auto_select",
) -> Any:
    """Draw from a normal distribution: the same for the same shape and seed (two numbers).

    >>> import headgate.tf as tf
    >>> a, b = (tf.random.stateless_normal([3], seed=[1, 2]) for _ in range(2))
    >>> bool(tf.reduce_all(a == b))
    True
    """
    return Generator.from_seed(seed).normal(shape, mean, stddev, dtype)


@_checked(shape=_is.sizes, seed=_pair)
def stateless_truncated_normal(
    shape: Any,
    seed: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = np.float32,
    name: str | None = None,
    alg: Any = "auto_select",
) -> Any:
    """Draw from a cut-off normal distribution: the same for the same shape and seed."""
    return Generator.from_seed(seed).truncated_normal(shape, mean, stddev, dtype)


@_checked(shape=_is.sizes, seed=_pair)
def stateless_uniform(
    shape: Any,
    seed: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = np.float32,
    name: str | None = None,
    alg: Any = "auto_select",
) -> Any:
    """Draw from a uniform distribution: the same for the same shape and seed (two numbers).

    >>> import headgate.tf as tf
    >>> tf.random.stateless_uniform([2], seed=[1, 2], maxval=5, dtype=tf.int32).dtype
    dtype('int32')
    """
    return Generator.from_seed(seed).uniform(shape, minval, maxval, dtype)


@_checked(num_samples=_is.count, seed=_pair)
def stateless_categorical(
    logits: Any, num_samples: int, seed: Any, dtype: Any = np.int64, name: str | None = None
) -> Any:
    """Draw class numbers: the same for the same logits and seed."""
    return _ops.astype(Generator.from_seed(seed).categorical(_tensor(logits), num_samples), dtype)


__all__ = [
    "Generator",
    "categorical",
    "gamma",
    "get_global_generator",
    "normal",
    "poisson",
    "set_seed",
    "shuffle",
    "stateless_categorical",
    "stateless_normal",
    "stateless_truncated_normal",
    "stateless_uniform",
    "truncated_normal",
    "uniform",
]
