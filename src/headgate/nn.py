"""Layers and models with Keras' names, arguments and defaults.

A **layer** is an object that holds variables and further layers in its attributes (also in lists,
tuples and dictionaries there), and a `call` that computes with them. Nothing is registered:
`variables` looks at the attributes when it is asked, in their order, a layer's own variables before
those of the layers in it. Calling a layer does what its `call` need not care about: arrays become
tensors of the layer's dtype (integers stay, a layer that needs floats converts them), the first
call builds the weights from the shape of the input, and `training` is handed down to all layers
called inside.

A **model** is a layer that is a program's outermost one, written in one of three ways: a subclass
with `call`, a `Sequential` list, or a graph of calls. In the last, `Input` makes a **symbol**: it
stands for a value that is not there yet and carries an example of it (one sample of zeros). A layer
called on symbols runs on their examples, so shapes need no rules of their own, and the call is
noted down; a model made from inputs and outputs repeats the calls between them.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optree

from headgate import random
from headgate.namespace import is_array
from headgate.op import as_tensor
from headgate.ops import conv as convolution
from headgate.ops import elementwise, functional
from headgate.ops import shape as shapes
from headgate.ops.linalg import matmul
from headgate.tape import unrecorded
from headgate.tensor import Tensor, constant
from headgate.variable import Variable

Shape = tuple[int, ...]

# -- settings --------------------------------------------------------------------------------------

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


# -- initializers ----------------------------------------------------------------------------------


def _generator(seed: int | None) -> np.random.Generator:
    return random.generator() if seed is None else np.random.default_rng(seed)


def _truncated_normal(generator: np.random.Generator, shape: Any) -> Any:
    """Draw from a normal distribution, again for whatever lies beyond two standard deviations."""
    drawn = generator.standard_normal(shape)
    while (beyond := np.abs(drawn) > 2.0).any():
        drawn[beyond] = generator.standard_normal(np.count_nonzero(beyond))
    return drawn


def _made(values: Any, dtype: Any) -> Tensor:
    """Return values as a tensor, of the default dtype if none was asked for."""
    return constant(np.array(values, _float_dtype if dtype is None else dtype))


@dataclass(frozen=True)
class Constant:
    """Initializer that fills with one value.

    >>> from headgate import nn
    >>> nn.Constant(2.0)((2,)).numpy()
    array([2., 2.], dtype=float32)
    """

    value: Any = 0.0

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return _made(np.broadcast_to(self.value, tuple(shape)), dtype)


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
        return _made(self.mean + self.stddev * drawn, dtype)


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
        return _made(self.mean + self.stddev * drawn, dtype)


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
        return _made(drawn, dtype)


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
            return _made(generator.uniform(-limit, limit, shape), dtype)
        if self.distribution == "untruncated_normal":
            return _made(deviation * generator.standard_normal(shape), dtype)
        drawn = _truncated_normal(generator, shape)
        return _made(deviation / _NORMAL_CUT_AT_2 * drawn, dtype)


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


# -- activations -----------------------------------------------------------------------------------

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
        x = elementwise.where(above, x, negative_slope * (x - threshold))
    elif negative_slope:
        x = elementwise.leaky_relu(x, negative_slope)
    else:
        x = elementwise.relu(x)
    return x if max_value is None else elementwise.minimum(x, max_value)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """Return x where it is positive, `negative_slope * x` elsewhere."""
    return elementwise.leaky_relu(x, negative_slope)  # type: ignore[no-any-return]


sigmoid = _remembers_logits(elementwise.sigmoid)
softmax = _remembers_logits(functional.softmax)

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "relu": elementwise.relu,
    "relu6": elementwise.relu6,
    "leaky_relu": leaky_relu,
    "elu": elementwise.elu,
    "selu": elementwise.selu,
    "gelu": elementwise.gelu,
    "silu": elementwise.silu,
    "swish": elementwise.silu,
    "mish": elementwise.mish,
    "sigmoid": sigmoid,
    "hard_sigmoid": elementwise.hard_sigmoid,
    "log_sigmoid": elementwise.log_sigmoid,
    "tanh": elementwise.tanh,
    "hard_tanh": elementwise.hard_tanh,
    "softmax": softmax,
    "log_softmax": functional.log_softmax,
    "softplus": elementwise.softplus,
    "softsign": elementwise.softsign,
    "exponential": elementwise.exp,
}


def get_activation(identifier: Any) -> Callable[..., Any]:
    """Return an activation function, given one, its name, or None for no activation."""
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return _find("activation", ACTIVATIONS, identifier)  # type: ignore[no-any-return]
    if not callable(identifier):
        raise ValueError(
            f"an activation is a name such as 'relu' or a function, not {identifier!r}"
        )
    return identifier  # type: ignore[no-any-return]


# -- the layer -------------------------------------------------------------------------------------


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
        input_shape: shape of one sample; a `Sequential` that begins with this layer is built at
            once.
        input_dim: in place of `input_shape`, its only size.

    A subclass makes its sublayers in `__init__`, makes in `build(input_shape)` what depends on the
    shape of its input, by `add_weight`, and computes in `call`. If `call` has an argument
    `training` it gets what was given to the outermost layer, `layer(x, training=True)`.

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
    dtype: Any = None
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
            return elementwise.astype(x, self.dtype) if self._casts(x.dtype) else x
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
        return x if x.dtype.kind in "fcV" else elementwise.astype(x, self.dtype)

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


# -- models ----------------------------------------------------------------------------------------


class Symbol:
    """A value that a model will be given or compute: an example of it, and the call that makes it.

    Layers accept symbols, and so do operators and indexing: `x + y`, `x[:, 0]`.
    """

    __slots__ = ("call", "example")

    __array_ufunc__ = None  # so that `array + symbol` is left to the symbol

    def __init__(self, example: Tensor, call: Call) -> None:
        self.example = example
        self.call = call

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes of all axes; None for the first one, the batch."""
        return (None, *self.example.shape[1:])

    @property
    def dtype(self) -> Any:
        """Type of the elements."""
        return self.example.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.example.ndim

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            f"a symbol of shape {self.shape} has no value yet, so only layers, operators and indexing "
            "accept it; to use another function of tensors, wrap it in Lambda(function)"
        )

    def __repr__(self) -> str:
        return f"<Symbol shape={self.shape}, dtype={self.dtype}>"


