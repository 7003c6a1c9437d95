"""`tf.random`: draws in TensorFlow's order of arguments, float32 by default."""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate import random as _random
from headgate.namespace import TENSORS as _ops
from headgate.random import set_seed, shuffle
from headgate.tf._adapt import static as _static
from headgate.tf._adapt import tensor as _tensor


def normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = np.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Draw from a normal distribution; gradient flows to `mean` and `stddev` tensors."""
    drawn = _random.normal(_static(shape), dtype=dtype)
    if (
        isinstance(mean, int | float)
        and mean == 0
        and isinstance(stddev, int | float)
        and stddev == 1
    ):
        return drawn
    return drawn * stddev + mean


def truncated_normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = np.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Draw from a normal distribution cut off at two standard deviations."""
    return _random.truncated_normal(_static(shape), dtype=dtype) * stddev + mean


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = np.float32,
    seed: Any = None,
    name: str | None = None,
) -> Any:
    """Draw from a uniform distribution over [minval, maxval); integers need a maxval."""
    if maxval is None:
        if np.issubdtype(dtype, np.integer):
            raise ValueError(f"Must specify maxval for integer dtype {np.dtype(dtype)}")
        maxval = 1
    if np.issubdtype(dtype, np.integer):
        return _random.uniform(_static(shape), int(minval), int(maxval), dtype=dtype)
    drawn = _random.uniform(_static(shape), dtype=dtype)
    plain = isinstance(minval, int | float) and isinstance(maxval, int | float)
    return drawn if plain and (minval, maxval) == (0, 1) else drawn * (maxval - minval) + minval


def categorical(
    logits: Any, num_samples: int, dtype: Any = np.int64, seed: Any = None, name: str | None = None
) -> Any:
    """Draw class numbers with probabilities softmax(logits)."""
    return _ops.astype(_ops.categorical(_tensor(logits), num_samples=num_samples), dtype)


__all__ = [
    "categorical",
    "normal",
    "set_seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]
