"""What was said against what is: counts of right and wrong answers, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate.core.checks import choice, flag, number, numbers, optional, refused, whole
from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor
from headgate.core.traced import is_traced
from headgate.core.variable import Variable
from headgate.losses import floats, same_rank
from headgate.metrics.metric import Metric, add
from headgate.ops.activations import sigmoid
from headgate.ops.creation import zeros
from headgate.ops.elementwise import astype, divide_no_nan, log, maximum, minimum, where
from headgate.ops.index import scatter_add
from headgate.ops.reduce import any, argmax, argsort, cumulative_sum, searchsorted, sum
from headgate.ops.shape import broadcast_to, flip, reshape

# -- yes-no answers at thresholds ------------------------------------------------------------------


class _AtThresholds(Metric):
    """Base of metrics made of the four counts of right and wrong yes-no answers per threshold.

    Each prediction is put in the place that it has among the thresholds; how many lie above each
    of them is then a cumulative sum over the places, from the largest on.
    """

    def __init__(self, name: str | None, dtype: Any, thresholds: Sequence[float]) -> None:
        super().__init__(dtype, name)
        self.thresholds = list(thresholds)
        if sorted(set(self.thresholds)) != self.thresholds:
            raise ValueError(f"thresholds must increase, got {self.thresholds}")
        shape = (len(self.thresholds),)
        self.true_positives = self._gathered("true_positives", shape)
        self.false_positives = self._gathered("false_positives", shape)
        self.true_negatives = self._gathered("true_negatives", shape)
        self.false_negatives = self._gathered("false_negatives", shape)

    def _count(self, y_true: Tensor, y_pred: Tensor, weight: Tensor | None) -> None:
        y_true, y_pred = same_rank(y_true, y_pred)
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name}: y_true and y_pred must have the same shape, got {y_true.shape} and "
                f"{y_pred.shape}"
            )
        is_true = astype(y_true != 0, y_pred.dtype)
        weight = _for_each(y_pred, weight)
        places = reshape(searchsorted(np.asarray(self.thresholds, y_pred.dtype), y_pred), (-1,))
        hits, alarms = is_true * weight, (1.0 - is_true) * weight
        sums: list[tuple[Variable, Tensor]] = []
        for above, below, amount in (
            (self.true_positives, self.false_negatives, hits),
            (self.false_positives, self.true_negatives, alarms),
        ):
            by_place = zeros((len(self.thresholds) + 1,), y_pred.dtype)
            by_place = scatter_add(by_place, reshape(amount, (-1,)), places)
            found = flip(cumulative_sum(flip(by_place)))[1:]
            sums += [(above, found), (below, sum(amount) - found)]
        add(*sums)


def _for_each(values: Tensor, weight: Tensor | None) -> Tensor:
    """Return a weight for each value: those of samples hold for all that the samples have."""
    weight = astype(as_tensor(1.0 if weight is None else weight), values.dtype)
    values, weight = same_rank(values, weight)
    if weight.ndim:
        weight = reshape(weight, weight.shape + (1,) * (values.ndim - weight.ndim))
    return broadcast_to(weight, values.shape)


class _OfAnswers(_AtThresholds):
    """Base of precision and recall: which predictions they look at."""

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        if thresholds is None:
            thresholds = 0.5 if top_k is None else -np.inf
            found: Sequence[float] = [thresholds]
        elif hasattr(thresholds, "__iter__") and np.ndim(thresholds):
            found = numbers(kind, "thresholds", thresholds, "[0, 1]")
            if not found:
                raise refused(kind, "thresholds", "one number or more", thresholds)
        else:
            found = [number(kind, "thresholds", thresholds, "[0, 1]")]
        super().__init__(name, dtype, found)
        self.top_k = optional(whole, kind, "top_k", top_k, 1)
        self.class_id = optional(whole, kind, "class_id", class_id, 0)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch: answers 0 or 1, and predictions of the same shape."""
        y_true, y_pred = self._taken(y_true), floats(self._taken(y_pred))
        if self.top_k is not None:
            rank = argsort(argsort(y_pred, axis=-1, descending=True), axis=-1)
            y_pred = where(rank < self.top_k, y_pred, -np.inf)
        if self.class_id is not None:
            y_true, y_pred = y_true[..., self.class_id], y_pred[..., self.class_id]
        self._count(y_true, y_pred, self._weight(sample_weight))

    def _share(self, of: Variable, others: Variable) -> Tensor:
        found = astype(divide_no_nan(of, of + others), self.dtype)
        return found[0] if len(self.thresholds) == 1 else found


