"""Objective: what `compile` was given, put together for the outputs that a model turns out to have.

Losses and metrics come as one for all outputs, as a list in the order of the outputs, or as a
dictionary by name. Which outputs there are is known with the first batch, so all is bound then:
every loss and every list of metrics to one leaf of the outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headgate import losses, metrics
from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor
from headgate.fit import named
from headgate.ops.elementwise import add


class Objective:
    """The losses and metrics of a model.

    Args:
        loss: of all outputs, of each (a list), or by their names (a dictionary).
        loss_weights: what each loss is multiplied with, in the same form.
        metrics: lists of metrics, in the same form.
        weighted_metrics: of those that sample weights count for.
        names: of the outputs, if the model has any.
    """

    def __init__(
        self,
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        names: Sequence[str] = (),
    ) -> None:
        self.given = loss, loss_weights, metrics, weighted_metrics
        self.names = list(names)
        self.parts: list[_Part] | None = None

    @property
    def has_loss(self) -> bool:
        """Whether there is any loss."""
        return self.given[0] is not None

    @property
    def metrics(self) -> list[metrics.Metric]:
        """All metrics, as soon as they are bound to outputs."""
        return [metric for part in self.parts or () for metric in part.all_metrics]

    def bind(self, y: Any, y_pred: Any) -> list[_Part]:
        """Return the parts of the objective, one for each output; they are made at the first call.

        Raises:
            ValueError: a list of another length than that of the outputs, a name that no output
                has.
        """
        if self.parts is None:
            self.parts = self._bound(y, y_pred)
        return self.parts

    def _bound(self, y: Any, y_pred: Any) -> list[_Part]:
        paths, outputs, labels = flat(y_pred, y, self.names)
        several = len(outputs) > 1
        of_loss = _by_output("loss", self.given[0], paths, plain=True)
        weights = _by_output("loss_weights", self.given[1], paths, plain=True)
        plain = _by_output("metrics", self.given[2], paths, plain=False)
        weighted = _by_output("weighted_metrics", self.given[3], paths, plain=False)
        parts = []
        for k, (path, label, output) in enumerate(zip(paths, labels, outputs)):
            loss = named.loss(of_loss[k])
            if loss is not None and not isinstance(loss, losses.Loss):
                loss = named.Reduced(loss)
            prefix = f"{path}_" if several else ""
            parts.append(
                _Part(
                    path,
                    loss,
                    1.0 if weights[k] is None else float(weights[k]),
                    [_metric(each, label, output, prefix) for each in _listed(plain[k])],
                    [_metric(each, label, output, prefix) for each in _listed(weighted[k])],
                    metrics.Mean(name=f"{path}_loss") if several and loss is not None else None,
                )
            )
        return parts

    def loss(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Tensor | None:
        """Return the sum of all losses, each with its weight; None if there is none."""
        parts = self.bind(y, y_pred)
        _, outputs, labels = flat(y_pred, y, self.names)
        weights = _weights(sample_weight, len(outputs))
        total: Tensor | None = None
        for part, label, output, weight in zip(parts, labels, outputs, weights):
            if part.loss is None:
                continue
            if label is None:
                raise ValueError(
                    "there is a loss and no y to compute it from: give fit(x, y), data of (x, y), "
                    "or a model with its own `compute_loss` or `train_step`"
                )
            value = part.loss(label, output, weight)
            if part.tracker is not None:
                part.tracker.update_state(value, sample_weight=_size(output))
            value = value * part.weight if part.weight != 1.0 else value
            total = value if total is None else add(total, value)
        return total

    def update(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Let all metrics take a batch."""
        parts = self.bind(y, y_pred)
        _, outputs, labels = flat(y_pred, y, self.names)
        weights = _weights(sample_weight, len(outputs))
        for part, label, output, weight in zip(parts, labels, outputs, weights):
            for metric in part.metrics if label is not None else ():
                metric.update_state(label, output)
            for metric in part.weighted if label is not None else ():
                metric.update_state(label, output, sample_weight=weight)


