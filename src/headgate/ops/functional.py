"""Softmax and its relatives, cross entropies, normalization.

All of them subtract the largest element before they take exponentials, so that nothing overflows.
An element of minus infinity (a masked one) has weight zero, in the result and in the gradient.

A cross entropy takes logits, not probabilities, in one row: its gradient is then simply
softmax - labels, where the logarithm of a softmax would divide by a probability that can be zero.
The backward pass computes the softmax anew, so the tape need not keep an array of that size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.namespace import Array
from headgate.op import as_tensor, op, public
from headgate.ops.elementwise import conj, maximum, real, sqrt
from headgate.ops.reduce import keep, plain, sum
from headgate.ops.rules import Axis
from headgate.tensor import Tensor

# -- implementations ------------------------------------------------------------------------------


def _shifted(xp: Any, x: Array, axis: Axis) -> Array:
    return x - xp.max(x, axis=axis, keepdims=True)


def _logsumexp(xp: Any, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    # Of nothing but minus infinities it is the logarithm of zero; beside an infinity all overflows.
    with np.errstate(divide="ignore", over="ignore"):
        rest = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=keepdims))
    return rest + (top if keepdims else top.squeeze(plain(axis)))


def _softmax(xp: Any, x: Array, axis: Axis = -1) -> Array:
    powers = xp.exp(_shifted(xp, x, axis))
    return powers / xp.sum(powers, axis=axis, keepdims=True)


def _log_softmax(xp: Any, x: Array, axis: Axis = -1) -> Array:
    shifted = _shifted(xp, x, axis)
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


def _class_numbers(xp: Any, logits: Array, labels: Array) -> Array:
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


def _sparse_cross_entropy(xp: Any, logits: Array, labels: Array) -> Array:
    labels = _class_numbers(xp, logits, labels)
    shifted = _shifted(xp, logits, -1)
    chosen = xp.array_module.take_along_axis(shifted, labels[..., None], axis=-1)[..., 0]
    return xp.log(xp.sum(xp.exp(shifted), axis=-1)) - chosen


def _sparse_cross_entropy_numpy(xp: Any, logits: Array, labels: Array) -> Array:
    """Do the same with an index that costs a quarter, and check the range of the labels."""
    labels = _class_numbers(xp, logits, labels)
    classes = logits.shape[-1]
    flat = labels.reshape(-1)
    # As an unsigned number, a negative one is larger than any class.
    if flat.size and np.maximum.reduce(flat.astype(np.uint64)) >= classes:
        raise ValueError(
            f"labels must be from 0 to {classes - 1}, and are from {flat.min()} to {flat.max()}"
        )
    shifted = _shifted(xp, logits, -1)
    chosen = shifted.reshape(-1, classes)[np.arange(flat.size), flat].reshape(labels.shape)
    return np.log(np.add.reduce(np.exp(shifted), -1)) - chosen


# -- rules ----------------------------------------------------------------------------------------


def _logsumexp_rule(g: Any, xp: Any, x: Any, ans: Any, axis: Axis, keepdims: bool) -> Any:
    whole = keep(xp.where(ans == -np.inf, 0, ans), x.shape, axis, keepdims)
    return keep(g, x.shape, axis, keepdims) * xp.exp(x - whole)


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


# -- the table ------------------------------------------------------------------------------------

logsumexp = op(
    "logsumexp(x, *, axis=None, keepdims=False)",
    """Compute log(sum(exp(x))) over one axis, several or all of them, without overflow.

    >>> hg.logsumexp([1000.0, 1000.0])
    Tensor(1000.69314718, shape=(), dtype=float64)
    """,
    _logsumexp_rule,
    impl=_logsumexp,
)

softmax = op(
    "softmax(x, *, axis=-1)",
    """Compute exp(x) / sum(exp(x)) along an axis: positive numbers that add up to one.

    >>> hg.softmax([0.0, 0.0])
    Tensor([0.5, 0.5], shape=(2,), dtype=float64)
    """,
    _softmax_rule,
    impl=_softmax,
)

log_softmax = op(
    "log_softmax(x, *, axis=-1)",
    """Compute the logarithm of `softmax`, precisely also where that is nearly zero.

    >>> hg.log_softmax([0.0, -1000.0])
    Tensor([    0., -1000.], shape=(2,), dtype=float64)
    """,
    lambda g, xp, ans, axis: g - xp.exp(ans) * xp.sum(g, axis=axis, keepdims=True),
    impl=_log_softmax,
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
    impl=_sparse_cross_entropy,
    impl_numpy=_sparse_cross_entropy_numpy,
)


@public
def l2_normalize(x: Any, axis: Axis = None, epsilon: float = 1e-12) -> Tensor:
    """Divide by the Euclidean length along one axis, several or all of them.

    Vectors whose squared length is below `epsilon` are divided by its square root instead.

    >>> hg.l2_normalize([3.0, 4.0])
    Tensor([0.6, 0.8], shape=(2,), dtype=float64)
    """
    x = as_tensor(x)
    squares = real(x * conj(x)) if x.dtype.kind == "c" else x * x
    return x / sqrt(maximum(sum(squares, axis=axis, keepdims=True), epsilon))