class Precision(_OfAnswers):
    """The share of right answers among those that say yes; 0 if there is none.

    Args:
        thresholds: above which predictions mean yes; with several the result has one value each.
            0.5 if left out.
        top_k: let only the k largest predictions along the last axis mean yes.
        class_id: look only at this place of the last axis.
        name: "precision" and so on if not given.
        dtype: of the result.

    >>> from headgate import metrics
    >>> metrics.Precision()([0, 1, 1, 1], [0.9, 0.8, 0.7, 0.1]).numpy().round(4)
    np.float32(0.6667)
    """

    def result(self) -> Tensor:
        """Return the share."""
        return self._share(self.true_positives, self.false_positives)


class Recall(_OfAnswers):
    """The share of those found among all that are true; 0 if there is none.

    Arguments are those of `Precision`.

    >>> from headgate import metrics
    >>> metrics.Recall()([0, 1, 1, 1], [0.9, 0.8, 0.7, 0.1]).numpy().round(4)
    np.float32(0.6667)
    """

    def result(self) -> Tensor:
        """Return the share."""
        return self._share(self.true_positives, self.false_negatives)


_SUMMATIONS = ("interpolation", "minoring", "majoring")
_MOST_THRESHOLDS = 1 << 24
"""So many steps from 0 to 1 are all that predictions in float32 can tell apart."""


class AUC(_AtThresholds):
    """The area under a curve of yes-no answers, from its points at many thresholds.

    Args:
        num_thresholds: number of points; two of them are beyond 0 and 1.
        curve: "ROC" for recall over the share of false alarms, "PR" for precision over recall.
        summation_method: "interpolation" between points, or "minoring" or "majoring", which give a
            bound from below or above. Between points of a PR curve the counts are interpolated.
        name: "auc" and so on if not given.
        dtype: of the result.
        thresholds: the inner thresholds instead of evenly spaced ones, increasing.
        from_logits: whether predictions still lack a sigmoid.

    >>> from headgate import metrics
    >>> metrics.AUC()([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]).numpy()
    np.float32(0.75)
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        *,
        thresholds: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        curve = choice("AUC", "curve", curve, ("ROC", "PR"))
        summation_method = choice("AUC", "summation_method", summation_method, _SUMMATIONS)
        number_of_them = whole("AUC", "num_thresholds", num_thresholds, 2, _MOST_THRESHOLDS)
        if thresholds is None:
            last = number_of_them - 1
            thresholds = [k / last for k in range(1, last)]
        else:
            thresholds = numbers("AUC", "thresholds", thresholds, "[0, 1]")
        super().__init__(name, dtype, [-1e-7, *thresholds, 1.0 + 1e-7])
        self.curve = curve
        self.summation_method = summation_method
        self.from_logits = flag(type(self).__name__, "from_logits", from_logits)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch: answers 0 or 1, and predictions of the same shape."""
        y_pred = floats(self._taken(y_pred))
        if self.from_logits:
            y_pred = sigmoid(y_pred)
        self._count(self._taken(y_true), y_pred, self._weight(sample_weight))

    def result(self) -> Tensor:
        """Return the area; 0 without any predictions."""
        hits, alarms = self.true_positives.read_value(), self.false_positives.read_value()
        recall = divide_no_nan(hits, hits + self.false_negatives)
        if self.curve == "ROC":
            x, y = divide_no_nan(alarms, alarms + self.true_negatives), recall
        else:
            x, y = recall, divide_no_nan(hits, hits + alarms)
        if self.summation_method == "minoring":
            height = minimum(y[:-1], y[1:])
        elif self.summation_method == "majoring":
            height = maximum(y[:-1], y[1:])
        elif self.curve == "ROC":
            height = (y[:-1] + y[1:]) / 2.0
        else:
            height = _mean_precision(hits, hits + alarms)
        return astype(sum((x[:-1] - x[1:]) * height), self.dtype)