class _Part:
    """What is asked of one output."""

    __slots__ = ("loss", "metrics", "path", "tracker", "weight", "weighted")

    def __init__(
        self,
        path: str,
        loss: Any,
        weight: float,
        plain: list[Any],
        weighted: list[Any],
        tracker: Any,
    ) -> None:
        self.path, self.loss, self.weight = path, loss, weight
        self.metrics, self.weighted, self.tracker = plain, weighted, tracker

    @property
    def all_metrics(self) -> Iterable[Any]:
        tracked = () if self.tracker is None else (self.tracker,)
        return (*tracked, *self.metrics, *self.weighted)


def flat(y_pred: Any, y: Any, names: Sequence[str] = ()) -> tuple[list[str], list[Any], list[Any]]:
    """Return the outputs in a row with their names, and the labels of each, None if there are none.

    Raises:
        ValueError: labels in another structure than the outputs.
    """
    if isinstance(y_pred, Mapping):
        keys = list(y_pred)
        found = [y_pred[key] for key in keys]
        if y is None:
            return keys, found, [None] * len(keys)
        if not isinstance(y, Mapping):
            raise ValueError(f"the outputs are a dictionary of {keys}, so y must be one, too")
        return keys, found, [y.get(key) for key in keys]
    if isinstance(y_pred, list | tuple):
        count = len(y_pred)
        keys = list(names) if len(names) == count else [f"output_{k}" for k in range(count)]
        if isinstance(y, Mapping):
            return keys, list(y_pred), [y.get(key) for key in keys]
        if y is None:
            return keys, list(y_pred), [None] * count
        if not isinstance(y, list | tuple) or len(y) != count:
            raise ValueError(
                f"the model has {count} outputs, so y must be a list or tuple of {count}"
            )
        return keys, list(y_pred), list(y)
    if isinstance(y, list | tuple) and len(y) == 1:
        y = y[0]
    return [names[0] if names else "output"], [y_pred], [y]


def _by_output(what: str, given: Any, paths: Sequence[str], plain: bool) -> list[Any]:
    """Return what is given for each output; `plain` if one thing given is meant for all."""
    if given is None:
        return [None] * len(paths)
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in paths]
        if unknown:
            raise ValueError(f"{what} has {unknown[0]!r}, and the outputs are {', '.join(paths)}")
        return [given.get(path) for path in paths]
    if isinstance(given, list | tuple):
        if len(paths) == 1 and not plain:
            return [given]
        if len(given) != len(paths):
            raise ValueError(
                f"{what} has {len(given)} entries for {len(paths)} outputs: {', '.join(paths)}"
            )
        return list(given)
    if not plain and len(paths) > 1:
        raise ValueError(f"{what} must say for which of the outputs {', '.join(paths)} it is")
    return [given] * len(paths)


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def _metric(given: Any, label: Any, output: Any, prefix: str) -> metrics.Metric:
    """Return a metric; "accuracy" is the one that fits the shapes of labels and outputs."""
    if isinstance(given, str) and given.lower() in ("accuracy", "acc"):
        found: metrics.Metric = _accuracy(label, output)(name=given)
    else:
        made = named.metric(given)
        if not isinstance(made, metrics.Metric):
            made = metrics.MeanMetricWrapper(made)
        found = made
        if isinstance(given, str):
            found.name = given
    if prefix and not found.name.startswith(prefix):
        found.name = prefix + found.name
    return found


def _accuracy(label: Any, output: Any) -> Any:
    shape = as_tensor(output).shape
    labels = shape if label is None else as_tensor(label).shape
    if not shape or shape[-1] == 1:
        return metrics.BinaryAccuracy
    if len(labels) < len(shape) or labels[-1] == 1:
        return metrics.SparseCategoricalAccuracy
    return metrics.CategoricalAccuracy


def _weights(given: Any, count: int) -> list[Any]:
    if isinstance(given, list | tuple):
        return list(given)
    if isinstance(given, Mapping):
        return list(given.values())
    return [given] * count


def _size(output: Any) -> int:
    shape = as_tensor(output).shape
    return int(shape[0]) if shape else 1
