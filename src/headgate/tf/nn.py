"""`tf.nn`: activations, convolutions and cross entropies under TensorFlow's names."""

from __future__ import annotations

import math as _math
from typing import Any

import numpy as _np

from headgate.core.namespace import TENSORS as _ops
from headgate.nn.core import dropped as _dropped
from headgate.ops import conv as _conv
from headgate.ops import pool as _pool
from headgate.random import get_generator as _get_generator
from headgate.tf import _arguments as _is
from headgate.tf._adapt import alike as _alike
from headgate.tf._adapt import matched as _matched
from headgate.tf._adapt import name_all as _name_all
from headgate.tf._adapt import static as _static
from headgate.tf._adapt import tensor as _tensor
from headgate.tf._adapt import unary as _unary
from headgate.tf._arguments import checked as _checked
from headgate.tf._dtypes import FIELD, FLOATS, NUMBERS, REAL
from headgate.tf._indexing import gather as _gather
from headgate.tf._order import clip_by_norm as _clip_by_norm
from headgate.tf.math import (
    l2_normalize,
    log_softmax,
    sigmoid,
    softmax,
    softplus,
    softsign,
    tanh,
    top_k,
    zero_fraction,
)
from headgate.tf.math import reduce_mean as _reduce_mean
from headgate.tf.math import squared_difference as _squared_difference


def _rate(whose: str, name: str, value: Any, x: Any) -> Any:
    """Return a share of the elements, also as a tensor of their dtype."""
    return _is.checks.amount(whose, name, _is.like(whose, name, value, x), "[0, 1)")


_STEPS = _is.along, "data_format"
_MARGINS = _is.margins, "data_format"

relu = _unary(_ops.relu, REAL, "features")
relu6 = _unary(_ops.relu6, REAL, "features")
selu = _unary(_ops.selu, FLOATS, "features")
elu = _unary(_ops.elu, FLOATS, "features")


def silu(features: Any, beta: Any = 1.0) -> Any:
    """Return `x * sigmoid(beta * x)`; gradient flows to a `beta` that is a tensor."""
    x = _tensor(features, FIELD, "nn.silu")
    if isinstance(beta, int | float) and beta == 1:
        return _ops.silu(x)
    x, beta = _matched(x, beta)
    return x * _ops.sigmoid(beta * x)


swish = silu


@_checked(alpha=_is.plain)
def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Any:
    """Return x where positive, `alpha * x` elsewhere."""
    x = _tensor(features, REAL, "nn.leaky_relu")
    if x.dtype.kind in "iu":
        x = _ops.astype(x, _np.float32)
    return _ops.leaky_relu(x, alpha)


@_checked(approximate=_is.truth)
def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
    """Return x times the normal distribution function of x."""
    return _ops.gelu(_tensor(features, FLOATS, "nn.gelu"), approximate=approximate)


@_checked(data_format=_is.channels_last, bias=(_is.channels, "value", "data_format"))
def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Any:
    """Add a vector along the channel axis."""
    value, bias = _alike([_tensor(value, NUMBERS, "nn.bias_add"), bias])
    if data_format is not None and data_format.startswith("NC"):
        bias = _ops.reshape(bias, (-1,) + (1,) * (value.ndim - 2))
    return value + bias


@_checked(rate=(_rate, "x"), noise_shape=(_is.noise, "x"))
def dropout(
    x: Any, rate: Any, noise_shape: Any = None, seed: Any = None, name: str | None = None
) -> Any:
    """Set a random part of the elements to zero and scale up the rest."""
    x = _tensor(x, FLOATS, "nn.dropout")
    shape = x.shape if noise_shape is None else _static(noise_shape)
    if None in shape:
        shape = tuple(own if n is None else n for n, own in zip(shape, x.shape, strict=True))
    return _dropped(x, rate, shape, _get_generator(seed))


