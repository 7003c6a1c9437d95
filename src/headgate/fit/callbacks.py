"""Callbacks for the usual ends: stop early, save, change the rate, write numbers down."""

from __future__ import annotations

import csv
import math
import operator
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headgate.core.checks import choice, flag, number, whole
from headgate.fit.callback import Callback, Logs
from headgate.fit.events import Events


class LambdaCallback(Callback):
    """Calls functions that are given for some of the moments.

    Args:
        on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin,
            on_train_batch_end: what to call, with the arguments that the methods have.
        options: of the other methods by their names.

    >>> from headgate.fit import LambdaCallback
    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
    >>> callback.on_epoch_end(3, {"loss": 0.5})
    3 {'loss': 0.5}
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **options: Callable[..., Any],
    ) -> None:
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **options,
        }
        for name, function in given.items():
            if not hasattr(Callback, name):
                raise TypeError(f"LambdaCallback: a callback has no {name!r}")
            if function is not None:
                setattr(self, name, function)


class _Watching(Callback):
    """Base of callbacks that watch a number and know whether it gets better."""

    def _watch(self, monitor: str, mode: str, min_delta: float) -> None:
        whose = type(self).__name__
        choice(whose, "mode", mode, ("auto", "min", "max"))
        self.monitor = monitor
        if mode == "auto":
            mode = _direction(whose, monitor)
        self.better = operator.gt if mode == "max" else operator.lt
        self.worst = -math.inf if mode == "max" else math.inf
        self.min_delta = float(number(whose, "min_delta", min_delta, "(-inf, inf)"))
        if mode == "max":
            self.min_delta = abs(self.min_delta)
        else:
            self.min_delta = -abs(self.min_delta)

    def _value(self, logs: Logs) -> float:
        """Return the number that is watched.

        Raises:
            ValueError: there is no such number.
        """
        logs = logs or {}
        if self.monitor not in logs:
            raise ValueError(
                f"{type(self).__name__} watches {self.monitor!r}, and the numbers of an epoch are "
                f"{', '.join(sorted(logs)) or 'none'}"
                + (
                    "; give fit validation_data, or monitor='loss'"
                    if self.monitor.startswith("val_")
                    else ""
                )
            )
        return float(logs[self.monitor])

    def _improves(self, value: float, best: float) -> bool:
        return bool(self.better(value - self.min_delta, best))


_SMALL = "loss error crossentropy divergence hinge poisson mse mae mape msle rmse kld log_cosh"
_LARGE = "acc auc precision recall io_u cosine_similarity f1 r2"


def _direction(whose: str, monitor: str) -> str:
    """Return whether a number is to be small or large, by its name.

    Raises:
        ValueError: its name does not tell.
    """
    for mode, parts in [("min", _SMALL), ("max", _LARGE)]:
        if any(part in monitor for part in parts.split()):
            return mode
    raise ValueError(
        f"{whose}: nobody can tell by its name whether {monitor!r} is to be small or large; pass "
        'mode="min" or mode="max"'
    )


class EarlyStopping(_Watching):
    """Ends the training once a number gets no better.

    Args:
        monitor: name of the number.
        min_delta: what counts as better.
        patience: after how many epochs without an improvement to end.
        verbose: whether to say so.
        mode: "min", "max", or "auto" after the name.
        baseline: what must be reached at all.
        restore_best_weights: whether the model gets the weights of its best epoch back.
        start_from_epoch: nothing counts before.

    >>> from headgate.fit import EarlyStopping
    >>> EarlyStopping(monitor="loss", patience=3).patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self._watch(monitor, mode, min_delta)
        self.patience = whole("EarlyStopping", "patience", patience, 0)
        self.start_from_epoch = whole("EarlyStopping", "start_from_epoch", start_from_epoch, 0)
        self.verbose, self.baseline = verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.on_train_begin()

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin to count anew."""
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best = self.worst
        self.best_weights: Any = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Look at the number."""
        value = self._value(logs)
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._improves(value, self.baseline):
                self.wait = 0
        if self.wait >= max(self.patience, 1) and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Give the best weights back."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"The weights are those of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ModelCheckpoint(_Watching):
    """Saves the weights of the model, after epochs or after so many steps.

    Args:
        filepath: of the file; "{epoch}" and the numbers, as "{val_loss:.2f}", are filled in.
        monitor: name of the number.
        verbose: whether to say so.
        save_best_only: whether to save only when the number got better.
        save_weights_only: True; whole models are not written here.
        mode: "min", "max", or "auto" after the name.
        save_freq: "epoch", or a number of steps.
        initial_value_threshold: what must be reached at all.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = True,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        self._watch(monitor, mode, 0)
        if save_freq != "epoch":
            whole("ModelCheckpoint", "save_freq", save_freq, 1)
        self.filepath = os.fspath(filepath)
        self.verbose, self.save_best_only = verbose, save_best_only
        if not save_weights_only:
            raise ValueError(
                "ModelCheckpoint: save_weights_only=False would write the whole model, which is "
                "not done here; leave it out, make the model by its own text and load its weights"
            )
        self.save_freq = save_freq
        self.best = self.worst if initial_value_threshold is None else initial_value_threshold
        self.steps, self.epoch = 0, 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Take note of the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save after so many steps."""
        self.steps += 1
        if isinstance(self.save_freq, int) and self.steps % self.save_freq == 0:
            self._save(logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save after an epoch."""
        if self.save_freq == "epoch":
            self._save(logs)

    def _save(self, logs: Logs) -> None:
        if self.save_best_only:
            value = self._value(logs)
            if not self._improves(value, self.best):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=self.epoch + 1, **(logs or {}))
        except KeyError as error:
            raise ValueError(
                f"ModelCheckpoint: {self.filepath!r} names {error}, and the numbers are "
                f"{', '.join(['epoch', *sorted(logs or {})])}"
            ) from None
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.model.save_weights(path)
        if self.verbose:
            print(f"Epoch {self.epoch + 1}: weights saved to {path}")


class ReduceLROnPlateau(_Watching):
    """Makes the learning rate smaller once a number gets no better.

    Args:
        monitor: name of the number.
        factor: what the rate is multiplied with, below 1.
        patience: after how many epochs without an improvement.
        verbose: whether to say so.
        mode: "min", "max", or "auto" after the name.
        min_delta: what counts as better.
        cooldown: epochs to wait after a change.
        min_lr: the smallest rate.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        self._watch(monitor, mode, min_delta)
        self.factor = float(number("ReduceLROnPlateau", "factor", factor, "(0, 1)"))
        self.patience = whole("ReduceLROnPlateau", "patience", patience, 0)
        self.cooldown = whole("ReduceLROnPlateau", "cooldown", cooldown, 0)
        self.min_lr = float(number("ReduceLROnPlateau", "min_lr", min_lr, "[0, inf)"))
        self.verbose = verbose
        self.on_train_begin()

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin to count anew."""
        self.best, self.wait, self.cooldown_counter = self.worst, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Look at the number."""
        value = self._value(logs)
        _note_rate(self.model, logs)
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(value, self.best):
            self.best, self.wait = value, 0
        elif not self.cooldown_counter:
            self.wait += 1
            rate = rate_of(self.model.optimizer)
            if self.wait >= self.patience and rate > self.min_lr:
                rate = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = rate
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    print(f"Epoch {epoch + 1}: the learning rate is now {rate:g}")


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch.

    Args:
        schedule: takes the number of the epoch, and the rate if it has a second argument; returns
            the new rate.
        verbose: whether to say so.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the rate."""
        try:
            rate = self.schedule(epoch, rate_of(self.model.optimizer))
        except TypeError:  # it takes the epoch alone
            rate = self.schedule(epoch)
        rate = float(np.asarray(rate))
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add the rate to the numbers of the epoch."""
        _note_rate(self.model, logs)


class TerminateOnNaN(Callback):
    """Ends the training when the loss is NaN or infinite.

    Args:
        raise_error: whether to raise a RuntimeError then.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = flag("TerminateOnNaN", "raise_error", raise_error)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss."""
        value = (logs or {}).get("loss")
        if value is not None and not np.all(np.isfinite(value)):
            told = f"Batch {batch}: the loss is {value}, and the training ends"
            if self.raise_error:
                raise RuntimeError(told)
            print(told)
            self.model.stop_training = True


class CSVLogger(Callback):
    """Writes the numbers of each epoch into a file, as a table.

    Args:
        filename: of the file.
        separator: between the columns.
        append: whether to go on with a file that is there.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = filename, separator, append
        self._columns: list[str] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin the file."""
        path = Path(self.filename)
        self._columns = None
        if self.append and path.exists() and path.stat().st_size:
            with path.open(newline="") as file:
                self._columns = next(csv.reader(file, delimiter=self.separator))
        else:
            path.write_text("")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write a row."""
        row = {"epoch": epoch, **(logs or {})}
        with Path(self.filename).open("a", newline="") as file:
            begins = self._columns is None
            self._columns = self._columns or list(row)
            writer = csv.DictWriter(
                file, self._columns, delimiter=self.separator, extrasaction="ignore"
            )
            if begins:
                writer.writeheader()
            writer.writerow(row)


class TensorBoard(Callback):
    """Writes the numbers of each epoch for TensorBoard, into the folders "train" and "validation".

    Args:
        log_dir: the folder.
        update_freq: "epoch", or a number of steps after which the numbers are written as well.

    Raises:
        ImportError: the package tensorboard is not installed.
    """

    def __init__(self, log_dir: Any = "logs", *, update_freq: str | int = "epoch") -> None:
        if update_freq not in ("epoch", "batch"):
            whole("TensorBoard", "update_freq", update_freq, 1)
        self.log_dir = os.fspath(log_dir)
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.steps = 0
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, logs: Logs = None) -> None:
        """Count steps from 0."""
        self.steps = 0

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Write after so many steps."""
        self.steps += 1
        if isinstance(self.update_freq, int) and self.steps % self.update_freq == 0:
            self._write("batch_", logs or {}, self.steps)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the numbers of an epoch."""
        rate = {"learning_rate": rate_of(self.model.optimizer)} if self.model.optimizer else {}
        self._write("epoch_", {**(logs or {}), **rate}, epoch)

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.__exit__()
        self._writers = {}

    def _write(self, what: str, values: Mapping[str, Any], step: int) -> None:
        for where, validates in [("train", False), ("validation", True)]:
            chosen = {
                what + name.removeprefix("val_"): value
                for name, value in values.items()
                if isinstance(value, float) and name.startswith("val_") == validates
            }
            if chosen:
                self._writer(where).write({**chosen, "step": step})

    def _writer(self, where: str) -> Any:
        if where not in self._writers:
            folder = Path(self.log_dir) / where
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._writers[where] = Events(folder, 0).__enter__()
            except ImportError:
                raise ImportError(
                    "TensorBoard() needs the package tensorboard: pip install tensorboard"
                ) from None
        return self._writers[where]


def _note_rate(model: Any, logs: Logs) -> None:
    if logs is not None:
        logs["learning_rate"] = rate_of(model.optimizer)


def rate_of(optimizer: Any) -> float:
    """Return the learning rate that an optimizer has now."""
    rate = optimizer.learning_rate
    return float(rate(optimizer.iterations) if callable(rate) else rate)
