"""Dense and embedding layers, activations, dropout and noise, shapes, and what joins inputs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headgate import random
from headgate.core.checks import amount, number, optional, outline, whole, wholes
from headgate.core.lift import as_tensor
from headgate.core.tensor import constant
from headgate.core.variable import Variable
from headgate.nn.activations import get_activation, relu, softmax
from headgate.nn.initializers import get_initializer
from headgate.nn.layer import Layer, Shape
from headgate.nn.options import axes, positive, switch
from headgate.ops.activations import leaky_relu
from headgate.ops.elementwise import add, astype, multiply, subtract, where
from headgate.ops.index import embedding
from headgate.ops.linalg.products import matmul
from headgate.ops.shape import concat, reshape


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
        self.units = positive(self, "units", units)
        self.activation = get_activation(activation)
        self.use_bias = switch(self, "use_bias", use_bias)
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


class Embedding(Layer):
    """Look up a trainable vector for each whole number.

    Args:
        input_dim: how many vectors there are: the numbers are from 0 to `input_dim - 1`.
        output_dim: size of each vector.
        embeddings_initializer: for the table of them, of shape (input_dim, output_dim).
        options: those of `Layer`.

    Raises:
        ValueError: NumPy input with numbers that are not whole, or not in the table.

    The result has the shape of the input and one axis more. Floats are accepted if they are whole.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Embedding(1000, 16)([[4, 10], [0, 999]]).shape
    (2, 2, 16)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.input_dim = positive(self, "input_dim", input_dim)
        self.output_dim = positive(self, "output_dim", output_dim)
        self.embeddings_initializer = get_initializer(embeddings_initializer)

    def build(self, input_shape: Shape) -> None:
        """Make the table."""
        shape = self.input_dim, self.output_dim
        self.embeddings = self.add_weight(shape, self.embeddings_initializer, name="embeddings")

    def call(self, x: Any) -> Any:
        """Look up."""
        return embedding(self.embeddings, self._numbers(x))

    def _numbers(self, x: Any) -> Any:
        """Return the input as integers; those that NumPy holds are looked at."""
        value = x.value
        if isinstance(value, np.ndarray) and value.size:
            least, most = value.min(), value.max()
            whole = value.dtype.kind in "biu" or np.all(value == np.floor(value))
            if not (whole and least >= 0 and most < self.input_dim):
                raise ValueError(
                    f"layer {self.name!r} takes whole numbers from 0 to {self.input_dim - 1}, and "
                    f"was given {value.dtype} of shape {value.shape} from {least} to {most}; "
                    "input_dim must be more than the largest number"
                )
        return x if value.dtype.kind in "iu" else astype(x, np.int64)


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
        self.target_shape = wholes("Reshape", "target_shape", target_shape, -1)

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
        self.max_value = optional(number, "ReLU", "max_value", max_value, "[0, inf]")
        self.negative_slope = number("ReLU", "negative_slope", negative_slope, "[0, inf)")
        self.threshold = number("ReLU", "threshold", threshold, "[0, inf)")

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
        name, slope = ("negative_slope", negative_slope) if alpha is None else ("alpha", alpha)
        self.negative_slope = number(
            "LeakyReLU", name, slope, "[0, inf)"
        )  # alpha is its older name

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
        self.axis = axes(self, "axis", axis)

    def call(self, x: Any) -> Any:
        """Activate."""
        return softmax(x, axis=self.axis)


