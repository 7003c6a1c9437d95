"""Layers and models with Keras' names, arguments and defaults.

A **layer** is an object that holds variables and further layers in its attributes (also in lists, tuples
and dictionaries there), and a `call` that computes with them. Nothing is registered: `variables` looks
at the attributes when it is asked, in their order, a layer's own variables before those of the layers
in it. Calling a layer does what its `call` need not care about: arrays become tensors of the layer's
dtype (integers stay, a layer that needs floats converts them), the first call builds the weights from
the shape of the input, and `training` is handed down to all layers called inside.

A **model** is a layer that is a program's outermost one, written in one of three ways: a subclass with
`call`, a `Sequential` list, or a graph of calls. In the last, `Input` makes a **symbol**: it stands for a
value that is not there yet and carries an example of it (one sample of zeros). A layer called on symbols
runs on their examples, so shapes need no rules of their own, and the call is noted down; a model
made from inputs and outputs repeats the calls between them.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import re
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optree

from headgate import random
from headgate.namespace import TENSORS, is_array
from headgate.op import as_tensor
from headgate.ops import conv as convolution
from headgate.tape import unrecorded
from headgate.tensor import Tensor, constant
from headgate.variable import Variable

Shape = tuple[int, ...]

# -- settings ---------------------------------------------------------------------------------------

_float_dtype = np.dtype("float32")
_names: Counter[str] = Counter()


def floatx() -> str:
    """Return the dtype of new layers: "float32" unless `set_floatx` has changed it."""
    return _float_dtype.name


def set_floatx(dtype: Any) -> None:
    """Set the dtype of the layers made from now on.

    >>> from headgate import nn
    >>> nn.set_floatx("float64")
    >>> nn.Dense(1).dtype
    dtype('float64')
    >>> nn.set_floatx("float32")
    """
    global _float_dtype
    found = np.dtype(dtype)
    if found.kind not in "fV":
        raise ValueError(f"set_floatx takes a dtype of floats such as 'float64', not {dtype!r}")
    _float_dtype = found


def unique_name(kind: str) -> str:
    """Return a name for another object of a class: "max_pooling2d", "max_pooling2d_1", ..."""
    base = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", kind.lstrip("_")).lower()
    number = _names[base]
    _names[base] += 1
    return f"{base}_{number}" if number else base


def reset_names() -> None:
    """Count the names of new layers and optimizers from the beginning again."""
    _names.clear()


# -- initializers -----------------------------------------------------------------------------------


def _generator(seed: int | None) -> np.random.Generator:
    return random.generator() if seed is None else np.random.default_rng(seed)


def _truncated_normal(generator: np.random.Generator, shape: Any) -> Any:
    """Draw from a normal distribution, again for whatever lies beyond two standard deviations."""
    drawn = generator.standard_normal(shape)
    while (beyond := np.abs(drawn) > 2.0).any():
        drawn[beyond] = generator.standard_normal(np.count_nonzero(beyond))
    return drawn


def _made(values: Any, shape: Any, dtype: Any) -> Tensor:
    """Return values as a tensor, of the default dtype if none was asked for."""
    wanted = _float_dtype if dtype is None else np.dtype(dtype)
    return constant(np.broadcast_to(np.asarray(values, wanted), tuple(shape)))


@dataclass(frozen=True)
class Constant:
    """Initializer that fills with one value.

    >>> from headgate import nn
    >>> nn.Constant(2.0)((2,)).numpy()
    array([2., 2.], dtype=float32)
    """

    value: Any = 0.0

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return _made(self.value, shape, dtype)


Zeros = functools.partial(Constant, 0.0)
Ones = functools.partial(Constant, 1.0)


@dataclass(frozen=True)
class RandomNormal:
    """Initializer that draws from a normal distribution; with a seed, the same each time.

    >>> from headgate import nn
    >>> nn.RandomNormal(stddev=0.02)((2, 3)).shape
    (2, 3)
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        drawn = _generator(self.seed).standard_normal(shape)
        return _made(self.mean + self.stddev * drawn, shape, dtype)


