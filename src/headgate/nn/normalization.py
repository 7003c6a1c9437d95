"""Normalization over a batch, and over the features of each sample.

In training, `BatchNormalization` uses the mean and the variance of the batch, through which
gradient flows, and moves its own statistics a little towards them; these moving statistics, which
get no gradient, are what it uses otherwise. What they are moved by is a constant, so a tape finds
no way from a loss through them to an earlier batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate.core.checks import number
from headgate.core.namespace import Array
from headgate.core.variable import Variable
from headgate.nn.initializers import get_initializer
from headgate.nn.layer import Layer, Shape
from headgate.nn.options import axes, switch
from headgate.ops.elementwise import astype, sqrt
from headgate.ops.functional import standardize
from headgate.ops.shape import reshape
from headgate.state import put


class _Normalization(Layer):
    """What normalizations share: scale and offset, and half precision computed in float32."""

    def __init__(
        self,
        axis: int | Sequence[int],
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis = axes(self, "axis", axis)
        self.epsilon = number(type(self).__name__, "epsilon", epsilon, "[0, inf)")
        self.center = switch(self, "center", center)
        self.scale = switch(self, "scale", scale)
        self.beta_initializer = get_initializer(beta_initializer)
        self.gamma_initializer = get_initializer(gamma_initializer)
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def _add_scale_and_offset(self, input_shape: Shape) -> Shape:
        """Make gamma and beta; return their shape: the sizes along `axis`."""
        self._axes = _from_the_front(self, self.axis, input_shape)
        self._rank = len(input_shape)
        shape = tuple(input_shape[axis] for axis in self._axes)
        if self.scale:
            self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma")
        if self.center:
            self.beta = self.add_weight(shape, self.beta_initializer, name="beta")
        self._sizes = tuple(
            input_shape[k] if k in self._axes else 1 for k in range(1, self._rank)
        )  # as weights must have them to be broadcast
        self._reshaped = len(shape) != 1 or self._axes != (self._rank - 1,)
        self._computed = np.result_type(self.dtype, np.float32)
        return shape

    def _checked(self, x: Any) -> Any:
        """Return the input as floats that are wide enough, if it is of the shape built for."""
        shape = x.shape
        if len(shape) != self._rank or any(
            shape[axis] != self._sizes[axis - 1] for axis in self._axes
        ):
            sizes = ", ".join(
                str(size) if axis in self._axes else "..."
                for axis, size in enumerate(self._sizes, 1)
            )
            raise ValueError(
                f"layer {self.name!r} was built for {self._rank} axes, (batch, {sizes}), and was "
                f"given the shape {shape}; make another layer for inputs of another shape"
            )
        return self._wide(x)

    def _wide(self, x: Any) -> Any:
        return x if x.dtype == self._computed else astype(x, self._computed)

    def _weight(self, weight: Variable) -> Any:
        """Return a weight as it goes with the input."""
        wide = self._wide(weight)
        return reshape(wide, self._sizes) if self._reshaped else wide

    def _scaled(self, y: Any) -> Any:
        """Multiply by gamma, add beta."""
        if self.gamma is not None:
            y = y * self._weight(self.gamma)
        if self.beta is not None:
            y = y + self._weight(self.beta)
        return self._narrow(y)

    def _narrow(self, y: Any) -> Any:
        return y if y.dtype == self.dtype else astype(y, self.dtype)


def _from_the_front(layer: Layer, axis: int | Sequence[int], input_shape: Shape) -> tuple[int, ...]:
    """Return a layer's `axis`, one or several, as numbers from 1; the batch is none of them."""
    rank = len(input_shape)
    given = (axis,) if isinstance(axis, int) else tuple(axis)
    axes = tuple(sorted(k + rank if k < 0 else k for k in given))
    if not axes or not all(0 < k < rank and input_shape[k] for k in axes):
        raise ValueError(
            f"layer {layer.name!r} normalizes axis={axis!r}, and the shape of its input is "
            f"{input_shape}; axis must name axes of a known size, without the batch"
        )
    return axes


