"""The layers, with Keras' names, arguments and defaults."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headgate import random
from headgate.nn.activations import get_activation, relu, softmax
from headgate.nn.initializers import get_initializer
from headgate.nn.layer import Layer, Shape
from headgate.ops.conv import avg_pool, conv, conv_transpose, max_pool
from headgate.ops.elementwise import leaky_relu
from headgate.ops.linalg import matmul
from headgate.ops.shape import concat, reshape
from headgate.tensor import Tensor, constant
from headgate.variable import Variable


class Dense(Layer):
    """Compute `activation(x @ kernel + bias)` over the last axis.

    Args:
        units: size of the last axis of the result.
        activation: a function or its name.
        use_bias: whether there is a bias.
        kernel_initializer: for the kernel, of shape (size of the input's last axis, units).
        bias_initializer: for the bias, of shape (units,).
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> layer = nn.Dense(2, kernel_initializer="ones", name="dense")
    >>> layer([[1.0, 2.0, 3.0]]).numpy(), [v.name for v in layer.variables]
    (array([[6., 6.]], dtype=float32), ['dense/kernel', 'dense/bias'])
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units = _positive(self, "units", units)
        self.activation = get_activation(activation)
        self.use_bias = use_bias
        self.kernel_initializer = get_initializer(kernel_initializer)
        self.bias_initializer = get_initializer(bias_initializer)
        self.bias: Variable | None = None

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"layer {self.name!r} needs inputs of shape (batch, ..., size), got {input_shape}"
            )
        shape = input_shape[-1], self.units
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((self.units,), self.bias_initializer, name="bias")

    def call(self, x: Any) -> Any:
        """Multiply, add, activate."""
        x = self._floats(x)
        size = self.kernel.shape[0]
        shape = x.shape
        if len(shape) < 2 or shape[-1] != size:
            raise ValueError(
                f"layer {self.name!r} was built for inputs of shape (batch, ..., {size}), got "
                f"{shape}"
            )
        if len(shape) > 2:  # one product of matrices, also in the backward pass
            x = reshape(x, (math.prod(shape[:-1]), size))
        x = matmul(x, self.kernel)
        if self.bias is not None:
            x = x + self.bias
        if len(shape) > 2:
            x = reshape(x, (*shape[:-1], self.units))
        return self.activation(x)


def _positive(layer: Layer, what: str, value: Any) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(
            f"{type(layer).__name__}: {what} must be a positive integer, got {value!r}"
        )
    return int(value)


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _layout(layer: Layer, data_format: str | None, rank: int) -> str:
    """Return our name of a layout, given Keras'."""
    space = "DHW"[3 - rank :]
    layouts = {None: f"N{space}C", "channels_last": f"N{space}C", "channels_first": f"NC{space}"}
    if data_format not in layouts:
        raise ValueError(
            f"{type(layer).__name__}: data_format must be 'channels_last' or 'channels_first', got "
            f"{data_format!r}"
        )
    return layouts[data_format]


class _Convolution(Layer):
    """What convolutions and transposed ones of one to three axes of space share."""

    rank: int
    transposed = False

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.filters = _positive(self, "filters", filters)
        self.kernel_size = _per_axis(kernel_size, self.rank)
        self.strides = strides
        self.padding = padding
        self.layout = _layout(self, data_format, self.rank)
        self.dilation_rate = dilation_rate
        self.groups = _positive(self, "groups", groups)
        self.activation = get_activation(activation)
        self.use_bias = use_bias
        self.kernel_initializer = get_initializer(kernel_initializer)
        self.bias_initializer = get_initializer(bias_initializer)
        self.bias: Variable | None = None

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        axis = self.layout.index("C")
        if len(input_shape) != self.rank + 2 or input_shape[axis] is None:
            raise ValueError(
                f"layer {self.name!r} needs inputs of shape ({', '.join(self.layout)}), got "
                f"{input_shape}"
            )
        channels = input_shape[axis]
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"layer {self.name!r}: groups={self.groups} must divide the {channels} channels of "
                f"the input and filters={self.filters}"
            )
        ends = channels // self.groups, self.filters
        shape = (*self.kernel_size, *(reversed(ends) if self.transposed else ends))
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((self.filters,), self.bias_initializer, name="bias")

    def _convolve(self, x: Any) -> Any:
        return conv(
            x,
            self.kernel,
            stride=self.strides,
            padding=self.padding,
            dilation=self.dilation_rate,
            groups=self.groups,
            layout=self.layout,
        )

    def call(self, x: Any) -> Any:
        """Convolve, add, activate."""
        y = self._convolve(self._floats(x))
        if self.bias is not None:
            bias: Any = self.bias
            if self.layout[1] == "C":
                bias = reshape(bias, (self.filters,) + (1,) * self.rank)
            y = y + bias
        return self.activation(y)


class Conv2D(_Convolution):
    """Convolve images, (batch, height, width, channels), with a kernel.

    Args:
        filters: number of channels of the result.
        kernel_size: one size for both axes, or one for each.
        strides: steps between windows, one or two.
        padding: "valid" or "same".
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: steps between the elements of a window, one or two.
        groups: in how many parts channels and filters are split.
        activation: a function or its name.
        use_bias: whether there is a bias.
        kernel_initializer: for the kernel, of shape (*kernel_size, channels / groups, filters).
        bias_initializer: for the bias, of shape (filters,).
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Conv2D(16, 3, padding="same")(hg.ones((2, 8, 8, 1))).shape
    (2, 8, 8, 16)
    """

    rank = 2


