"""Means and sums of values, and of what a loss says of each sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headgate import losses
from headgate.core.checks import WrongType, refused, whole
from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor
from headgate.losses import floats, pair, same_rank
from headgate.metrics.metric import Metric, add
from headgate.ops.elementwise import astype, divide_no_nan, sqrt, square
from headgate.ops.reduce import mean, sum
from headgate.ops.shape import broadcast_to


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
        super().__init__(dtype, name)
        self.total = self._gathered("total")
        self.count = self._gathered("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values, of any shape; weights may lack axes at the end."""
        values, weight = _by_sample(floats(self._taken(values)), self._weight(sample_weight), mean)
        count = values.shape[0] if values.ndim else 1
        amount = as_tensor(count) if weight is None else sum(weight)
        add((self.total, sum(values)), (self.count, amount))

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
        super().__init__(dtype, name)
        self.total = self._gathered("total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values, of any shape; weights may lack axes at the end."""
        values, _ = _by_sample(floats(self._taken(values)), self._weight(sample_weight), sum)
        add((self.total, sum(values)))

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
        if not callable(fn):
            raise refused(
                type(self).__name__, "fn", "a function of y_true and y_pred", fn, WrongType
            )
        super().__init__(getattr(fn, "__name__", "mean") if name is None else name, dtype)
        self._function = fn
        self._options = options

    def update_state(  # type: ignore[override]  # a batch of two, as in Keras
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Take a batch."""
        found = self._function(self._taken(y_true), self._taken(y_pred), **self._options)
        super().update_state(found, sample_weight)


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

    def update_state(  # type: ignore[override]  # a batch of two, as in Keras
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
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
        super().__init__(_cosine, name, dtype, axis=whole("CosineSimilarity", "axis", axis))


def _cosine(y_true: Any, y_pred: Any, axis: int) -> Tensor:
    return -losses.cosine_similarity(y_true, y_pred, axis)