@_checked(max_norm=(_is.like, "params"))
def embedding_lookup(params: Any, ids: Any, max_norm: Any = None, name: str | None = None) -> Any:
    """Take rows of a table by number, scaled down to a norm of at most `max_norm` if given."""
    if isinstance(params, list | tuple):
        params = _joined(params)
    ids = _tensor(ids)
    rows = _gather(params, ids)
    if max_norm is None:
        return rows
    return _clip_by_norm(rows, max_norm, tuple(range(ids.ndim, rows.ndim)))


def _joined(parts: Any) -> Any:
    """Return the table that parts of it make: equal shares of its rows, or one more."""
    parts = _alike(parts)
    total = sum(part.shape[0] for part in parts)
    fair = [total // len(parts) + (k < total % len(parts)) for k in range(len(parts))]
    if [part.shape[0] for part in parts] != fair:
        raise ValueError(
            f"embedding_lookup: the parts of a table of {total} rows have "
            f"{[part.shape[0] for part in parts]} rows, and should have {fair}"
        )
    return parts[0] if len(parts) == 1 else _ops.concat(parts, axis=0)


@_checked(labels=(_is.same_shape, "logits"))
def sigmoid_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, name: str | None = None
) -> Any:
    """Return the cross entropy of independent classes, from logits, elementwise."""
    logits, labels = _alike([logits, labels])
    _tensor(logits, FLOATS, "nn.sigmoid_cross_entropy_with_logits")
    return _ops.sigmoid_cross_entropy(logits, labels)


@_checked(logits=_is.ranked, labels=(_is.targets, "logits"), axis=_is.axis)
def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: int = -1, name: str | None = None
) -> Any:
    """Return the cross entropy between distributions `labels` and softmax(logits)."""
    logits = _tensor(logits, FLOATS, "nn.softmax_cross_entropy_with_logits")
    labels = _ops.astype(_tensor(labels), logits.dtype)
    if labels.shape != logits.shape:
        shape = _np.broadcast_shapes(labels.shape, logits.shape)
        logits, labels = _ops.broadcast_to(logits, shape), _ops.broadcast_to(labels, shape)
    return _ops.cross_entropy_of_logits(logits, labels, axis=axis)


def sparse_softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, name: str | None = None
) -> Any:
    """Return the cross entropy between class numbers and softmax(logits)."""
    return _ops.sparse_softmax_cross_entropy(
        _tensor(logits, FLOATS, "nn.sparse_softmax_cross_entropy_with_logits"), _tensor(labels)
    )


@_checked(axes=_is.axes, keepdims=_is.truth)
def moments(
    x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None
) -> Any:
    """Return mean and variance over axes."""
    x, axis = _tensor(x, NUMBERS, "nn.moments"), _static(axes)
    if x.dtype.kind in "iuc":
        mean = _reduce_mean(x, axis, True)
        spread = _reduce_mean(_squared_difference(x, mean), axis, keepdims)
        return (mean if keepdims else _ops.squeeze(mean, axis=axis)), spread
    return _ops.mean(x, axis=axis, keepdims=keepdims), _ops.var(x, axis=axis, keepdims=keepdims)


@_checked(variance_epsilon=(_is.like, "x"))
def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    offset: Any,
    scale: Any,
    variance_epsilon: float,
    name: str | None = None,
) -> Any:
    """Shift and scale by mean and variance, then by offset and scale if given."""
    given = [part for part in (offset, scale) if part is not None]
    x, mean, variance, *given = _alike([_tensor(x), mean, variance, *given])
    factor = _ops.rsqrt(variance + variance_epsilon)
    if scale is not None:
        factor = factor * given[-1]
    shifted = (x - mean) * factor
    return shifted if offset is None else shifted + given[0]


def _spatial(value: Any, layout: str) -> Any:
    """Return the entries of a stride, dilation or window for the axes of space alone."""
    found = _static(value)
    if not isinstance(found, int) and len(found) == len(layout):
        found = tuple(n for n, axis in zip(found, layout, strict=True) if axis not in "NC")
    return found[0] if not isinstance(found, int) and len(found) == 1 else found


def _padding(padding: Any, layout: str) -> Any:
    if isinstance(padding, str):
        return padding
    return [tuple(pair) for pair, axis in zip(padding, layout, strict=True) if axis not in "NC"]


