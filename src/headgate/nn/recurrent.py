"""Recurrent layers: a state that is taken from one step of a sequence to the next.

What the inputs contribute does not depend on the state, so it is computed for all steps in one
product of matrices; a step then multiplies only the state. An LSTM with its usual activations takes
its step in two rows of the tape (see `headgate.ops.functional`). In a compiled function the steps
are one loop (`headgate.compile.control`), which is compiled as fast for a thousand steps as for
one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.compile.control import scan
from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor, constant
from headgate.core.traced import is_traced
from headgate.core.variable import Variable
from headgate.nn.activations import get_activation
from headgate.nn.core import dropped, seeded
from headgate.nn.initializers import get_initializer
from headgate.nn.layer import Layer, Shape
from headgate.nn.options import check_axes, positive, ranged, switch
from headgate.ops.elementwise import astype, where
from headgate.ops.functional import lstm_gates, lstm_state
from headgate.ops.linalg.products import matmul
from headgate.ops.shape import expand_dims, flip, moveaxis, permute_dims, reshape, split, stack

State = list[Any]
"""What a step hands to the next one; its first entry is the result of the step."""


class _Recurrent(Layer):
    """What recurrent layers share: weights, and the way along the steps."""

    parts: int  # in so many parts are the columns of the kernels
    states = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        *,
        dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.units = positive(self, "units", units)
        self.activation = get_activation(activation)
        self.use_bias = switch(self, "use_bias", use_bias)
        self.kernel_initializer = get_initializer(kernel_initializer)
        self.recurrent_initializer = get_initializer(recurrent_initializer)
        self.bias_initializer = get_initializer(bias_initializer)
        self.dropout = ranged(self, "dropout", dropout, "[0, 1]")
        self._generator, self.seed_state = seeded(seed)
        self.return_sequences = switch(self, "return_sequences", return_sequences)
        self.return_state = switch(self, "return_state", return_state)
        self.go_backwards = switch(self, "go_backwards", go_backwards)
        self.bias: Variable | None = None

    # -- what the kinds of layers define ----------------------------------------------------------

    def _step(self, inputs: Any, state: State) -> State:
        """Return the next state, given what the inputs of a step contribute."""
        raise NotImplementedError

    def _bias_shape(self) -> Shape:
        return (self.parts * self.units,)

    def _first_bias(self, shape: Shape, dtype: Any) -> Any:
        return self.bias_initializer(shape, dtype)

    def _input_bias(self) -> Any:
        """Return what is added to the product of the inputs."""
        return self.bias

    # -- what they share --------------------------------------------------------------------------

    def build(self, input_shape: Shape) -> None:
        """Make both kernels and the bias."""
        check_axes(self, input_shape, "NTC")
        if input_shape[-1] is None:
            raise ValueError(
                f"layer {self.name!r} needs to know the size of the last axis, and was built for "
                f"{input_shape}"
            )
        columns = self.parts * self.units
        self.kernel = self.add_weight(
            (input_shape[-1], columns), self.kernel_initializer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            (self.units, columns), self.recurrent_initializer, name="recurrent_kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(self._bias_shape(), self._first_bias, name="bias")

    def call(
        self, x: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """Go along the steps."""
        x = self._floats(x)
        size = self.kernel.shape[0]
        if x.ndim != 3 or x.shape[-1] != size or not x.shape[1]:
            raise ValueError(
                f"layer {self.name!r} was built for sequences of shape (batch, steps, {size}), of "
                f"one step at least, and was given the shape {x.shape}"
            )
        if training and self.dropout:
            x = dropped(x, self.dropout, (x.shape[0], 1, size), self._generator)
        state = self._first_state(initial_state, x.shape[0])
        products = self._contributions(x)
        keeps = None if mask is None else self._mask(mask, x.shape[:2])
        result = constant(np.zeros((x.shape[0], self.units), x.dtype))
        along = self._loop if is_traced(products.value) else self._steps
        (answer, state), results = along(x.shape[1], (result, state), products, keeps)
        if self.return_sequences:
            answer = results
        return (answer, *state) if self.return_state else answer

    def _advance(self, carry: tuple[Any, State], given: tuple[Any, Any]) -> tuple[Any, Any]:
        """Take one step; return result and state twice over: to carry on, and to keep."""
        (result, state), (inputs, keep) = carry, given
        new = self._step(inputs, state)
        if keep is None:
            return (new[0], new), new[0]
        result = where(keep, new[0], result)
        return (result, [where(keep, *pair) for pair in zip(new, state)]), result

    def _steps(self, count: int, carry: Any, products: Tensor, keeps: Any) -> tuple[Any, Any]:
        """Take one step after the other."""
        inputs = split(products, count, axis=0)
        masks = [None if keeps is None else keeps[number] for number in range(count)]
        results = []
        order = reversed(range(count)) if self.go_backwards else range(count)
        for number in order:
            carry, result = self._advance(carry, (inputs[number], masks[number]))
            results.append(result)
        return carry, stack(results, axis=1) if self.return_sequences else None

    def _loop(self, count: int, carry: Any, products: Tensor, keeps: Any) -> tuple[Any, Any]:
        """Take all steps in one loop of a compiled program."""
        inputs = reshape(products, (count, -1, products.shape[-1]))
        carry, results = scan(self._advance, carry, (inputs, keeps), reverse=self.go_backwards)
        if self.go_backwards:
            results = flip(results, axis=0)
        return carry, moveaxis(results, 0, 1)

    def _first_state(self, given: Any, batch: int) -> State:
        """Return the state before the first step: zeros if none was given."""
        shape = batch, self.units
        if given is None:
            return [constant(np.zeros(shape, self.dtype)) for _ in range(self.states)]
        state = [as_tensor(x) for x in (given if isinstance(given, list | tuple) else [given])]
        if [x.shape for x in state] != [shape] * self.states:
            raise ValueError(
                f"layer {self.name!r} needs an initial_state of {self.states} tensor(s) of shape "
                f"{shape}, got shapes {[x.shape for x in state]}"
            )
        return [x if x.dtype == self.dtype else astype(x, self.dtype) for x in state]

    def _mask(self, mask: Any, shape: Shape) -> Tensor:
        """Return for each step which samples take it, (steps, batch, 1)."""
        found = as_tensor(mask)
        if found.shape != shape:
            raise ValueError(
                f"layer {self.name!r} needs a mask of shape (batch, steps), here {shape}, got "
                f"{found.shape}"
            )
        taken = found if found.dtype.kind == "b" else found != 0
        return expand_dims(permute_dims(taken, (1, 0)), axis=-1)

    def _contributions(self, x: Tensor) -> Tensor:
        """Return x @ kernel + bias for all samples of all steps, one step after the other."""
        batch, steps, size = x.shape
        rows = reshape(permute_dims(x, (1, 0, 2)), (steps * batch, size))
        products = matmul(rows, self.kernel)
        if self.bias is not None:
            products = products + self._input_bias()
        return products


class SimpleRNN(_Recurrent):
    """Take sequences, (batch, steps, size), through `h = activation(x @ kernel + h @ recurrent)`.

    Args:
        units: size of the state h.
        activation: a function or its name.
        use_bias: whether there is a bias.
        kernel_initializer: for the kernel, of shape (size, units).
        recurrent_initializer: for the recurrent kernel, of shape (units, units).
        bias_initializer: for the bias, of shape (units,).
        dropout: probability for each number of the input to be dropped in training, in all steps
            of a sequence.
        seed: for a generator of the layer's own, for the dropout.
        return_sequences: return the states of all steps, (batch, steps, units), not just the last.
        return_state: return the last state as well.
        go_backwards: begin with the last step; results are in the order in which they are made.
        options: those of `Layer`.

    A call may have an `initial_state`, which is zeros otherwise, and a `mask` of shape (batch,
    steps): a step where it is false leaves the state as it is and repeats the last result.

    Raises:
        ValueError: an input, a state or a mask of another shape.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.SimpleRNN(8)(hg.ones((2, 5, 3))).shape
    (2, 8)
    """

    parts = 1

    def _step(self, inputs: Any, state: State) -> State:
        return [self.activation(inputs + matmul(state[0], self.recurrent_kernel))]


class LSTM(_Recurrent):
    """Take sequences, (batch, steps, size), through a long short-term memory.

    The columns of kernels and bias belong, by quarters, to the gates that write, keep and read and,
    the third, to the candidates.

    Args:
        units: size of the hidden state and of the memory.
        activation: of candidates and memory, a function or its name.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: for the kernel, of shape (size, 4 * units).
        recurrent_initializer: for the recurrent kernel, of shape (units, 4 * units).
        bias_initializer: for the bias, of shape (4 * units,).
        unit_forget_bias: let the bias of the gate that keeps begin with ones.
        dropout, seed, return_sequences, return_state, go_backwards: as in `SimpleRNN`; there are
            two states, hidden state and memory.
        options: those of `Layer`.

    A call may have an `initial_state` of two tensors and a `mask`, as in `SimpleRNN`.

    Raises:
        ValueError: an input, a state or a mask of another shape.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> y, hidden, memory = nn.LSTM(8, return_sequences=True, return_state=True)(hg.ones((2, 5, 3)))
    >>> y.shape, hidden.shape, memory.shape
    ((2, 5, 8), (2, 8), (2, 8))
    """

    parts = 4
    states = 2

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            **options,
        )
        self.recurrent_activation = get_activation(recurrent_activation)
        self.unit_forget_bias = switch(self, "unit_forget_bias", unit_forget_bias)
        self._usual = self.activation is get_activation(
            "tanh"
        ) and self.recurrent_activation is get_activation("sigmoid")

    def _first_bias(self, shape: Shape, dtype: Any) -> Any:
        bias = self.bias_initializer(shape, dtype)
        if not self.unit_forget_bias:
            return bias
        keep = np.arange(4 * self.units) // self.units == 1
        return where(keep, constant(np.ones(shape, dtype)), as_tensor(bias))

    def _step(self, inputs: Any, state: State) -> State:
        hidden, memory = state
        x = inputs + matmul(hidden, self.recurrent_kernel)
        if self._usual:
            return list(lstm_state(lstm_gates(x), memory))
        write, keep, candidate, read = split(x, 4, axis=-1)
        memory = self.recurrent_activation(keep) * memory + (
            self.recurrent_activation(write) * self.activation(candidate)
        )
        return [self.recurrent_activation(read) * self.activation(memory), memory]


class GRU(_Recurrent):
    """Take sequences, (batch, steps, size), through gated recurrent units.

    The columns of kernels and bias belong, by thirds, to the gates that update and reset the state
    and to the candidates for the new one.

    Args:
        units: size of the state.
        activation: of the candidates, a function or its name.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: for the kernel, of shape (size, 3 * units).
        recurrent_initializer: for the recurrent kernel, of shape (units, 3 * units).
        bias_initializer: for the bias, of shape (3 * units,), or (2, 3 * units) with `reset_after`:
            one for the inputs and one for the state.
        dropout, seed, return_sequences, return_state, go_backwards: as in `SimpleRNN`.
        reset_after: whether the state is reset after it was multiplied by the kernel, or before.
        options: those of `Layer`.

    A call may have an `initial_state` and a `mask`, as in `SimpleRNN`.

    Raises:
        ValueError: an input, a state or a mask of another shape.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.GRU(8, return_sequences=True)(hg.ones((2, 5, 3))).shape
    (2, 5, 8)
    """

    parts = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        *,
        reset_after: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            **options,
        )
        self.recurrent_activation = get_activation(recurrent_activation)
        self.reset_after = switch(self, "reset_after", reset_after)

    def _bias_shape(self) -> Shape:
        columns = 3 * self.units
        return (2, columns) if self.reset_after else (columns,)

    def _input_bias(self) -> Any:
        return self.bias[0] if self.bias is not None and self.reset_after else self.bias

    def _step(self, inputs: Any, state: State) -> State:
        hidden, gates = state[0], 2 * self.units
        if self.reset_after:
            product = matmul(hidden, self.recurrent_kernel)
            if self.bias is not None:
                product = product + self.bias[1]
            of_gates, of_candidate = split(product, [gates, self.units], axis=-1)
        else:
            of_gates = matmul(hidden, self.recurrent_kernel[:, :gates])
        for_gates, for_candidate = split(inputs, [gates, self.units], axis=-1)
        update, reset = split(self.recurrent_activation(for_gates + of_gates), 2, axis=-1)
        if self.reset_after:
            of_candidate = reset * of_candidate
        else:
            of_candidate = matmul(reset * hidden, self.recurrent_kernel[:, gates:])
        candidate = self.activation(for_candidate + of_candidate)
        return [candidate + update * (hidden - candidate)]