class _TransposedConvolution(_Convolution):
    """What transposed convolutions share; their kernel is (*kernel_size, filters, channels)."""

    transposed = True

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation=activation,
            **options,
        )
        self.output_padding = output_padding

    def _convolve(self, x: Any) -> Any:
        return conv_transpose(
            x,
            self.kernel,
            stride=self.strides,
            padding=self.padding,
            dilation=self.dilation_rate,
            layout=self.layout,
            output_padding=self.output_padding,
        )


class Conv2DTranspose(_TransposedConvolution):
    """Apply a transposed convolution: with strides, it makes images larger.

    Its arguments are those of `Conv2D` without `groups`, with `output_padding` after `padding`:
    what is added to the least size of the result.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Conv2DTranspose(4, 3, strides=2, padding="same")(hg.ones((2, 7, 7, 1))).shape
    (2, 14, 14, 4)
    """

    rank = 2


class _Pooling(Layer):
    """What pooling layers share."""

    rank: int
    pool: Callable[..., Tensor]

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.pool_size = pool_size
        self.strides = strides
        self.padding = padding
        self.layout = _layout(self, data_format, self.rank)

    def call(self, x: Any) -> Any:
        """Pool."""
        return self.pool(
            x, self.pool_size, stride=self.strides, padding=self.padding, layout=self.layout
        )


class MaxPooling2D(_Pooling):
    """Take the largest element of each window of images.

    Args:
        pool_size: size of a window: one for both axes, or one for each.
        strides: steps between windows; `pool_size` if left out.
        padding: "valid" or "same".
        data_format: "channels_last" (default) or "channels_first".
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.MaxPooling2D()(hg.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """

    rank = 2
    pool = staticmethod(max_pool)


class AveragePooling2D(_Pooling):
    """Take the mean of each window of images; arguments are those of `MaxPooling2D`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.AveragePooling2D()(hg.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """

    rank = 2
    pool = staticmethod(avg_pool)


class Flatten(Layer):
    """Make one axis of all but the first.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Flatten()(hg.ones((4, 2, 3))).shape
    (4, 6)
    """

    def call(self, x: Any) -> Any:
        """Reshape."""
        return reshape(x, (x.shape[0], math.prod(x.shape[1:])))


class Reshape(Layer):
    """Give each sample another shape.

    Args:
        target_shape: without the batch; one size may be -1, which is found from the others.
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Reshape((3, -1))(hg.ones((4, 6))).shape
    (4, 3, 2)
    """

    def __init__(self, target_shape: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.target_shape = tuple(target_shape)

    def call(self, x: Any) -> Any:
        """Reshape."""
        return reshape(x, (x.shape[0], *self.target_shape))


class Activation(Layer):
    """Apply an activation function, given by itself or by its name.

    >>> from headgate import nn
    >>> nn.Activation("relu")([-1.0, 2.0]).numpy()
    array([0., 2.], dtype=float32)
    """

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = get_activation(activation)

    def call(self, x: Any) -> Any:
        """Activate."""
        return self.activation(x)


class ReLU(Layer):
    """Apply `relu`, with its arguments.

    >>> from headgate import nn
    >>> nn.ReLU(max_value=6.0)([-1.0, 2.0, 9.0]).numpy()
    array([0., 2., 6.], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, x: Any) -> Any:
        """Activate."""
        return relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """Return x where it is positive, `negative_slope * x` elsewhere.

    >>> from headgate import nn
    >>> nn.LeakyReLU(0.5)([-1.0, 2.0]).numpy()
    array([-0.5,  2. ], dtype=float32)
    """

    def __init__(
        self, negative_slope: float = 0.3, *, alpha: float | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.negative_slope = negative_slope if alpha is None else alpha  # the older name

    def call(self, x: Any) -> Any:
        """Activate."""
        return leaky_relu(x, self.negative_slope)


class Softmax(Layer):
    """Apply softmax along an axis.

    >>> from headgate import nn
    >>> nn.Softmax()([0.0, 0.0]).numpy()
    array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, x: Any) -> Any:
        """Activate."""
        return softmax(x, axis=self.axis)


class Dropout(Layer):
    """In training, set a random part of the elements to zero and scale up the rest.

    Args:
        rate: probability of an element to be dropped.
        noise_shape: shape of the random mask, which is broadcast; that of the input if left out.
        seed: for a generator of the layer's own; that of `headgate.random` if left out.
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> layer = nn.Dropout(0.5)
    >>> layer([1.0, 2.0]).numpy(), bool(hg.any(layer(hg.ones((1000,)), training=True) == 0.0))
    (array([1., 2.], dtype=float32), True)
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not 0 <= rate <= 1:
            raise ValueError(f"Dropout: rate is a probability, from 0 to 1, and was {rate}")
        self.rate = rate
        self.noise_shape = noise_shape
        self._own_generator = None if seed is None else np.random.default_rng(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        """Drop."""
        if not training or not self.rate:
            return x
        shape = x.shape
        if self.noise_shape is not None:
            shape = [old if new is None else new for new, old in zip(self.noise_shape, shape)]
        generator = self._own_generator or random.generator()
        kept = generator.random(shape, dtype=np.float32) >= self.rate
        scale = 1.0 / (1.0 - self.rate) if self.rate < 1 else 0.0
        return x * constant(kept.astype(x.dtype) * scale)


class Concatenate(Layer):
    """Join a list of inputs along an axis.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Concatenate()([hg.ones((4, 2)), hg.ones((4, 3))]).shape
    (4, 5)
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, inputs: Sequence[Any]) -> Any:
        """Join."""
        return concat(inputs, axis=self.axis)


class Lambda(Layer):
    """Make a layer of a function of tensors, so that symbols can be given to it.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Lambda(hg.square)(nn.Input((3,))).shape
    (None, 3)
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        super().__init__(**options)
        self.function = function

    def call(self, *args: Any, **options: Any) -> Any:
        """Call the function."""
        return self.function(*args, **options)
