"""Losses, metrics and optimizers by the names that Keras gives them.

A class goes by its own name and by that name in small letters with underscores; a function goes by
its name. The tables are made from the modules themselves, so a new class is known at once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from headgate import losses, metrics, optim
from headgate.naming import find

_LOSS_ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}

_METRIC_ALIASES = {**_LOSS_ALIASES, "rmse": "root_mean_squared_error", "auc": "AUC"}


def snake(name: str) -> str:
    """Return the name of a class in small letters.

    >>> from headgate.fit.named import snake
    >>> snake("MeanIoU"), snake("BinaryCrossentropy"), snake("AUC")
    ('mean_io_u', 'binary_crossentropy', 'auc')
    """
    parted = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()


def _classes(module: ModuleType, base: type) -> dict[str, Any]:
    """Return the classes of a module by both of their names."""
    found = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, base) and value is not base
        if not name.startswith("_")
    }
    return {**{snake(name): value for name, value in found.items()}, **found}


def _functions(module: ModuleType) -> dict[str, Any]:
    """Return the functions of `y_true` and `y_pred` that a module has."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_")
        if list(inspect.signature(value).parameters)[:2] == ["y_true", "y_pred"]
        if name != "pair"
    }


OPTIMIZERS: Mapping[str, Any] = _classes(optim, optim.Optimizer)
LOSSES: Mapping[str, Any] = _classes(losses, losses.Loss)
LOSS_FUNCTIONS: Mapping[str, Any] = _functions(losses)
METRICS: Mapping[str, Any] = _classes(metrics, metrics.Metric)
METRIC_FUNCTIONS: Mapping[str, Any] = {**LOSS_FUNCTIONS, **_functions(metrics)}


def _plain(name: str, aliases: Mapping[str, str]) -> str:
    small = name.lower() if name.isupper() else name
    return aliases.get(small, small if small in aliases else name)


def optimizer(given: Any) -> optim.Optimizer:
    """Return an optimizer, given one or its name, which may be written in small letters.

    Raises:
        ValueError: no such name.
        TypeError: neither a name nor an optimizer.

    >>> from headgate.fit.named import optimizer
    >>> type(optimizer("adam")).__name__
    'Adam'
    """
    if isinstance(given, str):
        known = {name.lower(): made for name, made in OPTIMIZERS.items()}
        made: optim.Optimizer = find("optimizer", known, given.lower())()
        return made
    if isinstance(given, optim.Optimizer):
        return given
    raise TypeError(
        f"an optimizer is one of headgate.optim or a name such as 'adam', not {given!r}"
    )


def loss(given: Any) -> Any:
    """Return what computes a loss, given it or its name: a function, or an object for a class.

    Raises:
        ValueError: no such name.
        TypeError: neither a name nor anything that can be called.

    >>> from headgate.fit.named import loss
    >>> loss("mse").__name__, loss("MeanSquaredError")
    ('mean_squared_error', <MeanSquaredError reduction=sum_over_batch_size>)
    """
    if given is None or callable(given):
        return given
    if not isinstance(given, str):
        raise TypeError(
            f"a loss is a function of (y_true, y_pred), one of headgate.losses or a name such as "
            f"'mse', not {given!r}"
        )
    name = _plain(given, _LOSS_ALIASES)
    if name in LOSS_FUNCTIONS:
        return LOSS_FUNCTIONS[name]
    return find("loss", LOSSES, name)()


def metric(given: Any) -> Any:
    """Return a metric, given it or its name: a function, or an object for a class.

    Raises:
        ValueError: no such name.
        TypeError: neither a name nor anything that can be called.

    >>> from headgate.fit.named import metric
    >>> metric("mae").__name__, metric("AUC").name
    ('mean_absolute_error', 'auc')
    """
    if given is None or callable(given):
        return given
    if not isinstance(given, str):
        raise TypeError(
            f"a metric is a function of (y_true, y_pred), one of headgate.metrics or a name such "
            f"as 'accuracy', not {given!r}"
        )
    name = _plain(given, _METRIC_ALIASES)
    if name in METRIC_FUNCTIONS:
        return METRIC_FUNCTIONS[name]
    return find("metric", METRICS, name)()


class Reduced(losses.Loss):
    """The mean over the samples of what a function of `y_true` and `y_pred` gives."""

    def __init__(self, function: Callable[..., Any]) -> None:
        name = getattr(function, "__name__", type(function).__name__)
        super().__init__(name.strip("<>"))
        self._function = function

    _casts_labels = False

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return what the function gives."""
        return self._function(y_true, y_pred)
