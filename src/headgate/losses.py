"""Losses with Keras' names, formulas and defaults.

Each loss is a function of `y_true` and `y_pred` that gives one number per sample (the last axis is
reduced), and a class of the same name in capitals that holds the options and reduces what is left:
"sum_over_batch_size" (the mean), "mean_with_sample_weight", "sum" or "none". `y_true` is cast to
the dtype of `y_pred`. Here each class follows its function.

From probabilities, a cross entropy has no gradient where they are rounded to 0 or 1. If they come
from a sigmoid or softmax of a layer, it is therefore computed from that one's argument instead.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from headgate.core.checks import amount, choice, flag, number, optional, whole
from headgate.core.lift import as_tensor
from headgate.core.settings import Settled
from headgate.core.tensor import Tensor
from headgate.naming import floatx, unique_name
from headgate.nn.activations import logits_of
from headgate.ops.activations import sigmoid, sigmoid_cross_entropy, softplus
from headgate.ops.elementwise import (
    abs,
    astype,
    clip,
    divide_no_nan,
    log,
    log1p,
    maximum,
    minimum,
    rsqrt,
    square,
    where,
)
from headgate.ops.functional import softmax_cross_entropy, sparse_softmax_cross_entropy
from headgate.ops.reduce import all, max, mean, sum
from headgate.ops.shape import broadcast_to, expand_dims, squeeze

_EPSILON = 1e-7
"""Probabilities are kept this far from 0 and 1."""

_STEP_BELOW_ONE = {"e": 2.0**-11, "V": 2.0**-8}
"""In half precision the next number below 1 is further away: float16's, and bfloat16's."""


def _below_one(p: Tensor) -> float:
    """Return the largest probability that is not rounded to 1 in a tensor's dtype."""
    kind = p.dtype.kind if p.dtype.kind == "V" else p.dtype.char
    return 1.0 - _STEP_BELOW_ONE.get(kind, _EPSILON)


# -- what all losses share -------------------------------------------------------------------------