class BatchNormalization(_Normalization):
    """Bring each channel to mean 0 and variance 1 over the batch, then scale and shift it.

    In training (`layer(x, training=True)`) mean and variance are those of the batch, and the moving
    statistics follow them; otherwise, and always when the layer is frozen (`trainable = False`),
    they are the moving ones.

    Args:
        axis: of the channels; all others are averaged over.
        momentum: how much of the moving statistics a training call keeps.
        epsilon: added to the variance.
        center: whether an offset `beta` is added.
        scale: whether there is a factor `gamma`.
        beta_initializer, gamma_initializer: for these, both of shape (channels,).
        moving_mean_initializer, moving_variance_initializer: for the moving statistics.
        options: those of `Layer`.

    Raises:
        ValueError: `axis` does not fit the input, or there is nothing to average in training.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> layer = nn.BatchNormalization()
    >>> y = layer([[1.0], [3.0]], training=True)
    >>> y.numpy().round(2).tolist(), layer.moving_mean.numpy()
    ([[-1.0], [1.0]], array([0.02], dtype=float32))
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **options: Any,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer, **options
        )
        self.momentum = number("BatchNormalization", "momentum", momentum, "[0, 1]")
        self.moving_mean_initializer = get_initializer(moving_mean_initializer)
        self.moving_variance_initializer = get_initializer(moving_variance_initializer)

    def build(self, input_shape: Shape) -> None:
        """Make gamma, beta and the moving statistics."""
        shape = self._add_scale_and_offset(input_shape)
        self._averaged = tuple(k for k in range(self._rank) if k not in self._axes)
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, x: Any, training: bool = False) -> Any:
        """Normalize; in training, move the moving statistics."""
        x = self._checked(x)
        if not (training and self.trainable):
            return self._by_moving_statistics(x)
        if not math.prod(x.shape):
            raise ValueError(
                f"layer {self.name!r} was given the shape {x.shape} in training, and there is no "
                "mean of nothing; leave empty batches out"
            )
        y, mean, variance = standardize(x, axis=self._averaged, epsilon=self.epsilon)
        pairs = (self.moving_mean, mean), (self.moving_variance, variance)
        put([(old, self._moved(old._value, new.value)) for old, new in pairs], anew=True)
        return self._scaled(y)

    def _moved(self, old: Array, batch: Array) -> Array:
        """Return a statistic moved towards that of the batch, which is a constant in this."""
        new = old * self.momentum + batch.reshape(old.shape) * (1.0 - self.momentum)
        return new.astype(old.dtype)

    def _by_moving_statistics(self, x: Any) -> Any:
        """Normalize by one factor and one offset per channel."""
        factor = 1.0 / sqrt(self._wide(self.moving_variance) + self.epsilon)
        if self.gamma is not None:
            factor = factor * self._wide(self.gamma)
        offset = -self._wide(self.moving_mean) * factor
        if self.beta is not None:
            offset = offset + self._wide(self.beta)
        if self._reshaped:
            factor, offset = reshape(factor, self._sizes), reshape(offset, self._sizes)
        return self._narrow(x * factor + offset)


class LayerNormalization(_Normalization):
    """Bring the features of each sample to mean 0 and variance 1, then scale and shift them.

    Args:
        axis: of the features, one or several.
        epsilon: added to the variance.
        center: whether an offset `beta` is added.
        scale: whether there is a factor `gamma`.
        beta_initializer, gamma_initializer: for these, of the sizes of the axes.
        options: those of `Layer`.

    Raises:
        ValueError: `axis` does not fit the input.

    >>> from headgate import nn
    >>> nn.LayerNormalization()([[1.0, 3.0], [0.0, 8.0]]).numpy().round(2).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **options: Any,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer, **options
        )

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta."""
        self._add_scale_and_offset(input_shape)

    def call(self, x: Any) -> Any:
        """Normalize."""
        x = self._checked(x)
        y, _, _ = standardize(x, axis=self._axes, epsilon=self.epsilon)
        return self._scaled(y)