def _mean_precision(hits: Tensor, said_yes: Tensor) -> Tensor:
    """Return the mean precision between points, if both counts change linearly with recall there.

    The precision is `(a + slope * n) / n` for a number n of yeses, from n_1 to n_0. Its mean over
    n is `slope + a * log(n_0 / n_1) / (n_0 - n_1)`; where n_1 is 0, so is a.
    """
    slope = divide_no_nan(hits[:-1] - hits[1:], said_yes[:-1] - said_yes[1:])
    a = hits[1:] - slope * said_yes[1:]
    ratio = where(said_yes[1:] > 0, divide_no_nan(said_yes[:-1], said_yes[1:]), 1.0)
    return slope + divide_no_nan(a * log(maximum(ratio, 1.0)), said_yes[:-1] - said_yes[1:])


# -- segmentation ----------------------------------------------------------------------------------


class MeanIoU(Metric):
    """The mean over classes of the intersection of what is and what is said by their union.

    Classes that occur in neither do not count.

    Args:
        num_classes: number of classes.
        name: "mean_io_u" and so on if not given.
        dtype: of the result.
        ignore_class: a class number in `y_true` that stands for no class.
        sparse_y_true: whether `y_true` has class numbers; else one-hot classes on the last axis.
        sparse_y_pred: whether `y_pred` has class numbers; else scores on the last axis.

    >>> from headgate import metrics
    >>> metrics.MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1]).numpy().round(4)
    np.float32(0.3333)
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
    ) -> None:
        super().__init__(dtype, name)
        self.num_classes = num_classes = whole("MeanIoU", "num_classes", num_classes, 1)
        self.ignore_class = optional(whole, "MeanIoU", "ignore_class", ignore_class)
        self.sparse_y_true = flag(type(self).__name__, "sparse_y_true", sparse_y_true)
        self.sparse_y_pred = flag(type(self).__name__, "sparse_y_pred", sparse_y_pred)
        self.total_cm = self._gathered("total_confusion_matrix", (num_classes, num_classes))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch of classes, of any shape.

        Raises:
            ValueError: class numbers below 0, or not below `num_classes`. A compiled function,
                which cannot raise, does not count them.
        """
        y_true, y_pred = self._taken(y_true), self._taken(y_pred)
        y_true = y_true if self.sparse_y_true else argmax(y_true, axis=-1)
        y_pred = y_pred if self.sparse_y_pred else argmax(y_pred, axis=-1)
        weight = reshape(_for_each(floats(y_true), self._weight(sample_weight)), (-1,))
        y_true, y_pred = (reshape(astype(y, "int64"), (-1,)) for y in (y_true, y_pred))
        if self.ignore_class is not None:
            counted = y_true != self.ignore_class
            y_true, weight = where(counted, y_true, 0), where(counted, weight, 0.0)
        places = y_true * self.num_classes + y_pred
        for what, y in (("y_true", y_true), ("y_pred", y_pred)):
            outside = (y < 0) | (y >= self.num_classes)
            if is_traced(outside.value):
                places = where(outside, self.num_classes**2, places)  # which is no place
            elif any(outside):
                raise ValueError(
                    f"{self.name}: class numbers must be from 0 to {self.num_classes - 1}, and "
                    f"{what} has some from {int(y.value.min())} to {int(y.value.max())}"
                )
        found = scatter_add(zeros((self.num_classes**2,), weight.dtype), weight, places)
        add((self.total_cm, reshape(found, self.total_cm.shape)))

    def result(self) -> Tensor:
        """Return the mean; 0 without any classes."""
        matrix = self.total_cm.read_value()
        both = sum(where(np.eye(self.num_classes, dtype=bool), matrix, 0.0), axis=0)
        either = sum(matrix, axis=0) + sum(matrix, axis=1) - both
        occurring = sum(astype(either > 0, matrix.dtype))
        return astype(divide_no_nan(sum(divide_no_nan(both, either)), occurring), self.dtype)