@dataclass(frozen=True)
class TruncatedNormal(RandomNormal):
    """Initializer that draws from a normal distribution cut off at two standard deviations.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> bool(hg.all(hg.abs(nn.TruncatedNormal(stddev=1.0)((100,))) <= 2.0))
    True
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        drawn = _truncated_normal(_generator(self.seed), shape)
        return _made(self.mean + self.stddev * drawn, shape, dtype)


@dataclass(frozen=True)
class RandomUniform:
    """Initializer that draws from a uniform distribution.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> bool(hg.all(hg.abs(nn.RandomUniform(-0.5, 0.5)((100,))) <= 0.5))
    True
    """

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        drawn = _generator(self.seed).uniform(self.minval, self.maxval, shape)
        return _made(drawn, shape, dtype)


_NORMAL_CUT_AT_2 = 0.87962566103423978
"""The standard deviation that is left of a normal distribution cut off at two of them."""


@dataclass(frozen=True)
class VarianceScaling:
    """Initializer that draws with the variance `scale / n`, n the number of inputs or outputs.

    Args:
        scale: the numerator.
        mode: which n: "fan_in" (inputs), "fan_out" (outputs) or "fan_avg" (their mean).
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        seed: with one, the values are the same each time.

    >>> from headgate import nn
    >>> nn.VarianceScaling(2.0, mode="fan_in")((784, 10)).shape
    (784, 10)
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(
                f"the mode of VarianceScaling is 'fan_in', 'fan_out' or 'fan_avg', not {self.mode!r}"
            )

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        inputs, outputs = _fans(tuple(shape))
        fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(1.0, fan))
        generator = _generator(self.seed)
        if self.distribution == "uniform":
            limit = math.sqrt(3) * deviation
            return _made(generator.uniform(-limit, limit, shape), shape, dtype)
        if self.distribution == "untruncated_normal":
            return _made(deviation * generator.standard_normal(shape), shape, dtype)
        drawn = _truncated_normal(generator, shape)
        return _made(deviation / _NORMAL_CUT_AT_2 * drawn, shape, dtype)


def _fans(shape: Shape) -> tuple[int, int]:
    """Return how many inputs and outputs a kernel of this shape connects."""
    if len(shape) < 2:
        return (math.prod(shape),) * 2
    receptive = math.prod(shape[:-2])
    return shape[-2] * receptive, shape[-1] * receptive


GlorotUniform = functools.partial(VarianceScaling, 1.0, "fan_avg", "uniform")
GlorotNormal = functools.partial(VarianceScaling, 1.0, "fan_avg", "truncated_normal")
HeUniform = functools.partial(VarianceScaling, 2.0, "fan_in", "uniform")
HeNormal = functools.partial(VarianceScaling, 2.0, "fan_in", "truncated_normal")
LecunUniform = functools.partial(VarianceScaling, 1.0, "fan_in", "uniform")
LecunNormal = functools.partial(VarianceScaling, 1.0, "fan_in", "truncated_normal")

INITIALIZERS: dict[str, Callable[..., Any]] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
}


def get_initializer(identifier: Any) -> Callable[..., Any]:
    """Return an initializer, a function of shape and dtype, given one or its name."""
    if isinstance(identifier, str):
        return _find("initializer", INITIALIZERS, identifier)()  # type: ignore[no-any-return]
    if isinstance(identifier, type | functools.partial):
        return identifier()  # type: ignore[no-any-return]
    if not callable(identifier):
        raise ValueError(
            f"an initializer is a name such as 'glorot_uniform' or a function of shape and dtype, not "
            f"{identifier!r}"
        )
    return identifier  # type: ignore[no-any-return]


def _find(what: str, table: dict[str, Any], name: str) -> Any:
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; known are {', '.join(sorted(table))}")
    return table[name]


# -- activations ------------------------------------------------------------------------------------

_logits: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}


