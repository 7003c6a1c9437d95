"""Softmax and its relatives, cross entropies, normalization, the two halves of an LSTM's step.

All of them subtract the largest element before they take exponentials, so that nothing overflows.
An element of minus infinity (a masked one) has weight zero, in the result and in the gradient.

A cross entropy takes logits, not probabilities, in one row: its gradient is then simply
softmax - labels, where the logarithm of a softmax would divide by a probability that can be zero.
The backward pass computes the softmax anew, so the tape need not keep an array of that size.

An LSTM takes many small steps, and each row of the tape costs more than the arithmetic of a small
one. So a step is two rows. The first makes its four gates in one go: sigmoid(x) is
tanh(x / 2) / 2 + 1 / 2, so that with a scale s for each column (1 for the candidates, 1 / 2 for the
rest) all of them are y = s tanh(s x) + 1 - s, and dy/dx = (1 - y) (y - 1 + 2 s).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from headgate.core.checks import amount
from headgate.core.lift import as_tensor
from headgate.core.namespace import Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops.elementwise import astype, conj, maximum, real, sqrt
from headgate.ops.reduce import keep, plain, sum
from headgate.ops.rules import Axis, floats, is_complex, may_be_nan, normal_axes, scaled

# -- implementations ------------------------------------------------------------------------------


def shifted_logits(xp: Any, x: Array, axis: Axis) -> Array:
    x = floats(x)
    if not x.size:  # nothing has no maximum
        return x
    return x - xp.max(_size_of_exp(xp, x), axis=axis, keepdims=True)


def _size_of_exp(xp: Any, x: Array) -> Array:
    """Return what says how large exp(x) is; a real shift leaves complex logarithms principal."""
    return xp.real(x) if is_complex(x) else x


def _logsumexp(xp: Any, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    x = floats(x)
    if x.size:
        top = xp.max(_size_of_exp(xp, x), axis=axis, keepdims=True)
        top = xp.where(xp.isfinite(top), top, 0)
    else:  # nothing has no maximum; the sum of nothing is 0
        top = xp.sum(x, axis=axis, keepdims=True)
    # Of nothing but minus infinities it is the logarithm of zero; beside an infinity all overflows.
    with np.errstate(divide="ignore", over="ignore"):
        rest = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=keepdims))
    return rest + (top if keepdims else top.squeeze(plain(axis)))


def _softmax(xp: Any, x: Array, axis: Axis = -1) -> Array:
    powers = xp.exp(shifted_logits(xp, x, axis))
    return powers / xp.sum(powers, axis=axis, keepdims=True)


def _log_softmax(xp: Any, x: Array, axis: Axis = -1) -> Array:
    shifted = shifted_logits(xp, x, axis)
    if not x.size:
        return shifted
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def _softmax_cross_entropy(xp: Any, logits: Array, labels: Array, axis: int = -1) -> Array:
    logits, labels = xp.asarray(logits), xp.asarray(labels)
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels must be probabilities of the shape of the logits, {logits.shape}, and have "
            f"the shape {labels.shape}; for class numbers use "
            "headgate.sparse_softmax_cross_entropy"
        )
    logarithms = _log_softmax(xp, logits, axis)
    labels = labels.astype(logarithms.dtype)
    # A class that is masked (-inf) and has no label adds nothing, not 0 * -inf.
    return -xp.sum(labels * xp.where(labels == 0, 0, logarithms), axis=axis)


def class_numbers(xp: Any, logits: Array, labels: Array) -> Array:
    """Return labels as an array, after a look at its dtype and shape."""
    labels = xp.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be class numbers of an integer dtype, and have the dtype "
            f"{labels.dtype}; for probabilities use headgate.softmax_cross_entropy"
        )
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels must have the shape of the logits but for the last axis, {logits.shape[:-1]}, "
            f"and have the shape {labels.shape}"
        )
    return labels


def out_of_classes(classes: int, least: int, most: int) -> str:
    return f"labels must be from 0 to {classes - 1}, and are from {least} to {most}"


def _sparse_cross_entropy(xp: Any, logits: Array, labels: Array) -> Array:
    labels = class_numbers(xp, logits, labels)
    classes = logits.shape[-1]
    flat = labels.reshape(-1)
    # As an unsigned number, a negative one is larger than any class.
    if flat.size and np.maximum.reduce(flat.astype(np.uint64)) >= classes:
        raise ValueError(out_of_classes(classes, flat.min(), flat.max()))
    shifted = shifted_logits(xp, logits, -1)
    chosen = shifted.reshape(-1, classes)[np.arange(flat.size), flat].reshape(labels.shape)
    return np.log(xp.sum(np.exp(shifted), axis=-1)) - chosen


class Standardized(NamedTuple):
    """Numbers of mean 0 and variance 1, and the mean and the variance that they had."""

    values: Any
    mean: Any
    variance: Any


def _level(xp: Any, x: Any, axis: Sequence[int]) -> Any:
    """Return the mean over axes, which are kept.

    NumPy's sum is slow over short rows, and over axes that are not the last. A product with ones is
    not, wherever the axes can be seen as the rows or the columns of one matrix.
    """
    if type(x) is np.ndarray and x.dtype.char in "fd" and x.size:
        axes, first = sorted(axis), x.ndim - len(axis)
        shape = tuple(1 if k in axes else size for k, size in enumerate(x.shape))
        count = math.prod(x.shape[k] for k in axes)
        if axes[-1] == len(axes) - 1:
            return (np.full(count, 1 / count, x.dtype) @ x.reshape(count, -1)).reshape(shape)
        if axes[0] == first:
            return (x.reshape(-1, count) @ np.full(count, 1 / count, x.dtype)).reshape(shape)
    return xp.mean(x, axis=axis, keepdims=True)


def _standardize(xp: Any, x: Array, axis: Axis = -1, epsilon: float = 0.0) -> Standardized:
    x = xp.asarray(x)
    axes = normal_axes(axis, x.ndim)
    mean = _level(xp, x, axes)
    values = x - mean
    variance = _level(xp, values * values, axes)
    values *= 1.0 / xp.sqrt(variance + epsilon)  # in place, as nobody else has it
    return Standardized(values, mean, variance)


@functools.cache
def _gate_scales(columns: int, dtype: Any) -> Array:
    """Return the scale s of each column: 1 in the third quarter, that of the candidates."""
    scales = np.full(columns, 0.5, dtype)
    scales[columns // 2 : columns // 4 * 3] = 1
    scales.flags.writeable = False
    return scales


def _lstm_gates(xp: Any, x: Array) -> Array:
    columns = x.shape[-1]
    if columns % 4:
        raise ValueError(f"the last axis holds four gates, and {columns} cannot be divided by four")
    scales = _gate_scales(columns, x.dtype)
    gates = xp.tanh(x * scales)
    gates *= scales
    gates += 1 - scales
    return gates


class LSTMState(NamedTuple):
    """What an LSTM hands to its next step: the hidden state, which is the result, and memory."""

    hidden: Any
    memory: Any


def _quarters(x: Any) -> list[Any]:
    size = x.shape[-1] // 4
    return [x[..., k * size : (k + 1) * size] for k in range(4)]


def _lstm_state(xp: Any, gates: Array, memory: Array) -> LSTMState:
    if gates.shape != (*memory.shape[:-1], 4 * memory.shape[-1]):
        raise ValueError("the gates must be four times as many as the numbers in memory")
    write, keep, candidate, read = _quarters(gates)
    memory = keep * memory + write * candidate
    return LSTMState(read * xp.tanh(memory), memory)


# -- rules ----------------------------------------------------------------------------------------


def _logsumexp_rule(g: Any, xp: Any, x: Any, ans: Any, axis: Axis, keepdims: bool) -> Any:
    whole = keep(xp.where(ans == -np.inf, 0, ans), x.shape, axis, keepdims)
    below = x - whole
    if may_be_nan(below):  # what is as infinite as the result has the slope 1
        below = xp.where(x == whole, xp.zeros_like(below), below)
    return scaled(keep(g, x.shape, axis, keepdims), xp.exp(below))


def _softmax_rule(g: Any, xp: Any, ans: Any, axis: Axis) -> Any:
    weighted = g * ans
    return weighted - ans * xp.sum(weighted, axis=axis, keepdims=True)


def _cross_entropy_rule(g: Any, xp: Any, logits: Any, labels: Any, axis: int) -> Any:
    total = xp.sum(labels, axis=axis, keepdims=True)  # one, if the labels are probabilities
    slope = xp.softmax(logits, axis=axis) * total - labels
    return keep(g, logits.shape, axis, False) * slope


def _sparse_cross_entropy_rule(g: Any, xp: Any, logits: Any, labels: Any) -> Any:
    *batch, classes = logits.shape
    chosen = xp.reshape(labels, (*batch, 1)) == xp.arange(classes)
    return g[..., None] * (xp.softmax(logits, axis=-1) - chosen)


def _standardize_rule(
    g: Any, xp: Any, ans: Any, x_shape: tuple[int, ...], axis: Axis, epsilon: float
) -> Any:
    """Take out of the cotangent what would change mean and variance; add what these got.

    Of an element x the mean changes by 1 / n, the variance by 2 (x - mean) / n.
    """
    g_values, g_mean, g_variance = g
    values, _, variance = ans
    axes = normal_axes(axis, len(x_shape))
    share = 1 / math.prod(x_shape[k] for k in axes)
    deviation = xp.sqrt(variance + epsilon)
    offset = _level(xp, g_values, axes) - deviation * g_mean * share
    slope = _level(xp, g_values * values, axes) - 2.0 * share * (deviation**2 * g_variance)
    taken = values * slope
    taken += offset
    c = g_values - taken
    c *= 1.0 / deviation
    return c


def _lstm_gates_rule(g: Any, ans: Any) -> Any:
    slope = ans + (2 * _gate_scales(ans.shape[-1], ans.dtype) - 1)
    slope *= 1 - ans
    slope *= g
    return slope


def _to_memory(g: Any, xp: Any, read: Any, level: Any) -> Any:
    """Return the whole cotangent of the new memory, of which `level` is the tanh."""
    g_hidden, g_memory = g
    return g_memory + g_hidden * read * (1 - level * level)


def _lstm_state_gates(g: Any, xp: Any, gates: Any, memory: Any, ans: Any) -> Any:
    write, _, candidate, read = _quarters(gates)
    level = xp.tanh(ans[1])
    g_memory = _to_memory(g, xp, read, level)
    parts = [g_memory * candidate, g_memory * memory, g_memory * write, g[0] * level]
    return xp.concat(parts, axis=-1)


def _lstm_state_memory(g: Any, xp: Any, gates: Any, ans: Any) -> Any:
    _, keep, _, read = _quarters(gates)
    return _to_memory(g, xp, read, xp.tanh(ans[1])) * keep


# -- the table ------------------------------------------------------------------------------------

logsumexp = op(
    "logsumexp(x, *, axis=None, keepdims=False)",
    """Compute log(sum(exp(x))) over one axis, several or all of them, without overflow.

    >>> hg.logsumexp([1000.0, 1000.0])
    Tensor(1000.69314718, shape=(), dtype=float64)
    """,
    _logsumexp_rule,
    impl=_logsumexp,
    lists=("axis",),
)

softmax = op(
    "softmax(x, *, axis=-1)",
    """Compute exp(x) / sum(exp(x)) along an axis: positive numbers that add up to one.

    >>> hg.softmax([0.0, 0.0])
    Tensor([0.5, 0.5], shape=(2,), dtype=float64)
    """,
    _softmax_rule,
    impl=_softmax,
    lists=("axis",),
)

log_softmax = op(
    "log_softmax(x, *, axis=-1)",
    """Compute the logarithm of `softmax`, precisely also where that is nearly zero.

    >>> hg.log_softmax([0.0, -1000.0])
    Tensor([    0., -1000.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans, axis: g - xp.exp(ans) * xp.sum(g, axis=axis, keepdims=True),
    impl=_log_softmax,
    lists=("axis",),
)

softmax_cross_entropy = op(
    "softmax_cross_entropy(logits, labels, *, axis=-1)",
    """Compute the cross entropy between labels and the softmax of logits, along an axis.

    `labels` are probabilities, of the shape of `logits`; they have a gradient as well. The result
    has that shape without the axis.

    >>> hg.softmax_cross_entropy([[0.0, 0.0]], [[0.5, 0.5]])
    Tensor([0.69314718], shape=(1,), dtype=float64)
    """,
    _cross_entropy_rule,
    lambda g, xp, logits, axis: (
        -keep(g, logits.shape, axis, False) * xp.log_softmax(logits, axis=axis)
    ),
    impl=_softmax_cross_entropy,
    lists=("axis",),
)

cross_entropy_of_logits = op(
    "cross_entropy_of_logits(logits, labels, *, axis=-1)",
    """Compute `softmax_cross_entropy`, with the gradient of labels that sum to 1 whatever they are.

    That of TensorFlow's op of the name: `softmax(logits) - labels`, where the derivative has
    `softmax(logits) * sum(labels) - labels`.
    """,
    lambda g, xp, logits, labels, axis: (
        keep(g, logits.shape, axis, False) * (xp.softmax(logits, axis=axis) - labels)
    ),
    lambda g, xp, logits, axis: (
        -keep(g, logits.shape, axis, False) * xp.log_softmax(logits, axis=axis)
    ),
    impl=_softmax_cross_entropy,
    lists=("axis",),
)

sparse_softmax_cross_entropy = op(
    "sparse_softmax_cross_entropy(logits, labels)",
    """Compute the cross entropy between class numbers and the softmax of logits over the last axis.

    `labels` are integers from 0 to `logits.shape[-1] - 1`. They have the shape of `logits` without
    its last axis, and so has the result.

    >>> hg.sparse_softmax_cross_entropy([[0.0, 0.0], [0.0, 1000.0]], [0, 1])
    Tensor([0.69314718, 0.        ], shape=(2,), dtype=float64)
    """,
    _sparse_cross_entropy_rule,
    None,
    impl_numpy=_sparse_cross_entropy,
)


standardize = op(
    "standardize(x, *, axis=-1, epsilon=0.0)",
    """Bring x to mean 0 and variance 1 along one axis or several; return mean and variance as well.

    `epsilon` is added to the variance. The result is a named tuple of `values`, `mean` and
    `variance`, the latter two with size 1 along the axes.

    >>> from headgate.ops.functional import standardize
    >>> standardize([1.0, 3.0]).values
    Tensor([-1.,  1.], shape=(2,), dtype=float64)
    """,
    _standardize_rule,
    impl=_standardize,
    outputs=True,
    lists=("axis",),
)


lstm_gates = op(
    "lstm_gates(x)",
    """Apply the activations of an LSTM: tanh to the third quarter of the last axis, else sigmoid.

    >>> from headgate.ops.functional import lstm_gates
    >>> lstm_gates([0.0, 0.0, 0.0, 0.0])
    Tensor([0.5, 0.5, 0. , 0.5], shape=(4,), dtype=float64)
    """,
    _lstm_gates_rule,
    impl=_lstm_gates,
)

lstm_state = op(
    "lstm_state(gates, memory)",
    """Take a step of an LSTM: from its gates and memory to the hidden state and the new memory.

    The gates are, by quarters of the last axis: how much to write, how much to keep, candidates to
    be written, and how much to read.

    >>> from headgate.ops.functional import lstm_state
    >>> lstm_state([[1.0, 0.0, 0.0, 0.5]], [[3.0]]).memory
    Tensor([[0.]], shape=(1, 1), dtype=float64)
    """,
    _lstm_state_gates,
    _lstm_state_memory,
    impl=_lstm_state,
    outputs=True,
)


@public
def l2_normalize(x: Any, axis: Axis = None, epsilon: float = 1e-12) -> Tensor:
    """Divide by the Euclidean length along one axis, several or all of them.

    Vectors whose squared length is below `epsilon` are divided by its square root instead.

    >>> hg.l2_normalize([3.0, 4.0])
    Tensor([0.6, 0.8], shape=(2,), dtype=float64)
    """
    epsilon = amount("l2_normalize", "epsilon", epsilon, "[0, inf)")
    given = as_tensor(x)
    if given.dtype.kind in "biu":
        given = astype(given, np.float64)  # their squares may not fit into their dtype
    squares = real(given * conj(given)) if given.dtype.kind == "c" else given * given
    return given / sqrt(maximum(sum(squares, axis=axis, keepdims=True), epsilon))
