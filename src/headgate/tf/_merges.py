"""Functions that merge tensors as the layers of these names do (`tf.keras.layers.concatenate`)."""

from __future__ import annotations

from typing import Any

from headgate import nn


def add(inputs: Any, **kwargs: Any) -> Any:
    """Add a list of tensors, as the layer `Add` does."""
    return nn.Add(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """Return the mean of a list of tensors, as the layer `Average` does."""
    return nn.Average(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Join a list of tensors along an axis, as the layer `Concatenate` does."""
    return nn.Concatenate(axis=axis, **kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """Multiply a list of tensors, as the layer `Multiply` does."""
    return nn.Multiply(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """Subtract the second of two tensors from the first, as the layer `Subtract` does."""
    return nn.Subtract(**kwargs)(inputs)
