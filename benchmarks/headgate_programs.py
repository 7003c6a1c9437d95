"""Steps that are written otherwise for Headgate than for all tapes.

The shared text (`programs`) writes loops over time out, which an eager tape and TensorFlow take as
they are. Compiled, that is a long program that is slow to build; `headgate.scan` is the loop, as
`lax.scan` is in the counterpart for JAX. A tape knows one mode, backwards from each value; of a
function that is high and narrow `headgate.jacobian` computes forward, as JAX's counterpart does:
this one is for eager code too.
"""

from typing import Any

import headgate as hg
from benchmarks.programs import Step, Variables, curve, descend

EAGERLY = ("tall_jacobian",)
"""Those that are for eager code as well."""


def lstm(tf: Any, variables: Variables) -> Step:
    """Fit the last hidden state of an LSTM; the inputs of all steps are multiplied at once."""
    input_kernel, hidden_kernel, bias = variables["cell"]

    def step(sequence: Any, target: Any) -> tuple[Any, ...]:
        def advance(carry: tuple[Any, Any], inputs: Any) -> tuple[tuple[Any, Any], tuple[()]]:
            hidden, memory = carry
            gates = inputs + tf.matmul(hidden, hidden_kernel)
            write, keep, candidate, read = tf.split(gates, 4, axis=1)
            memory = tf.sigmoid(keep) * memory + tf.sigmoid(write) * tf.tanh(candidate)
            return (tf.sigmoid(read) * tf.tanh(memory), memory), ()

        with tf.GradientTape() as tape:
            zeros = tf.zeros_like(target)
            inputs = tf.tensordot(sequence, input_kernel, 1) + bias
            (hidden, _), _ = hg.scan(advance, (zeros, zeros), inputs)
            loss = tf.reduce_mean(tf.square(hidden - target))
        descend(variables["cell"], tape.gradient(loss, variables["cell"]))
        return (loss,)

    return step


def adbench_lstm(tf: Any, variables: Variables) -> Step:
    """Differentiate the loss of predicting each next row with ADBench's LSTM."""
    main, extra = variables["main"], variables["extra"]
    scale_in, scale_out, shift_out = extra
    layers = list(zip(main[::2], main[1::2], strict=True))

    def advance(carry: list[tuple[Any, Any]], x: Any) -> tuple[list[tuple[Any, Any]], Any]:
        new = []
        for (hidden, memory), (weight, bias) in zip(carry, layers, strict=True):
            keep, write, read, change = tf.unstack(tf.stack([x, hidden, x, hidden]) * weight + bias)
            memory = tf.sigmoid(keep) * memory + tf.sigmoid(write) * tf.tanh(change)
            x = tf.sigmoid(read) * tf.tanh(memory)
            new.append((x, memory))
        return new, x

    def step(sequence: Any, state: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            rows = tf.unstack(state)
            first = list(zip(rows[::2], rows[1::2], strict=True))
            _, tops = hg.scan(advance, first, sequence[:-1] * scale_in)
            predicted = tops * scale_out + shift_out
            log_sums = tf.math.log(2.0 + tf.reduce_sum(tf.exp(predicted), axis=1, keepdims=True))
            loss = -tf.reduce_mean(sequence[1:] * (predicted - log_sums))
        return loss, *tape.gradient(loss, main + extra)

    return step


def tall_jacobian(tf: Any, variables: Variables) -> Step:
    """Differentiate each value of a curve by its parameters; nothing is updated."""
    (parameters,) = variables["curve"]

    def step(times: Any) -> tuple[Any, ...]:
        return (hg.jacobian(lambda parameters: curve(tf, parameters, times))(parameters),)

    return step
