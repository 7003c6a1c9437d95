"""Random tensors from one seeded generator.

`set_seed` makes everything that follows repeatable; without it the generator starts from the
system's entropy. Draws are constants: no gradient flows into them. A parameter of a distribution
gets gradient by reparameterisation: `mean + deviation * normal(shape)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.op import op
from headgate.tensor import Tensor, constant

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """Return the NumPy generator that all draws come from."""
    return _generator


def set_seed(seed: int) -> None:
    """Start the generator anew from a seed, so that the draws that follow can be repeated.

    >>> import headgate as hg
    >>> hg.random.set_seed(0)
    >>> a = hg.random.normal((2,))
    >>> hg.random.set_seed(0)
    >>> bool(hg.all(a == hg.random.normal((2,))))
    True
    """
    global _generator
    _generator = np.random.default_rng(seed)


def _shape(shape: Any) -> tuple[int, ...]:
    return (int(shape),) if np.ndim(shape) == 0 else tuple(int(size) for size in shape)


def normal(
    shape: Any = (), mean: float = 0.0, stddev: float = 1.0, dtype: Any = np.float64
) -> Tensor:
    """Draw from a normal distribution.

    >>> import headgate as hg
    >>> hg.random.normal((2, 3)).shape
    (2, 3)
    """
    drawn = _generator.standard_normal(_shape(shape), dtype=_drawn_dtype(dtype))
    return constant(np.asarray(drawn * stddev + mean, dtype=dtype))


def truncated_normal(
    shape: Any = (), mean: float = 0.0, stddev: float = 1.0, dtype: Any = np.float64
) -> Tensor:
    """Draw from a normal distribution, again for whatever lies beyond two standard deviations.

    >>> import headgate as hg
    >>> bool(hg.all(hg.abs(hg.random.truncated_normal((100,))) <= 2.0))
    True
    """
    drawn = standard_truncated_normal(_generator, _shape(shape))
    return constant(np.asarray(drawn * stddev + mean, dtype=dtype))


def standard_truncated_normal(source: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw with a given generator from the standard normal distribution cut off at two."""
    drawn = source.standard_normal(shape)
    while np.any(beyond := np.abs(drawn) > 2.0):
        drawn = np.where(beyond, source.standard_normal(shape), drawn)
    return drawn


def uniform(
    shape: Any = (), low: float = 0.0, high: float = 1.0, dtype: Any = np.float64
) -> Tensor:
    """Draw from a uniform distribution over [low, high); of whole numbers for integer dtypes.

    >>> import headgate as hg
    >>> hg.random.uniform((3,), 0, 10, dtype="int32").dtype
    dtype('int32')
    """
    if np.issubdtype(dtype, np.integer):
        return constant(np.asarray(_generator.integers(low, high, _shape(shape)), dtype=dtype))
    drawn = _generator.random(_shape(shape), dtype=_drawn_dtype(dtype))
    return constant(np.asarray(drawn * (high - low) + low, dtype=dtype))


def _drawn_dtype(dtype: Any) -> Any:
    return np.float32 if np.dtype(dtype) == np.float32 else np.float64


def _draw_categories(xp: Any, logits: Any, *, num_samples: int) -> Any:
    noise = _generator.gumbel(size=(*logits.shape[:-1], num_samples, logits.shape[-1]))
    return xp.argmax(logits[..., None, :] + noise, axis=-1)


categorical = op(
    "categorical(logits, *, num_samples=1)",
    """Draw class numbers with probabilities softmax(logits) along the last axis (Gumbel-max).

    Returns integers of shape `logits.shape[:-1] + (num_samples,)`; sampling has no gradient.

    >>> hg.random.categorical([[0.0, 50.0]], num_samples=3).numpy()
    array([[1, 1, 1]])
    """,
    None,
    impl=_draw_categories,
)


def _shuffle(xp: Any, x: Any) -> Any:
    return x[_generator.permutation(x.shape[0])]


shuffle = op(
    "shuffle(x)",
    """Return x with the entries of its first axis in random order; no gradient, as in TensorFlow.

    >>> sorted(hg.random.shuffle([1.0, 2.0, 3.0]).tolist())
    [1.0, 2.0, 3.0]
    """,
    None,
    impl=_shuffle,
)
