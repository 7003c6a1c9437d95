"""Callback: what is told of each epoch and step, and may change how the training goes on.

A callback has Keras' methods, all of which do nothing unless a subclass defines them. `fit` calls
them through one list (`Callbacks`), which always ends with the history and the progress line; those
for the usual ends are in `callbacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from headgate.fit.progress import Line

Logs = MutableMapping[str, Any] | None


class Callback:
    """Base of all callbacks.

    Attributes:
        model: the one that is trained.
        params: "epochs", "steps" and "verbose" of the run.
    """

    model: Any = None
    params: Mapping[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Be given the model."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Be given what is known of the run."""
        self.params = params

    def on_train_begin(self, logs: Logs = None) -> None:
        """Called when `fit` begins."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Called when `fit` ends."""

    def on_test_begin(self, logs: Logs = None) -> None:
        """Called when data are measured, also within `fit`."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Called when data have been measured."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Called when `predict` begins."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Called when `predict` ends."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Called when an epoch begins, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Called when an epoch ends, with its numbers and those of the validation ("val_...")."""

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a step of training, unless `on_train_batch_begin` is defined."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a step of training, unless `on_train_batch_end` is defined."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a step of training, counted from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a step of training, with the numbers of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch is measured."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch was measured."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before `predict` takes a batch."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after `predict` took a batch, with its "outputs"."""


class Callbacks:
    """All callbacks of a run, as one."""

    def __init__(
        self,
        given: Sequence[Callback] | Callback | None,
        model: Any,
        verbose: int | str,
        params: Mapping[str, Any],
        add_history: bool = False,
    ) -> None:
        if verbose not in (0, 1, 2, "auto"):
            raise ValueError(f'verbose is 0, 1, 2 or "auto", not {verbose!r}')
        if given is not None and not isinstance(given, list | tuple):
            given = [given]  # type: ignore[list-item]  # a single one
        self.all = list(given or ())
        for each in self.all:
            if not hasattr(each, "on_train_begin"):
                raise TypeError(f"a callback is a headgate.fit.Callback, not {each!r}")
        if add_history:
            known = next((each for each in self.all if isinstance(each, History)), None)
            if known is None:
                known = History()
                self.all.append(known)
            model.history = known
        if verbose:
            self.all.append(Progress(1 if verbose == "auto" else int(verbose)))
        for each in self.all:
            each.set_params(params)
            each.set_model(model)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("on_"):
            raise AttributeError(name)

        def call(*args: Any) -> None:
            for each in self.all:
                getattr(each, name)(*args)

        return call


class History(Callback):
    """Keeps the numbers of all epochs.

    Attributes:
        epoch: the numbers of the epochs.
        history: name -> its values, one an epoch.
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin with no epoch."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keep what an epoch gave."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class Progress(Callback):
    """Writes the progress line of `fit`, `evaluate` and `predict`."""

    def __init__(self, verbose: int) -> None:
        self.verbose = verbose
        self.line: Line | None = None
        self.training = False
        self.epoch = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Take note that epochs follow."""
        self.training = True

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Begin a line."""
        head = f"Epoch {epoch + 1}/{self.params['epochs']}"
        self.line = Line(head, self.params["steps"], self.verbose == 1)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move on."""
        if self.line is not None:
            self.line.step(logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the line of the epoch."""
        if self.line is not None:
            self.line.end(logs or {})

    def on_test_begin(self, logs: Logs = None) -> None:
        """Begin a line, unless an epoch has one."""
        if not self.training:
            self.line = Line("", self.params["steps"], self.verbose == 1)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move on."""
        if not self.training and self.line is not None:
            self.line.step(logs or {})

    def on_test_end(self, logs: Logs = None) -> None:
        """Write the line."""
        if not self.training and self.line is not None:
            self.line.end(logs or {})

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Begin a line."""
        self.line = Line("", self.params["steps"], self.verbose == 1)

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move on."""
        if self.line is not None:
            self.line.step({})

    def on_predict_end(self, logs: Logs = None) -> None:
        """Write the line."""
        if self.line is not None:
            self.line.end({})