def _convolve(
    function: Any,
    x: Any,
    w: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    layout: str,
    **options: Any,
) -> Any:
    x, w = _alike([_tensor(x), w])
    batch = x.shape[: x.ndim - len(layout) + 1]
    if len(batch) > 1:  # several axes of batches count as one
        x = _ops.reshape(x, (-1, *x.shape[len(batch) :]))
        y = _convolve(function, x, w, stride, padding, dilation, layout, **options)
        return _ops.reshape(y, (*batch, *y.shape[1:]))
    channels, inner = x.shape[layout.index("C")], w.shape[-2]
    if function is _conv.conv and inner and channels % inner == 0:
        options["groups"] = channels // inner
    return function(
        x,
        w,
        stride=_spatial(stride, layout),
        padding=_padding(padding, layout),
        dilation=_spatial(1 if dilation is None else dilation, layout),
        layout=layout,
        **options,
    )


@_checked(data_format=_is.layout("NWC"), stride=_STEPS, padding=_MARGINS, dilations=_STEPS)
def conv1d(
    input: Any,
    filters: Any,
    stride: Any,
    padding: Any,
    data_format: str = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Convolve signals (cross-correlation, as everywhere in machine learning)."""
    return _convolve(_conv.conv, input, filters, stride, padding, dilations, data_format)


@_checked(data_format=_is.layout("NHWC"), strides=_STEPS, padding=_MARGINS, dilations=_STEPS)
def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Convolve images (cross-correlation, as everywhere in machine learning)."""
    return _convolve(_conv.conv, input, filters, strides, padding, dilations, data_format)


@_checked(
    data_format=_is.layout("NHWC"),
    output_shape=_is.sizes,
    strides=_STEPS,
    padding=_MARGINS,
    dilations=_STEPS,
)
def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: Any = "SAME",
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Apply the transpose (the gradient by its input) of a convolution."""
    x, w = _alike([_tensor(input), filters])
    shape = output_shape
    if len(shape) == len(data_format) == x.ndim == w.ndim:
        known = {"N": x.shape[data_format.index("N")], "C": w.shape[-2]}
        wrong = [
            each
            for each, size in zip(data_format, shape, strict=True)
            if size != known.get(each, size)
        ]
        if wrong:
            words = f"{known[wrong[0]]} for the axis {wrong[0]} of {data_format!r}"
            raise _is.refused("tf.nn.conv2d_transpose", "output_shape", words, output_shape)
        shape = [n for n, each in zip(shape, data_format, strict=True) if each not in "NC"]
    return _convolve(
        _conv.conv_transpose,
        x,
        w,
        strides,
        padding,
        dilations,
        data_format,
        output_shape=[*shape],
    )


def _pooled(function: Any, input: Any, ksize: Any, strides: Any, padding: Any, layout: str) -> Any:
    return function(
        _tensor(input),
        _spatial(ksize, layout),
        stride=_spatial(strides, layout),
        padding=_padding(padding, layout),
        layout=layout,
    )


@_checked(data_format=_is.layout("NWC"), ksize=_STEPS, strides=_STEPS, padding=_MARGINS)
def max_pool1d(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NWC",
    name: str | None = None,
) -> Any:
    """Return the maximum of each window of signals."""
    return _pooled(_pool.max_pool, input, ksize, strides, padding, data_format)


@_checked(data_format=_is.layout("NHWC"), ksize=_STEPS, strides=_STEPS, padding=_MARGINS)
def max_pool2d(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    name: str | None = None,
) -> Any:
    """Return the maximum of each window of images."""
    return _pooled(_pool.max_pool, input, ksize, strides, padding, data_format)


@_checked(data_format=_is.layout("NWC"), ksize=_STEPS, strides=_STEPS, padding=_MARGINS)
def avg_pool1d(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NWC",
    name: str | None = None,
) -> Any:
    """Return the mean of each window of signals."""
    return _pooled(_pool.avg_pool, input, ksize, strides, padding, data_format)


@_checked(data_format=_is.layout("NHWC"), ksize=_STEPS, strides=_STEPS, padding=_MARGINS)
def avg_pool2d(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    name: str | None = None,
) -> Any:
    """Return the mean of each window of images."""
    return _pooled(_pool.avg_pool, input, ksize, strides, padding, data_format)


_LAYOUTS = {3: "NWC", 4: "NHWC", 5: "NDHWC"}
"""Number of axes -> how they lie, if nobody says."""


def _pooled_by_rank(
    pool: Any, input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None
) -> Any:
    x = _tensor(input)
    layout = data_format or _LAYOUTS.get(x.ndim, "NHWC")
    return _pooled(pool, x, ksize, strides, padding, layout)


def max_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    name: str | None = None,
) -> Any:
    """Return the maximum of each window, over one to three axes of space."""
    return _pooled_by_rank(_pool.max_pool, input, ksize, strides, padding, data_format)


def avg_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    name: str | None = None,
) -> Any:
    """Return the mean of each window, over one to three axes of space."""
    return _pooled_by_rank(_pool.avg_pool, input, ksize, strides, padding, data_format)


@_checked(data_format=_is.layout("NDHWC"), ksize=_STEPS, strides=_STEPS, padding=_MARGINS)
def max_pool3d(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NDHWC",
    name: str | None = None,
) -> Any:
    """Return the maximum of each window of volumes."""
    return _pooled(_pool.max_pool, input, ksize, strides, padding, data_format)


@_checked(data_format=_is.layout("NDHWC"), ksize=_STEPS, strides=_STEPS, padding=_MARGINS)
def avg_pool3d(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NDHWC",
    name: str | None = None,
) -> Any:
    """Return the mean of each window of volumes."""
    return _pooled(_pool.avg_pool, input, ksize, strides, padding, data_format)


def l2_loss(t: Any, name: str | None = None) -> Any:
    """Return half of the sum of squares."""
    x = _tensor(t, FLOATS, "nn.l2_loss")
    return _ops.sum(_ops.square(x)) / 2


def log_poisson_loss(
    targets: Any, log_input: Any, compute_full_loss: bool = False, name: str | None = None
) -> Any:
    """Return `exp(log_input) - log_input * targets`; whole, with Stirling's term for targets."""
    x, z = _alike([log_input, targets])
    found = _ops.exp(x) - x * z
    if not compute_full_loss:
        return found
    stirling = z * _ops.log(z) - z + 0.5 * _ops.log(2.0 * _math.pi * z)
    return found + _ops.where((z >= 0.0) & (z <= 1.0), 0.0, stirling)


def compute_average_loss(
    per_example_loss: Any, sample_weight: Any = None, global_batch_size: Any = None
) -> Any:
    """Return the sum of losses divided by the size of the batch, theirs if none is given."""
    x = _tensor(per_example_loss)
    size = x.shape[0] if global_batch_size is None and x.ndim else global_batch_size
    if sample_weight is not None:
        weights = _tensor(sample_weight)
        weights = _ops.reshape(weights, (*weights.shape, *[1] * (x.ndim - weights.ndim)))
        x = x * _ops.astype(weights, x.dtype)
    return _ops.sum(x) / (1 if size is None else size)


def scale_regularization_loss(regularization_loss: Any) -> Any:
    """Return the sum of losses: there is one replica to share them."""
    return _ops.sum(_tensor(regularization_loss))


__all__ = [
    "avg_pool",
    "avg_pool3d",
    "compute_average_loss",
    "l2_loss",
    "log_poisson_loss",
    "max_pool3d",
    "scale_regularization_loss",
    "zero_fraction",
    "avg_pool1d",
    "avg_pool2d",
    "batch_normalization",
    "bias_add",
    "conv1d",
    "conv2d",
    "conv2d_transpose",
    "dropout",
    "elu",
    "embedding_lookup",
    "gelu",
    "l2_normalize",
    "leaky_relu",
    "log_softmax",
    "max_pool",
    "max_pool1d",
    "max_pool2d",
    "moments",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "silu",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softplus",
    "softsign",
    "sparse_softmax_cross_entropy_with_logits",
    "swish",
    "tanh",
    "top_k",
]

_name_all(globals(), __all__)
