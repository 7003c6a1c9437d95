"""Metrics: numbers about a whole epoch or data set, gathered batch by batch.

A metric has Keras' name and protocol: `update_state` takes one batch, `result` says what all of
them gave, `reset_state` begins again, and calling the metric does the first two. What is gathered
(sums and counts, in float64) lives in variables that are not trainable, and can be saved.

An update works on values without their history, so that a metric keeps no graph alive; that the
value went there is noted, in case somebody takes the gradient of a result and asks where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headgate import losses
from headgate.core.op import as_tensor
from headgate.core.scope import suspended
from headgate.core.tensor import Tensor, constant, note_escape
from headgate.core.variable import Variable
from headgate.losses import floats, pair, same_rank
from headgate.naming import floatx, unique_name
from headgate.nn.initializers import get_initializer
from headgate.ops.creation import arange, zeros
from headgate.ops.elementwise import (
    astype,
    divide_no_nan,
    log,
    maximum,
    minimum,
    sigmoid,
    sqrt,
    square,
    where,
)
from headgate.ops.index import scatter_add
from headgate.ops.reduce import any, argmax, argsort, cumulative_sum, max, mean, searchsorted, sum
from headgate.ops.shape import broadcast_to, expand_dims, flip, reshape, squeeze
from headgate.state import fitted, own, saved


class Metric:
    """Base of all metrics; a subclass has `update_state` and `result`.

    Args:
        name: "metric", "metric_1" and so on after the class if not given.
        dtype: of the result, and of variables that a subclass adds; `nn.floatx()` if left out.

    >>> import headgate as hg
    >>> from headgate import metrics
    >>> class Largest(metrics.Metric):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.largest = self.add_variable(name="largest")
    ...     def update_state(self, values):
    ...         values = hg.astype(values, self.dtype)
    ...         self.largest.assign(hg.maximum(self.largest, hg.max(values)))
    ...     def result(self):
    ...         return self.largest
    >>> largest = Largest()
    >>> largest([1.0, 3.0]).numpy(), largest([2.0]).numpy()
    (np.float32(3.0), np.float32(3.0))
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = unique_name(type(self).__name__) if name is None else name
        self.dtype = np.dtype(floatx() if dtype is None else dtype)
        self._variables: dict[str, tuple[Variable, Any]] = {}

    def add_variable(
        self,
        shape: Any = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Return a new variable that belongs to the metric's state.

        Args:
            shape: of the variable.
            initializer: an initializer or its name, for the value at first and after a reset.
            dtype: that of the metric if left out.
            name: by which the state knows it.

        Raises:
            ValueError: the metric has a variable of that name already.
        """
        name = f"variable_{len(self._variables)}" if name is None else name
        if name in self._variables:
            raise ValueError(f"metric {self.name!r} has a variable {name!r} already")
        with suspended():
            value = get_initializer(initializer)(
                tuple(shape), self.dtype if dtype is None else dtype
            )
            variable = Variable(value, trainable=False, name=f"{self.name}/{name}")
            self._variables[name] = (variable, variable._value)
        return variable

    add_weight = add_variable

    def _gathered(self, name: str, shape: tuple[int, ...] = ()) -> Variable:
        """Return a variable for a sum: float32 would lose counts from 2**24 on."""
        return self.add_variable(shape, dtype=np.float64, name=name)

    def _weight(self, value: Any) -> Tensor | None:
        return None if value is None else self._taken(value)

    def _taken(self, value: Any) -> Tensor:
        """Return a value without its history, and note that it goes into the state."""
        if type(value) is Variable:
            return constant(value._value)
        tensor = as_tensor(value)
        how = f"update_state({self.name})"
        past = note_escape(tensor.node, "stateful_write", how, tensor.shape)
        if past is not None:
            for variable, _ in self._variables.values():
                variable._source.past = past
        return constant(tensor.value)

    @property
    def variables(self) -> list[Variable]:
        """The variables with the state; none is trainable."""
        return [variable for variable, _ in self._variables.values()]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take one batch."""
        raise NotImplementedError(f"{type(self).__name__} must define update_state")

    def result(self) -> Any:
        """Return what the batches so far give."""
        raise NotImplementedError(f"{type(self).__name__} must define result")

    def reset_state(self) -> None:
        """Forget all batches."""
        for variable, first in self._variables.values():
            variable._value = own(first, variable._value)
            variable._source.past = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take one batch, and return what the batches so far give."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_state(self) -> dict[str, Any]:
        """Return the state: arrays by name.

        >>> from headgate import metrics
        >>> mean = metrics.Mean()
        >>> mean.update_state([1.0, 3.0])
        >>> mean.get_state()
        {'total': array(4.), 'count': array(2.)}
        """
        return {name: saved(variable) for name, (variable, _) in self._variables.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that `get_state` returned.

        Raises:
            ValueError: other names, shapes or dtypes. Nothing is changed then.
        """
        mine = {name: variable for name, (variable, _) in self._variables.items()}
        arrays = fitted(f"metric {self.name!r}", state, mine)
        for name, variable in mine.items():
            variable._value = own(arrays[name], variable._value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _add(variable: Variable, amount: Tensor) -> None:
    variable._value = variable._value + amount.value


# -- means and sums --------------------------------------------------------------------------------


def _by_sample(values: Tensor, weight: Tensor | None, reduce: Any) -> tuple[Tensor, Tensor | None]:
    """Reduce all axes but the first, of values times weights and of the weights."""
    if weight is not None:
        values, weight = same_rank(values, astype(weight, values.dtype))
        values = _reduced(values, weight.ndim, reduce)
        weight = broadcast_to(weight, values.shape)
        values, weight = values * weight, _reduced(weight, 1, reduce)
    return _reduced(values, 1, reduce), weight


def _reduced(values: Tensor, first: int, reduce: Any) -> Tensor:
    return reduce(values, axis=tuple(range(first, values.ndim))) if values.ndim > first else values


class Mean(Metric):
    """The mean of all values, each weighted with its sample's weight if there is one.

    A sample's value is its mean over all axes but the first. Without values it is 0.

    >>> from headgate import metrics
    >>> mean = metrics.Mean()
    >>> mean.update_state([1.0, 3.0])
    >>> mean.update_state([5.0], sample_weight=[2.0])
    >>> mean.result().numpy()
    np.float32(3.5)
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self._gathered("total")
        self.count = self._gathered("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values, of any shape; weights may lack axes at the end."""
        values, weight = _by_sample(floats(self._taken(values)), self._weight(sample_weight), mean)
        count = values.shape[0] if values.ndim else 1
        _add(self.total, sum(values))
        _add(self.count, as_tensor(count) if weight is None else sum(weight))

    def result(self) -> Tensor:
        """Return the mean."""
        return astype(divide_no_nan(self.total, self.count), self.dtype)


class Sum(Metric):
    """The sum of all values, each multiplied with its weight if there is one.

    >>> from headgate import metrics
    >>> metrics.Sum()([1.0, 3.0], sample_weight=[1.0, 2.0]).numpy()
    np.float32(7.0)
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self._gathered("total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values, of any shape; weights may lack axes at the end."""
        values, _ = _by_sample(floats(self._taken(values)), self._weight(sample_weight), sum)
        _add(self.total, sum(values))

    def result(self) -> Tensor:
        """Return the sum."""
        return astype(self.total, self.dtype)


class MeanMetricWrapper(Mean):
    """The mean of what a function of `y_true` and `y_pred` gives.

    Args:
        fn: the function; it returns one value per sample, or more.
        name: after the function if not given.
        dtype: of the result.
        options: further arguments of the function.

    >>> from headgate import losses, metrics
    >>> metrics.MeanMetricWrapper(losses.huber, delta=0.5)([[0.0]], [[2.0]]).numpy()
    np.float32(0.875)
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(fn.__name__ if name is None else name, dtype)
        self._function = fn
        self._options = options

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch."""
        found = self._function(self._taken(y_true), self._taken(y_pred), **self._options)
        super().update_state(found, sample_weight)


# -- how often predictions are right ---------------------------------------------------------------


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Return 1 where `y_pred` equals `y_true`, else 0.

    >>> from headgate import metrics
    >>> metrics.accuracy([1, 2], [1, 3]).numpy()
    array([1., 0.], dtype=float32)
    """
    y_true, y_pred = same_rank(as_tensor(y_true), as_tensor(y_pred))
    return astype(y_true == y_pred, floatx())


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """Return 1 where `y_true`, 0 or 1, says whether `y_pred` is above a threshold; else 0.

    >>> from headgate import metrics
    >>> metrics.binary_accuracy([1, 0], [0.6, 0.7]).numpy()
    array([1., 0.], dtype=float32)
    """
    y_true, y_pred = same_rank(as_tensor(y_true), as_tensor(y_pred))
    return accuracy(y_true, astype(y_pred > threshold, y_true.dtype))


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Return 1 where `y_true` and `y_pred` are largest at the same class, else 0.

    Both have the classes on the last axis, which the result does not have.

    >>> from headgate import metrics
    >>> metrics.categorical_accuracy([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]]).numpy()
    array([1., 0.], dtype=float32)
    """
    return sparse_categorical_accuracy(argmax(y_true, axis=-1), y_pred)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """Return 1 where `y_pred` is largest at the class `y_true`, else 0.

    `y_true` has the shape of `y_pred` without its last axis, that of the classes (or with 1 there).

    >>> from headgate import metrics
    >>> metrics.sparse_categorical_accuracy([1, 0], [[0.1, 0.9], [0.2, 0.8]]).numpy()
    array([1., 0.], dtype=float32)
    """
    y_pred = as_tensor(y_pred)
    return accuracy(_classes(y_true, y_pred), argmax(y_pred, axis=-1))


def _classes(y_true: Any, y_pred: Tensor) -> Tensor:
    """Return class numbers, one per vector of y_pred."""
    y_true = as_tensor(y_true)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = squeeze(y_true, axis=-1)
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"class numbers must have the shape of y_pred without its last axis: y_true has "
            f"{y_true.shape}, y_pred {y_pred.shape}"
        )
    return y_true


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Return 1 where the class at which `y_true` is largest is one of the k largest of `y_pred`.

    >>> from headgate import metrics
    >>> metrics.top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.2, 0.3]], k=2).numpy()
    array([1.], dtype=float32)
    """
    return sparse_top_k_categorical_accuracy(argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Return 1 where the class `y_true` is one of the k largest of `y_pred`, ties included.

    >>> from headgate import metrics
    >>> metrics.sparse_top_k_categorical_accuracy([2, 1], [[0.5, 0.2, 0.3]] * 2, k=2).numpy()
    array([1., 0.], dtype=float32)
    """
    y_pred = as_tensor(y_pred)
    is_right = expand_dims(_classes(y_true, y_pred), axis=-1) == arange(y_pred.shape[-1])
    right = max(where(is_right, y_pred, -np.inf), axis=-1, keepdims=True)
    larger = sum(astype(y_pred > right, "int64"), axis=-1)
    return astype(any(is_right, axis=-1) & (larger < k), floatx())