class Dropout(Layer):
    """In training, set a random part of the elements to zero and scale up the rest.

    Args:
        rate: probability of an element to be dropped; a variable may change it between steps.
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
        self.rate = amount("Dropout", "rate", rate, "[0, 1]")
        if noise_shape is not None:
            noise_shape = outline("Dropout", "noise_shape", noise_shape, 1)
        self.noise_shape = noise_shape
        self._generator, self.seed_state = seeded(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        """Drop."""
        if not training or is_zero(self.rate):
            return x
        shape = x.shape
        if self.noise_shape is not None:
            shape = [old if new is None else new for new, old in zip(self.noise_shape, shape)]
        return dropped(x, self.rate, shape, self._generator)


def is_zero(rate: Any) -> bool:
    """Tell whether a rate is zero for good: a number, no tensor or variable."""
    return isinstance(rate, int | float) and not rate


def dropped(x: Any, rate: Any, shape: Sequence[int], generator: random.Generator | None) -> Any:
    """Return x with a random part set to zero and the rest scaled up, by a mask of some shape.

    Where the rate is a tensor, gradient flows to it through the scale, as in TensorFlow.
    """
    drawn = (generator or random.get_generator()).uniform(shape, dtype=np.float32)
    if isinstance(rate, int | float):
        scale = 1.0 / (1.0 - rate) if rate < 1 else 0.0
        kept = (drawn.value >= rate).astype(x.dtype)
        return x * constant(kept * kept.dtype.type(scale))
    chance = as_tensor(rate)
    kept = astype(constant(as_tensor(drawn >= chance.value).value), x.dtype)
    left = 1.0 - chance
    growth = where(left > 0.0, 1.0 / where(left > 0.0, left, 1.0), 0.0)
    return x * (kept * astype(growth, x.dtype))


def seeded(seed: int | None) -> tuple[random.Generator | None, Variable | None]:
    """Return a generator for a layer with a seed, and the variable that has its state.

    The layer holds the variable, so that a checkpoint has it. Layers without a seed draw from the
    default generator.
    """
    if seed is None:
        return None, None
    generator = random.Generator(seed, "seed_state")
    return generator, generator.state


class GaussianNoise(Layer):
    """In training, add random numbers of mean 0.

    Args:
        stddev: their standard deviation.
        seed: for a generator of the layer's own; that of `headgate.random` if left out.
        options: those of `Layer`.

    >>> from headgate import nn
    >>> layer = nn.GaussianNoise(0.1)
    >>> layer([1.0]).numpy(), layer([1.0], training=True).shape
    (array([1.], dtype=float32), (1,))
    """

    def __init__(self, stddev: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.stddev = number("GaussianNoise", "stddev", stddev, "[0, inf)")
        self._generator, self.seed_state = seeded(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        """Add noise."""
        if not training or not self.stddev:
            return x
        x = self._floats(x)
        noise = (self._generator or random.get_generator()).normal(x.shape)
        return x + constant((self.stddev * noise.value).astype(x.dtype))


class _Merge(Layer):
    """What layers share that compute one tensor from a list of them, element by element."""

    combine: Callable[[Any, Any], Any]

    def call(self, inputs: Sequence[Any]) -> Any:
        """Combine."""
        given: Any = getattr(inputs, "shape", None)
        if isinstance(inputs, list | tuple):
            given = [x.shape for x in inputs]
        if not isinstance(given, list) or not given or len({len(shape) for shape in given}) > 1:
            raise ValueError(
                f"layer {self.name!r} takes a list of tensors with the same number of axes, and "
                f"was given shapes {given}"
            )
        return functools.reduce(self.combine, inputs)


class Add(_Merge):
    """Add up a list of inputs.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Add()([hg.ones((1, 2)), hg.ones((1, 2))]).numpy()
    array([[2., 2.]], dtype=float32)
    """

    combine = staticmethod(add)


class Subtract(_Merge):
    """Subtract the second of two inputs from the first.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Subtract()([hg.ones((2, 1)), hg.ones((2, 3))]).shape
    (2, 3)
    """

    combine = staticmethod(subtract)

    def call(self, inputs: Sequence[Any]) -> Any:
        """Subtract."""
        if not isinstance(inputs, list | tuple) or len(inputs) != 2:
            raise ValueError(f"layer {self.name!r} takes a list of two tensors")
        return super().call(inputs)


class Multiply(_Merge):
    """Multiply a list of inputs.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Multiply()([hg.ones((2, 1)), hg.ones((2, 3))]).shape
    (2, 3)
    """

    combine = staticmethod(multiply)


class Average(_Merge):
    """Take the mean of a list of inputs.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Average()([hg.zeros((1, 2)), hg.ones((1, 2))]).numpy()
    array([[0.5, 0.5]], dtype=float32)
    """

    combine = staticmethod(add)

    def call(self, inputs: Sequence[Any]) -> Any:
        """Add up and divide."""
        return super().call(inputs) / len(inputs)


class Concatenate(Layer):
    """Join a list of inputs along an axis.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Concatenate()([hg.ones((4, 2)), hg.ones((4, 3))]).shape
    (4, 5)
    """

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = whole("Concatenate", "axis", axis)

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