_OPERATORS = (
    *(f"__{side}{name}__" for name in ("add", "sub", "mul", "truediv", "pow", "matmul") for side in ("", "r")),
    *("__neg__", "__abs__", "__getitem__"),
)  # fmt: skip


def _noting(name: str) -> Callable[..., Any]:
    def method(self: Symbol, *others: Any) -> Any:
        return _note(getattr(Tensor, name), (self, *others), {})

    return method


for _name in _OPERATORS:
    setattr(Symbol, _name, _noting(_name))


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """One call of a function, mostly a layer, on symbols; calls are numbered as they are made."""

    number: int
    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    outputs: list[Symbol]


_call_numbers = itertools.count()


def _symbols(tree: Any) -> list[Symbol]:
    return [leaf for leaf in optree.tree_leaves(tree) if type(leaf) is Symbol]


def _note(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Run a function on its symbols' examples; return the results as symbols."""
    example_args, example_options = optree.tree_map(
        lambda leaf: leaf.example if type(leaf) is Symbol else leaf, (args, options)
    )
    with unrecorded():
        examples = function(*example_args, **example_options)
    return _noted(function, args, options, examples)


def _noted(function: Any, args: tuple[Any, ...], options: dict[str, Any], examples: Any) -> Any:
    call = Call(next(_call_numbers), function, args, options, [])
    flat, structure = optree.tree_flatten(examples)
    call.outputs.extend(Symbol(example, call) for example in flat)
    return optree.tree_unflatten(structure, call.outputs)


def _calls_between(inputs: list[Symbol], outputs: list[Symbol]) -> list[Call]:
    """Return the calls that lead from inputs to outputs, in the order in which they were made."""
    given = {id(symbol) for symbol in inputs}
    found: dict[int, Call] = {}
    todo = [symbol for symbol in outputs if id(symbol) not in given]
    while todo:
        symbol = todo.pop()
        call = symbol.call
        if call.number in found:
            continue
        if isinstance(call.function, InputLayer):
            raise ValueError(
                f"the outputs depend on Input {call.function.name!r} of shape {symbol.shape}, which is "
                "not among the model's inputs"
            )
        found[call.number] = call
        todo.extend(s for s in _symbols((call.args, call.options)) if id(s) not in given)
    return [found[number] for number in sorted(found)]


class Model(Layer):
    """A layer that is used as a whole: subclass it, or make it from symbols.

    Args:
        inputs: for a model made from symbols, those that stand for its inputs (from `Input`).
        outputs: the symbols that it computes.
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> class Classifier(nn.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Dense(16, activation="relu")
    ...         self.head = nn.Dense(3)
    ...
    ...     def call(self, x, training=False):
    ...         return self.head(self.hidden(x))
    >>> model = Classifier()
    >>> model(hg.ones((5, 4))).shape, len(model.trainable_variables)
    ((5, 3), 4)

    >>> x = nn.Input((4,))
    >>> hidden = nn.Dense(16, activation="relu")(x)
    >>> model = nn.Model(x, nn.Dense(3)(hidden))
    >>> model(hg.ones((5, 4))).shape
    (5, 3)
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self._plan: list[Call] = []
        if inputs is None and outputs is None:
            return
        self.inputs, self.outputs = inputs, outputs
        given, wanted = _symbols(inputs), _symbols(outputs)
        if not given or not wanted:
            raise ValueError(
                "Model(inputs, outputs) takes symbols: make the inputs with Input(shape) and compute "
                "the outputs from them with layers"
            )
        self._plan = _calls_between(given, wanted)
        made = [
            *(symbol.call.function for symbol in given),
            *(call.function for call in self._plan),
        ]
        self._layers = [layer for layer in made if isinstance(layer, Layer)]
        self.output_shape = optree.tree_map(lambda symbol: symbol.shape, outputs)
        self.built = True

    @property
    def layers(self) -> list[Layer]:
        """The layers that this model holds itself, each once."""
        return list({id(layer): layer for layer in self._members()[1]}.values())

    def build(self, input_shape: Any) -> None:
        """Make all weights, by calling the model on one sample of zeros.

        Args:
            input_shape: with the size of the batch first, which may be None; a list of shapes for a
                model that takes a list.
        """
        with unrecorded():
            self(_zeros(input_shape, self.dtype))

    def _build(self, input_shape: Any) -> None:
        """Let the call that is under way build the layers, unless a subclass has a `build` itself."""
        if type(self).build in (Model.build, Sequential.build):
            self.built = True
        else:
            self.build(input_shape)

    def call(self, *args: Any, **options: Any) -> Any:
        """Repeat the calls that lead from the inputs to the outputs."""
        if not self._plan:
            super().call(*args, **options)
        expected, given = optree.tree_leaves(self.inputs), optree.tree_leaves(args)
        if len(given) != len(expected):
            raise ValueError(f"{self.name} has {len(expected)} inputs and was given {len(given)}")
        values = {id(symbol): value for symbol, value in zip(expected, given, strict=True)}

        def value_of(leaf: Any) -> Any:
            return values[id(leaf)] if type(leaf) is Symbol else leaf

        for call in self._plan:
            call_args, call_options = optree.tree_map(value_of, (call.args, call.options))
            results = optree.tree_leaves(call.function(*call_args, **call_options))
            for symbol, value in zip(call.outputs, results, strict=True):
                values[id(symbol)] = value
        return optree.tree_map(value_of, self.outputs)

    def summary(self) -> None:
        """Print a table of the layers, the shapes of their results and their numbers of weights."""
        from rich.console import Console
        from rich.table import Table

        table = Table(
            "Layer (type)", "Output shape", title=f'Model: "{self.name}"', title_justify="left"
        )
        table.add_column("Weights", justify="right")
        for layer in self.layers:
            shape = "?" if layer.output_shape is None else str(layer.output_shape)
            count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
            table.add_row(f"{layer.name} ({type(layer).__name__})", shape, count)
        console = Console()
        console.print(table)
        for what, variables in (
            ("Total", self.variables),
            ("Trainable", self.trainable_variables),
            ("Not trainable", self.non_trainable_variables),
        ):
            console.print(f"{what}: {sum(variable.size for variable in variables):,}")


def _zeros(shapes: Any, dtype: Any) -> Any:
    """Return zeros of a shape, or of each shape of a list; None stands for 1."""
    if all(size is None or isinstance(size, int) for size in shapes):
        return constant(np.zeros([1 if size is None else size for size in shapes], dtype))
    return [_zeros(shape, dtype) for shape in shapes]


class Sequential(Model):
    """A model that calls one layer after the other.

    Args:
        layers: layers to `add`. If the first is an `Input`, or has an `input_shape`, the weights
            are made at once, else by the first call.
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> model = nn.Sequential([nn.Dense(8, activation="relu"), nn.Dense(1)])
    >>> with hg.GradientTape() as tape:
    ...     loss = hg.mean(model(hg.ones((4, 3))) ** 2)
    >>> [g.shape for g in tape.gradient(loss, model.trainable_variables)]
    [(3, 8), (8,), (8, 1), (1,)]
    """

    def __init__(self, layers: Sequence[Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._stack: list[Layer] = []
        self._examples: list[Tensor] = []  # an input and what each layer makes of it, once known
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Append a layer; an `Input` as the first one says what shape of input to build for.

        Raises:
            TypeError: not a layer.
        """
        if type(layer) is Symbol:
            layer = layer.call.function
        if not isinstance(layer, Layer):
            raise TypeError(f"{self.name}.add takes a layer, not {layer!r}")
        if not self._stack and not self._examples:
            sample = layer._sample_shape
            if sample is not None and None not in sample:
                dtype = layer.dtype if isinstance(layer, InputLayer) else self.dtype
                self._examples.append(_zeros((None, *sample), dtype))
        if isinstance(layer, InputLayer):
            return
        self._stack.append(layer)
        if self._examples:
            with unrecorded():
                self._examples.append(layer(self._examples[-1]))
            self.built = True
            self.output_shape = layer.output_shape

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        if self._examples:
            self._examples.pop()
        return self._stack.pop()

    def call(self, x: Any, training: Any = None) -> Any:
        """Call the layers in turn."""
        for layer in self._stack:
            x = layer(x)
        return x


class InputLayer(Layer):
    """What `Input` leaves in a model; as the first layer of a `Sequential` it gives the input's shape.

    Args:
        shape: of one sample, without the batch.
        batch_size: not used; batches may have any size.
        dtype: of the input.
        options: those of `Layer`.

    >>> from headgate import nn
    >>> len(nn.Sequential([nn.InputLayer((3,)), nn.Dense(2)]).variables)
    2
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        *,
        input_shape: Sequence[int | None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            dtype=dtype, input_shape=input_shape if shape is None else shape, **options
        )
        if self._sample_shape is None:
            raise ValueError("InputLayer needs the shape of one sample, without the batch")
        self.built = True
        self.output_shape = (None, *self._sample_shape)

    def call(self, x: Any) -> Any:
        """Return x."""
        return x


def Input(
    shape: Sequence[int | None],
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Symbol:
    """Return a symbol for an input, to call layers on; arguments are those of `InputLayer`.

    An unknown size (None) counts as 1 in the example that shapes are found with.

    >>> from headgate import nn
    >>> nn.Dense(3)(nn.Input((4,))).shape
    (None, 3)
    """
    layer = InputLayer(shape, batch_size, dtype, name=name)
    example = _zeros(layer.output_shape, layer.dtype)
    return _noted(layer, (), {}, example)  # type: ignore[no-any-return]


# -- layers ----------------------------------------------------------------------------------------


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
                f"layer {self.name!r} was built for inputs of shape (batch, ..., {size}), got {shape}"
            )
        if len(shape) > 2:  # one product of matrices, also in the backward pass
            x = shapes.reshape(x, (math.prod(shape[:-1]), size))
        x = matmul(x, self.kernel)
        if self.bias is not None:
            x = x + self.bias
        if len(shape) > 2:
            x = shapes.reshape(x, (*shape[:-1], self.units))
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
                f"layer {self.name!r} needs inputs of shape ({', '.join(self.layout)}), got {input_shape}"
            )
        channels = input_shape[axis]
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"layer {self.name!r}: groups={self.groups} must divide the {channels} channels of the "
                f"input and filters={self.filters}"
            )
        ends = channels // self.groups, self.filters
        shape = (*self.kernel_size, *(reversed(ends) if self.transposed else ends))
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((self.filters,), self.bias_initializer, name="bias")

    def _convolve(self, x: Any) -> Any:
        return convolution.conv(
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
                bias = shapes.reshape(bias, (self.filters,) + (1,) * self.rank)
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
        return convolution.conv_transpose(
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
    pool = staticmethod(convolution.max_pool)


class AveragePooling2D(_Pooling):
    """Take the mean of each window of images; arguments are those of `MaxPooling2D`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.AveragePooling2D()(hg.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """

    rank = 2
    pool = staticmethod(convolution.avg_pool)


class Flatten(Layer):
    """Make one axis of all but the first.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Flatten()(hg.ones((4, 2, 3))).shape
    (4, 6)
    """

    def call(self, x: Any) -> Any:
        """Reshape."""
        return shapes.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


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
        return shapes.reshape(x, (x.shape[0], *self.target_shape))


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
        return elementwise.leaky_relu(x, self.negative_slope)


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
        return shapes.concat(inputs, axis=self.axis)


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
