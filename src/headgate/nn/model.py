"""Models: layers that are used as a whole.

A model is written in one of three ways: as a subclass with `call`, as a `Sequential` list of
layers, or from symbols (`headgate.nn.symbols`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optree

from headgate.core.tensor import Tensor, constant
from headgate.core.variable import Variable
from headgate.naming import plain_name
from headgate.nn.layer import Layer
from headgate.nn.paths import name_members, rename, take
from headgate.nn.symbols import Call, Symbol, calls_between, noted, symbols
from headgate.record.graph import unrecorded


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
        given, wanted = symbols(inputs), symbols(outputs)
        if not given or not wanted:
            raise ValueError(
                "Model(inputs, outputs) takes symbols: make the inputs with Input(shape) and "
                "compute the outputs from them with layers"
            )
        self._plan = calls_between(given, wanted)
        made = [
            *(symbol.call.function for symbol in given),
            *(call.function for call in self._plan),
        ]
        self._layers = [layer for layer in made if isinstance(layer, Layer)]
        self.output_shape = optree.tree_map(lambda symbol: symbol.shape, outputs)
        self.built = True
        name_members(self)

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
        if not self.built:
            self.built = True  # so that the call does not come here again
            try:
                rename(self)
                with unrecorded():
                    self(_zeros(input_shape, self.dtype), training=False)
            except BaseException:
                self.built = False
                raise

    def _build(self, input_shape: Any) -> None:
        """Let the call under way build the layers, after a subclass' own `build` if it has one."""
        self.built = True  # so that `build` above, if that one calls it, leaves the call alone
        if type(self).build is not Model.build:
            try:
                self.build(input_shape)
            except BaseException:
                self.built = False
                raise

    def call(self, *args: Any, **options: Any) -> Any:
        """Repeat the calls that lead from the inputs to the outputs."""
        if not self._plan:
            super().call(*args, **options)
        inputs: Any = args
        expected, given = optree.tree_leaves(self.inputs), optree.tree_leaves(inputs)
        if len(given) != len(expected):
            raise ValueError(f"{self.name} has {len(expected)} inputs and was given {len(given)}")
        values = {id(symbol): value for symbol, value in zip(expected, given, strict=True)}

        def value_of(leaf: Any) -> Any:
            return values[id(leaf)] if type(leaf) is Symbol else leaf

        for call in self._plan:
            arguments: Any = (call.args, call.options)
            arguments = optree.tree_map(value_of, arguments)
            results = optree.tree_leaves(call.function(*arguments[0], **arguments[1]))
            for symbol, value in zip(call.outputs, results, strict=True):
                values[id(symbol)] = value
        return optree.tree_map(value_of, self.outputs)

    def summary(self, *, expand_nested: bool = False) -> None:
        """Print a table of the layers: result shapes, numbers of weights, how many are trained.

        Args:
            expand_nested: show the layers inside of layers, too.
        """
        from rich.console import Console
        from rich.table import Table

        table = Table("Layer", "Type", "Output shape", title=f"Model {self.name}")
        table.title_justify = "left"
        for title in ("Weights", "Trained"):
            table.add_column(title, justify="right")

        def add(layers: Sequence[Layer], indent: str) -> None:
            for layer in layers:
                shape = "?" if layer.output_shape is None else str(layer.output_shape)
                counts = [*map(_size, (layer.variables, layer.trainable_variables))]
                if not layer.built:
                    counts = ["not built", ""]
                table.add_row(f"{indent}{layer.name}", type(layer).__name__, shape, *counts)
                if expand_nested:
                    add(layer._members()[1], indent + "  ")

        add(self.layers, "")
        table.add_section()
        table.add_row("all", "", "", *map(_size, (self.variables, self.trainable_variables)))
        Console().print(table)


def _size(variables: Sequence[Variable]) -> str:
    """Return the number of elements of some variables, as text."""
    return f"{sum(variable.size for variable in variables):,}"


def _zeros(shapes: Any, dtype: Any) -> Any:
    """Return zeros of a shape, or of each shape of a list; None stands for 1."""
    if any(isinstance(shape, list | tuple) for shape in shapes):
        return [_zeros(shape, dtype) for shape in shapes]
    return constant(np.zeros([1 if size is None else size for size in shapes], dtype))


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
            ValueError: an `Input` that is not the first.
        """
        if type(layer) is Symbol and isinstance(layer.call.function, InputLayer):
            layer = layer.call.function
        if not isinstance(layer, Layer):
            raise TypeError(f"{self.name}.add takes a layer, not {layer!r}")
        if isinstance(layer, InputLayer) and (self._stack or self._examples):
            raise ValueError(f"{self.name}.add: an Input can only be the first layer")
        before = vars(self) | {"_names": self._names.copy()}
        own = layer.name, layer._holder
        try:
            stack, examples = self._stack, self._examples
            if not stack and layer._sample_shape is not None:
                self._sample_shape = layer._sample_shape
                if None not in layer._sample_shape:
                    dtype = layer.dtype if isinstance(layer, InputLayer) else self.dtype
                    examples = [*examples, _zeros((None, *layer._sample_shape), dtype)]
            if not isinstance(layer, InputLayer):
                stack = [*stack, layer]
                take(self, layer, plain_name(type(layer).__name__))
                if examples:
                    with unrecorded():
                        examples = [*examples, layer(examples[-1], training=False)]
                    self.built = True
                    self.output_shape = layer.output_shape
            self._examples, self._stack = examples, stack
        except BaseException:  # an input that does not fit, or an interrupt
            layer.name, layer._holder = own
            self.__dict__ = before
            raise

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        *stack, last = self._stack
        vars(self).update(_stack=stack, _examples=self._examples[:-1], output_shape=None)
        self._stack = stack  # once more, so that compiled functions hear of it
        return last

    def call(self, x: Any, training: Any = None) -> Any:
        """Call the layers in turn."""
        for layer in self._stack:
            x = layer(x)
        return x


class InputLayer(Layer):
    """What `Input` leaves in a model; first in a `Sequential`, it says what shape of input comes.

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
    *,
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
    symbol: Symbol = noted(layer, (), {}, example)
    return symbol