def pair(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Return both as tensors, of the dtype of y_pred; a last axis of 1 may be missing in one."""
    y_pred = floats(y_pred)
    return same_rank(_as_dtype(as_tensor(y_true), y_pred.dtype), y_pred)


def floats(y_pred: Any, dtype: Any = None) -> Tensor:
    """Return predictions as floats, of their own dtype if none is asked for."""
    y_pred = as_tensor(y_pred)
    if dtype is None:
        dtype = y_pred.dtype if y_pred.dtype.kind in "fcV" else floatx()
    return _as_dtype(y_pred, dtype)


def _as_dtype(x: Tensor, dtype: Any) -> Tensor:
    return x if x.dtype == dtype else astype(x, dtype)


def same_rank(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.ndim == y.ndim + 1 and x.shape[-1] == 1:
        y, x = same_rank(y, x)
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
    from_logits = flag(name, "from_logits", from_logits)
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


_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


class Loss(Settled):
    """Base of all losses: call it with y_true and y_pred; a subclass has a `call`.

    Args:
        name: "loss", "loss_1" and so on after the class if not given.
        reduction: what becomes of the losses of the samples: "sum_over_batch_size" (or "mean") for
            their mean, "mean_with_sample_weight" for their sum by that of the weights, "sum", or
            "none" (or None) for all of them.
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
        self.name = unique_name(type(self).__name__) if name is None else name
        self.reduction = choice(type(self).__name__, "reduction", reduction, _REDUCTIONS)
        self.dtype = dtype

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss; `sample_weight` multiplies the losses of the samples."""
        y_true, y_pred = as_tensor(y_true), floats(y_pred, self.dtype)
        if self._casts_labels:
            y_true = _as_dtype(y_true, y_pred.dtype)
        losses = self.call(y_true, y_pred)
        if sample_weight is not None:
            losses, weight = same_rank(losses, astype(sample_weight, losses.dtype))
            losses = losses * weight
        if self.reduction in (None, "none"):
            return losses
        if self.reduction == "sum" or not losses.size:
            return sum(losses)
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            return divide_no_nan(sum(losses), sum(broadcast_to(weight, losses.shape)))
        return mean(losses)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} reduction={self.reduction}>"


class _Plain(Loss):
    """Base of the losses that have no options but those of all: a function to reduce."""

    _function: Callable[[Any, Any], Tensor]

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(self._function.__name__ if name is None else name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return type(self)._function(y_true, y_pred)


# -- differences -----------------------------------------------------------------------------------


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of squared differences.

    >>> from headgate import losses
    >>> losses.mean_squared_error([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
    array([0.5])
    """
    y_true, y_pred = pair(y_true, y_pred)
    return mean(square(y_pred - y_true), axis=-1)


class MeanSquaredError(_Plain):
    """The mean of squared differences.

    >>> from headgate import losses
    >>> losses.MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]]).numpy().round(4)
    np.float64(0.5)
    """

    _function = staticmethod(mean_squared_error)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of absolute differences.

    >>> from headgate import losses
    >>> losses.mean_absolute_error([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
    array([0.5])
    """
    y_true, y_pred = pair(y_true, y_pred)
    return mean(abs(y_pred - y_true), axis=-1)


class MeanAbsoluteError(_Plain):
    """The mean of absolute differences.

    >>> from headgate import losses
    >>> losses.MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 1.0]]).numpy().round(4)
    np.float64(0.5)
    """

    _function = staticmethod(mean_absolute_error)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Return the mean over the last axis of squares / 2 of differences, linear beyond `delta`.

    >>> from headgate import losses
    >>> losses.huber([[0.0, 0.0]], [[1.0, 3.0]]).numpy()
    array([1.5])
    """
    delta = amount("huber", "delta", delta, "(0, inf)")
    y_true, y_pred = pair(y_true, y_pred)
    size = abs(y_pred - y_true)
    near = minimum(size, delta)  # near * (size - near / 2) is both branches in one
    return mean(near * (size - 0.5 * near), axis=-1)


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
        self.delta = amount("Huber", "delta", delta, "(0, inf)")

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return huber(y_true, y_pred, self.delta)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of absolute differences, in percent of y_true.

    >>> from headgate import losses
    >>> losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 4.0]]).numpy()
    array([25.])
    """
    y_true, y_pred = pair(y_true, y_pred)
    return 100.0 * mean(abs((y_pred - y_true) / maximum(abs(y_true), _EPSILON)), axis=-1)


class MeanAbsolutePercentageError(_Plain):
    """The mean of absolute differences, in percent of the right values.

    >>> from headgate import losses
    >>> losses.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]]).numpy().round(4)
    np.float64(25.0)
    """

    _function = staticmethod(mean_absolute_percentage_error)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of squared differences of `log(1 + y)`.

    >>> from headgate import losses
    >>> losses.mean_squared_logarithmic_error([[0.0, 1.0]], [[0.0, 3.0]]).numpy().round(4)
    array([0.2402])
    """
    y_true, y_pred = (log1p(maximum(y, _EPSILON)) for y in pair(y_true, y_pred))
    return mean(square(y_pred - y_true), axis=-1)


class MeanSquaredLogarithmicError(_Plain):
    """The mean of squared differences of `log(1 + y)`.

    >>> from headgate import losses
    >>> losses.MeanSquaredLogarithmicError()([[0.0, 1.0]], [[0.0, 3.0]]).numpy().round(4)
    np.float64(0.2402)
    """

    _function = staticmethod(mean_squared_logarithmic_error)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of `log(cosh(difference))`: a smooth absolute difference.

    >>> from headgate import losses
    >>> losses.log_cosh([[0.0, 0.0]], [[0.0, 1.0]]).numpy().round(4)
    array([0.2169])
    """
    y_true, y_pred = pair(y_true, y_pred)
    difference = y_pred - y_true
    return mean(difference + softplus(-2.0 * difference) - math.log(2.0), axis=-1)


class LogCosh(_Plain):
    """The mean of `log(cosh(difference))`: a smooth absolute difference.

    >>> from headgate import losses
    >>> losses.LogCosh()([[0.0, 0.0]], [[0.0, 1.0]]).numpy().round(4)
    np.float64(0.2169)
    """

    _function = staticmethod(log_cosh)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Return minus the cosines of the angles between vectors along an axis: -1 is the best.

    A vector of zeros has the cosine 0 with all others.

    >>> from headgate import losses
    >>> losses.cosine_similarity([[0.0, 1.0], [0.0, 1.0]], [[0.0, 2.0], [3.0, 0.0]]).numpy()
    array([-1., -0.])
    """
    axis = whole("cosine_similarity", "axis", axis)
    y_true, y_pred = (_unit(y, axis) for y in pair(y_true, y_pred))
    return -sum(y_true * y_pred, axis=axis)


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between vectors along an axis; see `cosine_similarity`.

    >>> from headgate import losses
    >>> losses.CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]]).numpy()
    np.float64(-1.0)
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.axis = whole(type(self).__name__, "axis", axis)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return cosine_similarity(y_true, y_pred, self.axis)