class Accuracy(MeanMetricWrapper):
    """How often predictions equal labels.

    >>> from headgate import metrics
    >>> metrics.Accuracy()([1, 2, 3, 4], [0, 2, 3, 4]).numpy()
    np.float32(0.75)
    """

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often yes-no answers are right; above the threshold counts as yes.

    >>> from headgate import metrics
    >>> metrics.BinaryAccuracy()([1, 1, 0, 0], [0.9, 0.2, 0.1, 0.4]).numpy()
    np.float32(0.75)
    """

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is that of one-hot labels.

    >>> from headgate import metrics
    >>> metrics.CategoricalAccuracy()([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]]).numpy()
    np.float32(0.5)
    """

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is the right one, given as a number.

    >>> from headgate import metrics
    >>> metrics.SparseCategoricalAccuracy()([1, 0], [[0.1, 0.9], [0.2, 0.8]]).numpy()
    np.float32(0.5)
    """

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the class of one-hot labels is among the k most probable ones.

    >>> from headgate import metrics
    >>> metrics.TopKCategoricalAccuracy(k=2)([[0, 0, 1]], [[0.5, 0.2, 0.3]]).numpy()
    np.float32(1.0)
    """

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class, given as a number, is among the k most probable ones.

    >>> from headgate import metrics
    >>> metrics.SparseTopKCategoricalAccuracy(k=2)([1], [[0.5, 0.2, 0.3]]).numpy()
    np.float32(0.0)
    """

    def __init__(
        self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k)


# -- how far predictions are off -------------------------------------------------------------------


class MeanSquaredError(MeanMetricWrapper):
    """The mean of squared differences.

    >>> from headgate import metrics
    >>> metrics.MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
    np.float32(0.5)
    """

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class RootMeanSquaredError(Mean):
    """The square root of the mean of squared differences.

    >>> from headgate import metrics
    >>> metrics.RootMeanSquaredError()([[0.0, 1.0]], [[2.0, 1.0]]).numpy().round(4)
    np.float32(1.4142)
    """

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch."""
        y_true, y_pred = pair(self._taken(y_true), self._taken(y_pred))
        super().update_state(square(y_pred - y_true), sample_weight)

    def result(self) -> Tensor:
        """Return the root of the mean."""
        return sqrt(super().result())


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of absolute differences.

    >>> from headgate import metrics
    >>> metrics.MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
    np.float32(0.5)
    """

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """The mean of absolute differences, in percent of the right values.

    >>> from headgate import metrics
    >>> metrics.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]]).numpy()
    np.float32(25.0)
    """

    def __init__(
        self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None
    ) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class KLDivergence(MeanMetricWrapper):
    """The mean Kullback-Leibler divergence of probabilities along the last axis.

    >>> from headgate import metrics
    >>> metrics.KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4)
    np.float32(0.6931)
    """

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between vectors along an axis: 1 is the best.

    >>> from headgate import metrics
    >>> metrics.CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]]).numpy()
    np.float32(1.0)
    """

    def __init__(
        self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(_cosine, name, dtype, axis=axis)


def _cosine(y_true: Any, y_pred: Any, axis: int) -> Tensor:
    return -losses.cosine_similarity(y_true, y_pred, axis)


# -- yes-no answers at thresholds ------------------------------------------------------------------


class _AtThresholds(Metric):
    """Base of metrics made of the four counts of right and wrong yes-no answers per threshold.

    Each prediction is put in the place that it has among the thresholds; how many lie above each
    of them is then a cumulative sum over the places, from the largest on.
    """

    def __init__(self, name: str | None, dtype: Any, thresholds: Sequence[float]) -> None:
        super().__init__(name, dtype)
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
        for above, below, amount in (
            (self.true_positives, self.false_negatives, hits),
            (self.false_positives, self.true_negatives, alarms),
        ):
            by_place = zeros((len(self.thresholds) + 1,), y_pred.dtype)
            by_place = scatter_add(by_place, reshape(amount, (-1,)), places)
            found = flip(cumulative_sum(flip(by_place)))[1:]
            _add(above, found)
            _add(below, sum(amount) - found)


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
        if thresholds is None:
            thresholds = 0.5 if top_k is None else -np.inf
        single = isinstance(thresholds, int | float)
        super().__init__(name, dtype, [thresholds] if single else thresholds)
        self.top_k = top_k
        self.class_id = class_id

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
        if curve not in ("ROC", "PR"):
            raise ValueError(f"curve must be 'ROC' or 'PR', not {curve!r}")
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                "summation_method must be 'interpolation', 'minoring' or 'majoring', not "
                f"{summation_method!r}"
            )
        if thresholds is None:
            if num_thresholds < 2:
                raise ValueError(f"num_thresholds must be at least 2, got {num_thresholds}")
            thresholds = [k / (num_thresholds - 1) for k in range(1, num_thresholds - 1)]
        super().__init__(name, dtype, [-1e-7, *thresholds, 1.0 + 1e-7])
        self.curve = curve
        self.summation_method = summation_method
        self.from_logits = from_logits

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
        super().__init__(name, dtype)
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.total_cm = self._gathered("total_confusion_matrix", (num_classes, num_classes))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch of classes, of any shape.

        Raises:
            ValueError: class numbers below 0, or not below `num_classes`.
        """
        y_true, y_pred = self._taken(y_true), self._taken(y_pred)
        y_true = y_true if self.sparse_y_true else argmax(y_true, axis=-1)
        y_pred = y_pred if self.sparse_y_pred else argmax(y_pred, axis=-1)
        weight = reshape(_for_each(floats(y_true), self._weight(sample_weight)), (-1,))
        y_true, y_pred = (reshape(astype(y, "int64"), (-1,)) for y in (y_true, y_pred))
        if self.ignore_class is not None:
            counted = y_true != self.ignore_class
            y_true, weight = where(counted, y_true, 0), where(counted, weight, 0.0)
        for what, y in (("y_true", y_true), ("y_pred", y_pred)):
            if any((y < 0) | (y >= self.num_classes)):
                raise ValueError(
                    f"{self.name}: class numbers must be from 0 to {self.num_classes - 1}, and "
                    f"{what} has some from {int(y.value.min())} to {int(y.value.max())}"
                )
        places = y_true * self.num_classes + y_pred
        found = scatter_add(zeros((self.num_classes**2,), weight.dtype), weight, places)
        _add(self.total_cm, reshape(found, self.total_cm.shape))

    def result(self) -> Tensor:
        """Return the mean; 0 without any classes."""
        matrix = self.total_cm.read_value()
        both = sum(where(np.eye(self.num_classes, dtype=bool), matrix, 0.0), axis=0)
        either = sum(matrix, axis=0) + sum(matrix, axis=1) - both
        occurring = sum(astype(either > 0, matrix.dtype))
        return astype(divide_no_nan(sum(divide_no_nan(both, either)), occurring), self.dtype)