def _remembers_logits(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let `logits_of` find the argument again, for as long as the result lives."""

    @functools.wraps(function)
    def activation(x: Any, *options: Any, **named: Any) -> Tensor:
        logits = as_tensor(x)
        result = function(logits, *options, **named)
        key = id(result)
        _logits[key] = weakref.ref(result, lambda _: _logits.pop(key, None)), logits
        return result

    return activation


def logits_of(probabilities: Tensor) -> Tensor | None:
    """Return what a sigmoid or softmax of this module made these probabilities from.

    A cross entropy computed from probabilities has no gradient where they are rounded to 0 or 1;
    computed from logits it has. So a loss asks here first, as Keras does.
    """
    found = _logits.get(id(probabilities))
    return found[1] if found else None


def linear(x: Any) -> Any:
    """Return x."""
    return x


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """Return x from `threshold` to `max_value`; `negative_slope * (x - threshold)` below.

    >>> from headgate import nn
    >>> nn.relu([-2.0, 3.0, 9.0], negative_slope=0.5, max_value=6.0).numpy()
    array([-1.,  3.,  6.])
    """
    if threshold:
        x = as_tensor(x)
        above = constant(x.value >= threshold)  # not recorded: a mask is no way for gradient
        x = TENSORS.where(above, x, negative_slope * (x - threshold))
    elif negative_slope:
        x = TENSORS.leaky_relu(x, negative_slope)
    else:
        x = TENSORS.relu(x)
    return x if max_value is None else TENSORS.minimum(x, max_value)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """Return x where it is positive, `negative_slope * x` elsewhere."""
    return TENSORS.leaky_relu(x, negative_slope)  # type: ignore[no-any-return]


sigmoid = _remembers_logits(TENSORS.sigmoid)
softmax = _remembers_logits(TENSORS.softmax)

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "relu": TENSORS.relu,
    "relu6": TENSORS.relu6,
    "leaky_relu": leaky_relu,
    "elu": TENSORS.elu,
    "selu": TENSORS.selu,
    "gelu": TENSORS.gelu,
    "silu": TENSORS.silu,
    "swish": TENSORS.silu,
    "mish": TENSORS.mish,
    "sigmoid": sigmoid,
    "hard_sigmoid": TENSORS.hard_sigmoid,
    "log_sigmoid": TENSORS.log_sigmoid,
    "tanh": TENSORS.tanh,
    "hard_tanh": TENSORS.hard_tanh,
    "softmax": softmax,
    "log_softmax": TENSORS.log_softmax,
    "softplus": TENSORS.softplus,
    "softsign": TENSORS.softsign,
    "exponential": TENSORS.exp,
}


def get_activation(identifier: Any) -> Callable[..., Any]:
    """Return an activation function, given one, its name, or None for no activation."""
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return _find("activation", ACTIVATIONS, identifier)  # type: ignore[no-any-return]
    if not callable(identifier):
        raise ValueError(f"an activation is a name such as 'relu' or a function, not {identifier!r}")
    return identifier  # type: ignore[no-any-return]


# -- the layer --------------------------------------------------------------------------------------


class _Calls(threading.local):
    """What the layers being called in a thread hand down to those called inside of them."""

    training: Any = None


_calls = _Calls()


class Layer:
    """Base of all layers: variables and layers in attributes, and a `call` that uses them.

    Args:
        name: "dense", "dense_1" and so on after the class if not given.
        trainable: whether `trainable_variables` has its variables; can be set later as well.
        dtype: of its weights, and what floats given to it are cast to; `floatx()` if not given.
        input_shape: shape of one sample; a `Sequential` that begins with this layer is built at once.
        input_dim: in place of `input_shape`, its only size.

    A subclass makes its sublayers in `__init__`, makes in `build(input_shape)` what depends on the shape
    of its input, by `add_weight`, and computes in `call`. If `call` has an argument `training` it gets
    what was given to the outermost layer, `layer(x, training=True)`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> class Scale(nn.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")
    ...
    ...     def call(self, x):
    ...         return x * self.factor
    >>> layer = Scale(name="scale")
    >>> layer([[1.0, 2.0]]).shape, [v.name for v in layer.variables]
    ((1, 2), ['scale/factor'])
    """

    name: str | None = None
    built = False
    output_shape: Any = None
    _trainable = True
    _takes_training: tuple[int, Any] | None = None  # position and default of `training` in call

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Sequence[int | None] | None = None,
        input_dim: int | None = None,
    ) -> None:
        self.name = unique_name(type(self).__name__) if name is None else name
        self.dtype = _float_dtype if dtype is None else np.dtype(dtype)
        self._trainable = trainable
        self._sample_shape = (input_dim,) if input_dim is not None else input_shape
        self._weights: list[Variable] = []

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        parameters = list(inspect.signature(cls.call).parameters.values())[1:]
        cls._takes_training = None
        for position, parameter in enumerate(parameters):
            if parameter.name == "training":
                default = parameter.default
                cls._takes_training = position, None if default is parameter.empty else default
        if "build" in vars(cls):
            cls.build = _marking_built(cls.build)  # type: ignore[method-assign]

    # -- what subclasses define -------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights that depend on the shape of the input; called once, before `call`."""
        self.built = True

    def call(self, *args: Any, **options: Any) -> Any:
        """Compute the layer's result."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, x)")

    # -- weights ----------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = "glorot_uniform",
        dtype: Any = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> Variable:
        """Make a variable of this layer, named `<layer>/<name>`.

        Args:
            shape: () if left out.
            initializer: a function of shape and dtype, or its name.
            dtype: the layer's if left out.
            trainable: whether it is one of `trainable_variables`.
            name: "weight", "weight_1" and so on if left out.
        """
        shape = () if shape is None else tuple(int(size) for size in shape)
        value = get_initializer(initializer)(shape, self.dtype if dtype is None else dtype)
        if name is None:
            name = f"weight_{len(self._weights)}" if self._weights else "weight"
        made = Variable(value, trainable, f"{self.name}/{name}", dtype or self.dtype, shape)
        self._weights.append(made)
        return made

    @property
    def variables(self) -> list[Variable]:
        """All variables of this layer and of the layers in it, each once."""
        return self._collect(False)

    @property
    def trainable_variables(self) -> list[Variable]:
        """Those of `variables` that are to be trained; none of a layer that is not `trainable`."""
        return self._collect(True)

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """Those of `variables` that are not to be trained."""
        chosen = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in chosen]

    weights, trainable_weights = variables, trainable_variables
    non_trainable_weights = non_trainable_variables

    def _collect(self, trainable_only: bool) -> list[Variable]:
        found: dict[int, Variable] = {}
        self._collect_into(found, set(), trainable_only)
        return list(found.values())

    def _collect_into(
        self, found: dict[int, Variable], seen: set[int], trainable_only: bool
    ) -> None:
        if id(self) in seen or (trainable_only and not self._trainable):
            return
        seen.add(id(self))
        variables, layers = self._members()
        for variable in variables:
            if not trainable_only or variable.trainable:
                found[id(variable)] = variable
        for layer in layers:
            layer._collect_into(found, seen, trainable_only)

    def _members(self) -> tuple[list[Variable], list[Layer]]:
        """Return the variables and layers that this one holds itself, in the order of attributes."""
        variables: list[Variable] = []
        layers: list[Layer] = []
        for value in vars(self).values():
            _sort_out(value, variables, layers)
        return variables, layers

    @property
    def trainable(self) -> bool:
        """Whether the variables are to be trained; setting it sets it for all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._all_layers({}):
            layer._trainable = bool(value)

    def _all_layers(self, seen: dict[int, Layer]) -> list[Layer]:
        """Return this layer and all layers in it, each once."""
        if id(self) not in seen:
            seen[id(self)] = self
            for layer in self._members()[1]:
                layer._all_layers(seen)
        return list(seen.values())

    def get_weights(self) -> list[Any]:
        """Return copies of the values of all variables, as NumPy arrays."""
        return [np.array(variable._value) for variable in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign to all variables, in the order of `variables`.

        Raises:
            ValueError: another number of values than of variables, or a value of another shape.
        """
        variables = self.variables
        if len(weights) != len(variables):
            raise ValueError(
                f"{self.name} has {len(variables)} weights and was given {len(weights)}"
                + ("" if self.built else "; it is not built yet: call it, or build(input_shape)")
            )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """Return the number of elements of all variables.

        Raises:
            ValueError: the layer has no variables yet.
        """
        if not self.built:
            raise ValueError(f"{self.name} is not built yet: call it, or build(input_shape)")
        return sum(variable.size for variable in self.variables)

    # -- calling ----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **options: Any) -> Any:
        x = args[0] if args else None
        if type(x) is not Tensor or len(args) > 1 or x.value.dtype is not self.dtype:
            if self.name is None:
                raise RuntimeError(f"{type(self).__name__}.__init__ must call super().__init__()")
            if _symbols((args, options)):
                return _note(self, args, options)
            args = tuple(self._admit(argument) for argument in args)
        first = not self.built
        if first:
            self._build(optree.tree_map(_shape_of, args[0]) if args else None)
        result = self._run(args, options)
        if first:
            self.output_shape = optree.tree_map(lambda y: (None, *_shape_of(y)[1:]), result)
        return result

    def _build(self, input_shape: Any) -> None:
        self.build(input_shape)

    def _run(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call `call` with the `training` that holds here, and let it hold for all layers inside."""
        training = options.pop("training", None)
        outer = _calls.training
        if self._takes_training is not None:
            position, default = self._takes_training
            if len(args) > position:
                training = args[position]
            else:
                if training is None:
                    training = default if outer is None else outer
                options["training"] = training
        if training is None or training is outer:
            return self.call(*args, **options)
        _calls.training = training
        try:
            return self.call(*args, **options)
        finally:
            _calls.training = outer

    def _admit(self, value: Any) -> Any:
        """Return an argument with all arrays in it as tensors, floats in the layer's dtype."""
        if type(value) is Tensor or type(value) is Variable or is_array(value):
            x = as_tensor(value)
            return TENSORS.astype(x, self.dtype) if self._casts(x.dtype) else x
        if isinstance(value, list | tuple | dict):
            if any(type(x) in (Tensor, Variable) or is_array(x) for x in optree.tree_leaves(value)):
                return optree.tree_map(self._admit, value)
            if isinstance(value, list) and value:
                return self._admit(np.asarray(value))
        return value

    def _casts(self, dtype: Any) -> bool:
        return dtype != self.dtype and dtype.kind in "fV"

    def _floats(self, x: Tensor) -> Tensor:
        """Return integers and booleans as floats of the layer's dtype."""
        return x if x.dtype.kind in "fcV" else TENSORS.astype(x, self.dtype)

    def _check(self, x: Any, ndim: int, axis: int, size: int) -> None:
        """Refuse an input that does not have `ndim` axes and `size` channels (for itself or no cure)."""
        if x.ndim != ndim or x.shape[axis] != size:
            raise ValueError(
                f"layer {self.name!r} was built for inputs with {ndim} axes and the size {size} on axis "
                f"{axis}, and was called with the shape {x.shape}"
            )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _marking_built(build: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(build)
    def marking(self: Layer, input_shape: Any) -> None:
        build(self, input_shape)
        self.built = True

    return marking


def _sort_out(value: Any, variables: list[Variable], layers: list[Layer]) -> None:
    """Put an attribute's value on the list where it belongs, if on any."""
    if type(value) is Variable:
        variables.append(value)
    elif isinstance(value, Layer):
        layers.append(value)
    elif isinstance(value, list | tuple):
        for item in value:
            _sort_out(item, variables, layers)
    elif isinstance(value, dict):
        for item in value.values():
            _sort_out(item, variables, layers)


def _shape_of(x: Any) -> Shape:
    return getattr(x, "shape", ())