def _unit(x: Tensor, axis: int) -> Tensor:
    least = 2.0**-14 if x.dtype.char == "e" else _EPSILON**2  # which float16 rounds to 0
    return x * rsqrt(maximum(sum(square(x), axis=axis, keepdims=True), least))


# -- margins ---------------------------------------------------------------------------------------


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of what `y_true * y_pred` lacks to 1.

    Args:
        y_true: right answers, -1 or 1; if they are 0 and 1 only, 0 counts as -1.
        y_pred: scores of the same shape.

    >>> from headgate import losses
    >>> losses.hinge([[-1.0, 1.0]], [[0.5, 2.0]]).numpy()
    array([0.75])
    """
    return mean(_lack(y_true, y_pred), axis=-1)


class Hinge(_Plain):
    """The mean of what scores lack to a margin of 1; see `hinge`.

    >>> from headgate import losses
    >>> losses.Hinge()([[-1.0, 1.0]], [[0.5, 2.0]]).numpy().round(4)
    np.float64(0.75)
    """

    _function = staticmethod(hinge)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of the squares of what `y_true * y_pred` lacks to 1.

    Arguments are those of `hinge`.

    >>> from headgate import losses
    >>> losses.squared_hinge([[-1.0, 1.0]], [[0.5, 2.0]]).numpy()
    array([1.125])
    """
    return mean(square(_lack(y_true, y_pred)), axis=-1)


class SquaredHinge(_Plain):
    """The mean of squares of what scores lack to a margin of 1; see `hinge`.

    >>> from headgate import losses
    >>> losses.SquaredHinge()([[-1.0, 1.0]], [[0.5, 2.0]]).numpy().round(4)
    np.float64(1.125)
    """

    _function = staticmethod(squared_hinge)


def _lack(y_true: Any, y_pred: Any) -> Tensor:
    y_true, y_pred = pair(y_true, y_pred)
    is_binary = all((y_true == 0.0) | (y_true == 1.0))
    return maximum(1.0 - where(is_binary, 2.0 * y_true - 1.0, y_true) * y_pred, 0.0)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return what the right class's score lacks to the highest other score plus 1.

    Args:
        y_true: one-hot classes along the last axis.
        y_pred: scores of the same shape.

    >>> from headgate import losses
    >>> losses.categorical_hinge([[0.0, 1.0]], [[0.5, 1.0]]).numpy()
    array([0.5])
    """
    y_true, y_pred = pair(y_true, y_pred)
    right = sum(y_true * y_pred, axis=-1)
    wrong = max((1.0 - y_true) * y_pred, axis=-1)
    return maximum(wrong - right + 1.0, 0.0)


class CategoricalHinge(_Plain):
    """What the right class's score lacks to the highest other one plus 1.

    >>> from headgate import losses
    >>> losses.CategoricalHinge()([[0.0, 1.0]], [[0.5, 1.0]]).numpy().round(4)
    np.float64(0.5)
    """

    _function = staticmethod(categorical_hinge)


# -- probabilities ---------------------------------------------------------------------------------


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Return the Kullback-Leibler divergences of probabilities along the last axis.

    >>> from headgate import losses
    >>> losses.kl_divergence([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4)
    array([0.6931])
    """
    y_true, y_pred = (clip(y, _EPSILON, 1.0) for y in pair(y_true, y_pred))
    return sum(y_true * (log(y_true) - log(y_pred)), axis=-1)  # a quotient may overflow


