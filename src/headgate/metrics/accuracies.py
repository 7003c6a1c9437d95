"""How often predictions are right: a function for each sort of labels, and the mean of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.core.checks import amount, whole
from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor
from headgate.losses import same_rank
from headgate.metrics.means import MeanMetricWrapper
from headgate.naming import floatx
from headgate.ops.creation import arange
from headgate.ops.elementwise import astype, where
from headgate.ops.reduce import any, argmax, max, sum
from headgate.ops.shape import expand_dims, squeeze


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
    threshold = amount("binary_accuracy", "threshold", threshold)
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
    classes = as_tensor(y_true)
    if classes.ndim == y_pred.ndim and classes.shape[-1] == 1:
        classes = squeeze(classes, axis=-1)
    if classes.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"class numbers must have the shape of y_pred without its last axis: y_true has "
            f"{classes.shape}, y_pred {y_pred.shape}"
        )
    return classes


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Return 1 where the class at which `y_true` is largest is one of the k largest of `y_pred`.

    >>> from headgate import metrics
    >>> metrics.top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.2, 0.3]], k=2).numpy()
    array([1.], dtype=float32)
    """
    k = whole("top_k_categorical_accuracy", "k", k, 1)
    return sparse_top_k_categorical_accuracy(argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """Return 1 where the class `y_true` is one of the k largest of `y_pred`, ties included.

    >>> from headgate import metrics
    >>> metrics.sparse_top_k_categorical_accuracy([2, 1], [[0.5, 0.2, 0.3]] * 2, k=2).numpy()
    array([1., 0.], dtype=float32)
    """
    k = whole("sparse_top_k_categorical_accuracy", "k", k, 1)
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
        threshold = amount("BinaryAccuracy", "threshold", threshold)
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
        k = whole("TopKCategoricalAccuracy", "k", k, 1)
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
        k = whole("SparseTopKCategoricalAccuracy", "k", k, 1)
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k)
