"""Losses with Keras' names, formulas and defaults.

Each loss is a function of `y_true` and `y_pred` that gives one number per sample (the last axis is
reduced), and a class of the same name in capitals that holds the options and reduces what is left:
"sum_over_batch_size" (the mean), "sum" or "none". `y_true` is cast to the dtype of `y_pred`.

From probabilities, a cross entropy has no gradient where they are rounded to 0 or 1. If they come
from a sigmoid or softmax of a layer, it is therefore computed from that one's argument instead.
"""

from __future__ import annotations

import warnings
from typing import Any

from headgate.nn.activations import logits_of
from headgate.nn.settings import floatx, unique_name
from headgate.op import as_tensor
from headgate.ops.elementwise import (
    abs,
    astype,
    clip,
    log,
    minimum,
    sigmoid_cross_entropy,
    square,
    where,
)
from headgate.ops.functional import softmax_cross_entropy, sparse_softmax_cross_entropy
from headgate.ops.reduce import mean, sum
from headgate.ops.shape import expand_dims, squeeze
from headgate.tensor import Tensor

_EPSILON = 1e-7
"""Probabilities are kept this far from 0 and 1."""

# -- functions -------------------------------------------------------------------------------------


def _pair(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Return both as tensors, of the dtype of y_pred; a last axis of 1 may be missing in one."""
    y_pred = _floats(y_pred)
    return _same_rank(_as_dtype(as_tensor(y_true), y_pred.dtype), y_pred)


def _floats(y_pred: Any, dtype: Any = None) -> Tensor:
    """Return predictions as floats, of their own dtype if none is asked for."""
    y_pred = as_tensor(y_pred)
    if dtype is None:
        dtype = y_pred.dtype if y_pred.dtype.kind in "fcV" else floatx()
    return _as_dtype(y_pred, dtype)


def _as_dtype(x: Tensor, dtype: Any) -> Tensor:
    return x if x.dtype == dtype else astype(x, dtype)


def _same_rank(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.ndim == y.ndim + 1 and x.shape[-1] == 1:
        y, x = _same_rank(y, x)
    elif y.ndim == x.ndim + 1 and y.shape[-1] == 1:
        if x.ndim == 1:
            x = expand_dims(x, axis=-1)
        else:
            y = squeeze(y, axis=-1)
    return x, y


def _check_shapes(name: str, y_true: Tensor, y_pred: Tensor) -> None:
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{name}: y_true and y_pred must have the same shape, got {y_true.shape} and "
            f"{y_pred.shape}"
        )


def _as_logits(name: str, y_pred: Tensor, from_logits: bool) -> tuple[Tensor, bool]:
    """Return logits where they can be had, and whether they are."""
    logits = logits_of(y_pred)
    if logits is None:
        return y_pred, from_logits
    if from_logits:
        warnings.warn(
            f"{name} was called with from_logits=True on the result of a sigmoid or softmax "
            "activation, which are probabilities; their logits are used. Leave out one of the two",
            stacklevel=3,
        )
    return logits, True


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of squared differences.

    >>> from headgate import losses
    >>> losses.mean_squared_error([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
    array([0.5])
    """
    y_true, y_pred = _pair(y_true, y_pred)
    return mean(square(y_pred - y_true), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of absolute differences.

    >>> from headgate import losses
    >>> losses.mean_absolute_error([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
    array([0.5])
    """
    y_true, y_pred = _pair(y_true, y_pred)
    return mean(abs(y_pred - y_true), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Return the mean over the last axis of squares / 2 of differences, linear beyond `delta`.

    >>> from headgate import losses
    >>> losses.huber([[0.0, 0.0]], [[1.0, 3.0]]).numpy()
    array([1.5])
    """
    y_true, y_pred = _pair(y_true, y_pred)
    size = abs(y_pred - y_true)
    near = minimum(size, delta)  # near * (size - near / 2) is both branches in one
    return mean(near * (size - 0.5 * near), axis=-1)


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return the mean over an axis of the cross entropies of independent yes-no questions.

    Args:
        y_true: the right answers, from 0 to 1.
        y_pred: probabilities, or logits if `from_logits`; of the same shape.
        from_logits: whether `y_pred` still lacks a sigmoid.
        label_smoothing: how far to move the right answers towards 1/2.
        axis: to take the mean over.

    >>> from headgate import losses
    >>> losses.binary_crossentropy([[1.0, 0.0]], [[0.0, 0.0]], from_logits=True).numpy()
    array([0.69314718])
    """
    name = "binary_crossentropy"
    y_pred, from_logits = _as_logits(name, _floats(y_pred), from_logits)
    y_true, y_pred = _pair(y_true, y_pred)
    _check_shapes(name, y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        each = sigmoid_cross_entropy(y_pred, y_true)
    else:
        y_pred = clip(y_pred, _EPSILON, 1.0 - _EPSILON)
        each = -(y_true * log(y_pred) + (1.0 - y_true) * log(1.0 - y_pred))
    return mean(each, axis=axis)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return the cross entropies of probabilities of classes along an axis.

    Args:
        y_true: the right probabilities, mostly one-hot.
        y_pred: probabilities (they are scaled to add up to 1), or logits if `from_logits`; of the
            same shape.
        from_logits: whether `y_pred` still lacks a softmax.
        label_smoothing: how much of `y_true` to spread over all classes.
        axis: of the classes.

    >>> from headgate import losses
    >>> losses.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy()
    array([0.69314718])
    """
    name = "categorical_crossentropy"
    y_pred, from_logits = _as_logits(name, _floats(y_pred), from_logits)
    y_true, y_pred = _pair(y_true, y_pred)
    _check_shapes(name, y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[-1]
    if from_logits:
        return softmax_cross_entropy(y_pred, y_true, axis=axis)
    y_pred = y_pred / sum(y_pred, axis=axis, keepdims=True)
    y_pred = clip(y_pred, _EPSILON, 1.0 - _EPSILON)
    return -sum(y_true * log(y_pred), axis=axis)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """Return the cross entropies of class numbers along the last axis.

    Args:
        y_true: the right classes, from 0 on, of the shape of `y_pred` without its last axis (or
            with a last axis of 1).
        y_pred: probabilities, or logits if `from_logits`.
        from_logits: whether `y_pred` still lacks a softmax.
        ignore_class: a class number whose samples have the loss 0.
        axis: of the classes; only the last one.

    >>> from headgate import losses
    >>> losses.sparse_categorical_crossentropy([1], [[0.5, 0.5]]).numpy()
    array([0.69314718])
    """
    name = "sparse_categorical_crossentropy"
    y_pred, from_logits = _as_logits(name, _floats(y_pred), from_logits)
    if axis not in (-1, y_pred.ndim - 1):
        raise ValueError(f"{name}: the classes must be on the last axis, not on axis {axis}")
    y_true = as_tensor(y_true)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = squeeze(y_true, axis=-1)
    if y_true.dtype.kind not in "iu":
        y_true = astype(y_true, "int64")
    if not from_logits:
        y_pred = log(clip(y_pred, _EPSILON, 1.0 - _EPSILON))
    if ignore_class is None:
        return sparse_softmax_cross_entropy(y_pred, y_true)
    counted = y_true != ignore_class
    each = sparse_softmax_cross_entropy(y_pred, where(counted, y_true, 0))
    return where(counted, each, 0.0)


# -- classes ---------------------------------------------------------------------------------------


class Loss:
    """Base of all losses: call it with y_true and y_pred; a subclass has a `call`.

    Args:
        name: "loss", "loss_1" and so on after the class if not given.
        reduction: what becomes of the losses of the samples: "sum_over_batch_size" (or "mean") for
            their mean, "sum", or "none" (or None) for all of them.
        dtype: what y_true and y_pred are cast to; that of y_pred, if it is one of floats, if left
            out.

    >>> import headgate as hg
    >>> from headgate import losses
    >>> class Cubic(losses.Loss):
    ...     def call(self, y_true, y_pred):
    ...         return hg.mean(hg.abs(y_pred - y_true) ** 3, axis=-1)
    >>> Cubic()([[0], [0]], hg.asarray([[1.0], [2.0]])).numpy()
    np.float64(4.5)
    """

    _casts_labels = True

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        allowed = ("sum_over_batch_size", "mean", "sum", "none", None)
        if reduction not in allowed:
            raise ValueError(f"reduction must be one of {allowed}, not {reduction!r}")
        self.name = unique_name(type(self).__name__) if name is None else name
        self.reduction = reduction
        self.dtype = dtype

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss; `sample_weight` multiplies the losses of the samples."""
        y_true, y_pred = as_tensor(y_true), _floats(y_pred, self.dtype)
        if self._casts_labels:
            y_true = _as_dtype(y_true, y_pred.dtype)
        losses = self.call(y_true, y_pred)
        if sample_weight is not None:
            losses, weight = _same_rank(losses, astype(sample_weight, losses.dtype))
            losses = losses * weight
        if self.reduction in (None, "none"):
            return losses
        if self.reduction == "sum" or not losses.size:
            return sum(losses)
        return mean(losses)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} reduction={self.reduction}>"


class MeanSquaredError(Loss):
    """The mean of squared differences.

    >>> from headgate import losses
    >>> losses.MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
    np.float64(0.5)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """The mean of absolute differences.

    >>> from headgate import losses
    >>> losses.MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
    np.float64(0.5)
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return mean_absolute_error(y_true, y_pred)


class Huber(Loss):
    """Half the mean of squared differences, linear where they are larger than `delta`.

    >>> from headgate import losses
    >>> losses.Huber()([[0.0, 0.0]], [[1.0, 3.0]]).numpy()
    np.float64(1.5)
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.delta = delta

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return huber(y_true, y_pred, self.delta)


class BinaryCrossentropy(Loss):
    """The cross entropy of yes-no questions; see `binary_crossentropy`.

    >>> from headgate import losses
    >>> loss = losses.BinaryCrossentropy(from_logits=True)
    >>> loss([[1.0], [0.0]], [[0.0], [0.0]]).numpy().round(4)
    np.float64(0.6931)
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return binary_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


class CategoricalCrossentropy(Loss):
    """The cross entropy of probabilities of classes; see `categorical_crossentropy`.

    >>> from headgate import losses
    >>> losses.CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4)
    np.float64(0.6931)
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


class SparseCategoricalCrossentropy(Loss):
    """The cross entropy of class numbers; see `sparse_categorical_crossentropy`.

    >>> from headgate import losses
    >>> loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> loss([0, 1], [[0.0, 0.0], [0.0, 0.0]]).numpy().round(4)
    np.float64(0.6931)
    """

    _casts_labels = False

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return sparse_categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.ignore_class, self.axis
        )