class KLDivergence(_Plain):
    """The Kullback-Leibler divergence of probabilities along the last axis.

    >>> from headgate import losses
    >>> losses.KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4)
    np.float64(0.6931)
    """

    _function = staticmethod(kl_divergence)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean over the last axis of `y_pred - y_true * log(y_pred)`.

    That is how improbable the counts `y_true` are if `y_pred` are their mean values, up to a
    constant.

    >>> from headgate import losses
    >>> losses.poisson([[2.0, 0.0]], [[1.0, 3.0]]).numpy().round(4)
    array([2.])
    """
    y_true, y_pred = pair(y_true, y_pred)
    return mean(y_pred - y_true * log(y_pred + _EPSILON), axis=-1)


class Poisson(_Plain):
    """How improbable counts are, given their mean values; see `poisson`.

    >>> from headgate import losses
    >>> losses.Poisson()([[2.0, 0.0]], [[1.0, 3.0]]).numpy().round(4)
    np.float64(2.0)
    """

    _function = staticmethod(poisson)


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
    axis = whole(name, "axis", axis)
    y_pred, from_logits = _as_logits(name, floats(y_pred), from_logits)
    each, _, _ = _yes_no(name, y_true, y_pred, from_logits, label_smoothing)
    return mean(each, axis=axis)


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
        self.from_logits = flag(type(self).__name__, "from_logits", from_logits)
        self.label_smoothing = number(
            type(self).__name__, "label_smoothing", label_smoothing, "[0, 1]"
        )
        self.axis = whole(type(self).__name__, "axis", axis)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return binary_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return binary cross entropies in which answers that are nearly right count little.

    Each is multiplied by `(1 - probability of the right answer) ** gamma`.

    Args:
        y_true: the right answers, from 0 to 1.
        y_pred: probabilities, or logits if `from_logits`; of the same shape.
        apply_class_balancing: whether to weigh the answers 1 with `alpha` and 0 with `1 - alpha`.
        alpha: of the class balancing.
        gamma: how little; with 0 the result is that of `binary_crossentropy`.
        from_logits: whether `y_pred` still lacks a sigmoid.
        label_smoothing: how far to move the right answers towards 1/2.
        axis: to take the mean over.

    >>> from headgate import losses
    >>> losses.binary_focal_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).numpy().round(4)
    array([0.1733])
    """
    name = "binary_focal_crossentropy"
    alpha = amount(name, "alpha", alpha, "[0, 1]")
    gamma = amount(name, "gamma", gamma, "[0, inf)")
    axis = whole(name, "axis", axis)
    apply_class_balancing = flag(name, "apply_class_balancing", apply_class_balancing)
    y_pred, from_logits = _as_logits(name, floats(y_pred), from_logits)
    each, y_true, p = _yes_no(name, y_true, y_pred, from_logits, label_smoothing)
    each = (1.0 - (y_true * p + (1.0 - y_true) * (1.0 - p))) ** gamma * each
    if apply_class_balancing:
        each = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * each
    return mean(each, axis=axis)


class BinaryFocalCrossentropy(Loss):
    """Binary cross entropy in which nearly right answers count little.

    Arguments are those of `binary_focal_crossentropy`.

    >>> from headgate import losses
    >>> losses.BinaryFocalCrossentropy()([[1.0, 0.0]], [[0.5, 0.5]]).numpy().round(4)
    np.float64(0.1733)
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.apply_class_balancing = flag(
            type(self).__name__, "apply_class_balancing", apply_class_balancing
        )
        self.alpha = amount("BinaryFocalCrossentropy", "alpha", alpha, "[0, 1]")
        self.gamma = amount("BinaryFocalCrossentropy", "gamma", gamma, "[0, inf)")
        self.from_logits = flag(type(self).__name__, "from_logits", from_logits)
        self.label_smoothing = number(
            type(self).__name__, "label_smoothing", label_smoothing, "[0, 1]"
        )
        self.axis = whole(type(self).__name__, "axis", axis)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return binary_focal_crossentropy(
            y_true,
            y_pred,
            self.apply_class_balancing,
            self.alpha,
            self.gamma,
            self.from_logits,
            self.label_smoothing,
            self.axis,
        )


def _yes_no(
    name: str, y_true: Any, y_pred: Tensor, from_logits: bool, label_smoothing: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cross entropies of yes-no questions, smoothed answers and probabilities."""
    label_smoothing = number(name, "label_smoothing", label_smoothing, "[0, 1]")
    y_true, y_pred = pair(y_true, y_pred)
    _check_shapes(name, y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        return sigmoid_cross_entropy(y_pred, y_true), y_true, sigmoid(y_pred)
    p = clip(y_pred, _EPSILON, _below_one(y_pred))
    return -(y_true * log(p) + (1.0 - y_true) * log(1.0 - p)), y_true, p


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
    label_smoothing = number(name, "label_smoothing", label_smoothing, "[0, 1]")
    axis = whole(name, "axis", axis)
    y_pred, from_logits = _as_logits(name, floats(y_pred), from_logits)
    y_true, y_pred = pair(y_true, y_pred)
    _check_shapes(name, y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[axis]
    if from_logits:
        return softmax_cross_entropy(y_pred, y_true, axis=axis)
    y_pred = y_pred / sum(y_pred, axis=axis, keepdims=True)
    y_pred = clip(y_pred, _EPSILON, _below_one(y_pred))
    return -sum(y_true * log(y_pred), axis=axis)


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
        self.from_logits = flag(type(self).__name__, "from_logits", from_logits)
        self.label_smoothing = number(
            type(self).__name__, "label_smoothing", label_smoothing, "[0, 1]"
        )
        self.axis = whole(type(self).__name__, "axis", axis)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


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
    axis = whole(name, "axis", axis)
    ignore_class = optional(whole, name, "ignore_class", ignore_class)
    y_pred, from_logits = _as_logits(name, floats(y_pred), from_logits)
    if axis not in (-1, y_pred.ndim - 1):
        raise ValueError(f"{name}: the classes must be on the last axis, not on axis {axis}")
    y_true = as_tensor(y_true)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = squeeze(y_true, axis=-1)
    if y_true.dtype.kind not in "iu":
        y_true = astype(y_true, "int64")
    if not from_logits:
        y_pred = log(clip(y_pred, _EPSILON, _below_one(y_pred)))
    if ignore_class is None:
        return sparse_softmax_cross_entropy(y_pred, y_true)
    counted = y_true != ignore_class
    each = sparse_softmax_cross_entropy(y_pred, where(counted, y_true, 0))
    return where(counted, each, 0.0)


class SparseCategoricalCrossentropy(Loss):
    """The cross entropy of class numbers; see `sparse_categorical_crossentropy`.

    The mean is one over the samples that are not of the class `ignore_class`.

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
        self.from_logits = flag(type(self).__name__, "from_logits", from_logits)
        self.ignore_class = optional(
            whole, "SparseCategoricalCrossentropy", "ignore_class", ignore_class
        )
        self.axis = whole(type(self).__name__, "axis", axis)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss; `sample_weight` multiplies the losses of the samples."""
        if self.ignore_class is not None:
            y_true, y_pred = as_tensor(y_true), floats(y_pred, self.dtype)
            if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
                y_true = squeeze(y_true, axis=-1)
            counted = astype(y_true != self.ignore_class, y_pred.dtype)
            if self.reduction in ("sum_over_batch_size", "mean"):
                counted = counted * divide_no_nan(float(counted.size), sum(counted))
            if sample_weight is not None:
                counted, weight = same_rank(counted, astype(sample_weight, counted.dtype))
                counted = counted * weight
            sample_weight = counted
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the losses of the samples."""
        return sparse_categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.ignore_class, self.axis
        )
