"""Trainer: `compile`, `fit`, `evaluate` and `predict` for a model, as Keras has them.

A model that is a `Trainer` has its loop here, and what happens in one step in three methods that
may be overridden: `train_step(data)`, `test_step(data)`, `predict_step(data)`. Each is compiled
(`headgate.function`) where JAX is installed, unless `run_eagerly=True`; what a step returns is a
dictionary of numbers for the progress line, the callbacks and the history. All that a callback may
change between steps (a learning rate, what is frozen) is state or part of the signature of the
compiled step, as everywhere in Headgate.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optree

from headgate import metrics as metric_classes
from headgate import nn
from headgate.checkpoint import load, save
from headgate.compile.function import function
from headgate.core.checks import choice, flag, optional, whole
from headgate.core.lift import as_tensor
from headgate.core.tape import GradientTape
from headgate.core.tensor import Tensor
from headgate.fit import named
from headgate.fit.callback import Callback, Callbacks, History
from headgate.fit.feed import Batch, Feed, is_arrays, split, unpacked, weighted
from headgate.fit.objective import Objective
from headgate.nn.layer import forget_losses
from headgate.nn.symbols import symbols
from headgate.ops.elementwise import add

_STATE = ("optimizer", "loss", "stop_training", "history", "run_eagerly", "_objective", "_tracker")


class Trainer(nn.Layer):
    """What makes a model train itself; a class of models is `class Model(Trainer, nn.Model)`.

    Attributes:
        optimizer: what `compile` was given, None before.
        stop_training: set it, in a callback, to end `fit` after this epoch.
        history: the `History` of the last `fit`.

    >>> import numpy as np
    >>> import headgate.tf as tf
    >>> tf.random.set_seed(0)
    >>> model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    >>> model.compile(tf.keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
    >>> x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
    >>> history = model.fit(x, 3 * x, epochs=20, verbose=0)
    >>> sorted(history.history), history.history["loss"][-1] < 0.1
    (['loss', 'mae'], True)
    """

    _no_settings = nn.Layer._no_settings | {*_STATE, "_steps"}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.optimizer: Any = None
        self.loss: Any = None
        self.stop_training = False
        self.history: History | None = None
        self.run_eagerly = False
        self._objective: Objective | None = None
        self._tracker: metric_classes.Mean | None = None
        self._steps: dict[str, Callable[[Any], Any]] = {}

    # -- what the loop is given -------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained and what is measured.

        Args:
            optimizer: one of `headgate.optim`, or its name.
            loss: one of `headgate.losses`, a function of `(y_true, y_pred)`, or a name; for several
                outputs a list or dictionary of these.
            loss_weights: numbers that the losses of several outputs are multiplied with.
            metrics: a list of metrics of `headgate.metrics`, functions or names; "accuracy" is the
                one that fits the outputs. For several outputs a list or dictionary of lists.
            weighted_metrics: those that sample weights count for.
            run_eagerly: whether steps run as plain Python; else they are compiled where JAX is
                installed.
            steps_per_execution: how many steps are one program; 1 is all there is here.
            jit_compile: False is the same as `run_eagerly=True`.
            auto_scale_loss: as in Keras; without mixed precision it has no effect.

        Raises:
            ValueError: an unknown name.
            TypeError: something that is no optimizer, loss or metric.
        """
        whole("compile", "steps_per_execution", steps_per_execution, 1)
        if steps_per_execution != 1:
            raise ValueError(
                f"compile: steps_per_execution={steps_per_execution}; here each step is a program "
                "of its own, which costs some microseconds: leave it out"
            )
        flag("compile", "auto_scale_loss", auto_scale_loss)
        choice("compile", "jit_compile", jit_compile, (True, False, "auto"))
        self.optimizer = named.optimizer(optimizer)
        self.loss = loss
        self.run_eagerly = flag("compile", "run_eagerly", run_eagerly) or jit_compile is False
        given: list[Any] = optree.tree_leaves([loss])  # type: ignore[arg-type]
        for each in given:
            named.loss(each)
        self._objective = Objective(
            loss, loss_weights, metrics, weighted_metrics, self.output_names
        )
        self._tracker = metric_classes.Mean(name="loss")
        self._steps = {}

    @property
    def metrics(self) -> list[metric_classes.Metric]:
        """All metrics: the mean loss, those of `compile`, and those in the model's attributes.

        They are reset when an epoch begins. A model with its own `train_step` may override this.
        """
        found: list[metric_classes.Metric] = []
        objective, tracker = self._objective, self._tracker
        if objective is not None and tracker is not None:
            if objective.has_loss or not type(self)._steps_itself():
                found.append(tracker)
            found += objective.metrics
        for layer in self._all_layers({}):
            for name, value in vars(layer).items():
                leaves = value if isinstance(value, list | tuple) else (value,)
                if name in _STATE:
                    continue
                found += [each for each in leaves if isinstance(each, metric_classes.Metric)]
        return list({id(each): each for each in found}.values())

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that make the outputs, of a model that is made of symbols."""
        made = [symbol.call.function for symbol in symbols(getattr(self, "outputs", None))]
        return [getattr(each, "name", "output") for each in made]

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    @classmethod
    def _steps_itself(cls) -> bool:
        return cls.train_step is not Trainer.train_step

    def reset_metrics(self) -> None:
        """Let all metrics begin again."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return what all metrics give so far, by name."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            found.update(result if isinstance(result, Mapping) else {metric.name: result})
        return found

    # -- what may be overridden -------------------------------------------------------------------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the loss of a batch: that of `compile`, and what layers have added."""
        loss = None
        if self._objective is not None and self._objective.has_loss:
            loss = self._objective.loss(y, y_pred, sample_weight)
        for added in self.losses:
            loss = added if loss is None else add(loss, added)
        if loss is None:
            raise ValueError(
                f"{self.name} has no loss: give one to `compile(loss=...)`, or override "
                "`compute_loss` or `train_step`"
            )
        return loss

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Let the metrics take a batch, and return what all of them give so far, by name."""
        if self._objective is not None:
            self._objective.update(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def train_step(self, data: Any) -> dict[str, Any]:
        """Make one step on a batch; return numbers by name."""
        x, y, sample_weight = unpacked(data)
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return self._measured(loss, x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measure one batch without training; return numbers by name."""
        x, y, sample_weight = unpacked(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        return self._measured(loss, x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Return the model's outputs for a batch."""
        return self(unpacked(data).x, training=False)

    def _measured(
        self, loss: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any
    ) -> dict[str, Any]:
        if self._tracker is not None:
            size = as_tensor(optree.tree_leaves(x)[0]).shape[0]
            self._tracker.update_state(loss, sample_weight=size)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    # -- the loops --------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for some epochs.

        Args:
            x: arrays with the samples along the first axis, or a tuple or dictionary of these for a
                model of several inputs; or what gives batches `(x, y)`, `(x, y, sample_weight)`:
                `headgate.data.Batches`, a `DataLoader`, any iterable.
            y: labels, if x are arrays.
            batch_size: samples in a batch, if x are arrays; 32 if left out.
            epochs: the number of the last epoch, counted from `initial_epoch`.
            verbose: 0 for silence, 1 or "auto" for a line that moves on, 2 for a line an epoch.
            callbacks: objects of `headgate.fit.Callback`.
            validation_split: the part of x and y, from their end, that is only measured.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or what gives batches.
            shuffle: whether each epoch has its own order, if x are arrays.
            class_weight: class -> how much its samples count.
            sample_weight: how much each sample counts, if x are arrays.
            initial_epoch: the number of the first epoch, to go on with a run.
            steps_per_epoch: batches in an epoch; all there are if left out.
            validation_steps: batches to measure; all there are if left out.
            validation_batch_size: samples in a batch of these.
            validation_freq: measure after every so many epochs.

        Returns:
            The history: numbers by name, one an epoch.

        Raises:
            RuntimeError: `compile` was not called.
            ValueError: data without samples, of different lengths, or that do not fit together.
        """
        self._require("fit")
        whole("fit", "epochs", epochs, 0)
        whole("fit", "initial_epoch", initial_epoch, 0)
        whole("fit", "validation_freq", validation_freq, 1)
        optional(whole, "fit", "steps_per_epoch", steps_per_epoch, 1)
        if validation_split:
            if validation_data is not None:
                raise ValueError("fit: give validation_split or validation_data, not both")
            if not is_arrays(x):
                raise ValueError(
                    f"fit: validation_split cuts arrays, and x is {type(x).__name__}; give "
                    "validation_data"
                )
            (x, y, sample_weight), validation_data = split((x, y, sample_weight), validation_split)
        feed = Feed(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            shuffle=flag("fit", "shuffle", shuffle),
            steps=steps_per_epoch,
            class_weight=class_weight,
        )
        looking = self._validation(
            validation_data, validation_batch_size or batch_size, validation_steps
        )
        run = Callbacks(
            callbacks,
            self,
            verbose,
            {"epochs": epochs, "steps": feed.length, "verbose": verbose},
            add_history=True,
        )
        step = self._compiled("train_step")
        self.stop_training = False
        run.on_train_begin()
        logs: dict[str, Any] = {}
        for epoch in range(initial_epoch, epochs):
            self.reset_metrics()
            run.on_epoch_begin(epoch)
            for number, batch in enumerate(feed.epoch()):
                run.on_train_batch_begin(number)
                logs = self._logs("train_step", step(self._given(batch)))
                run.on_train_batch_end(number, logs)
                if self.stop_training:
                    break
            if looking is not None and (epoch + 1) % validation_freq == 0:
                found = self._evaluated(looking, run)
                logs = {**logs, **{f"val_{name}": value for name, value in found.items()}}
            run.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        run.on_train_end(logs)
        assert self.history is not None
        return self.history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss and the metrics of data, without training.

        Args:
            x, y, batch_size, sample_weight, callbacks, verbose: as in `fit`.
            steps: batches to measure; all there are if left out.
            return_dict: whether to return numbers by name; else a list in the order of
                `metrics_names`, or the loss alone.
        """
        self._require("evaluate")
        feed = Feed(
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            shuffle=False,
            steps=steps,
            whose="evaluate",
        )
        run = Callbacks(callbacks, self, verbose, {"steps": feed.length, "verbose": verbose})
        logs = self._evaluated(feed, run)
        if return_dict:
            return logs
        return self._in_order(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Any:
        """Return the outputs of the model for all samples, as NumPy arrays.

        Args:
            x, batch_size, callbacks, verbose: as in `fit`.
            steps: batches to take; all there are if left out.
        """
        feed = Feed(x, batch_size=batch_size, shuffle=False, steps=steps, whose="predict")
        run = Callbacks(callbacks, self, verbose, {"steps": feed.length, "verbose": verbose})
        step = self._compiled("predict_step")
        found: list[Any] = []
        run.on_predict_begin()
        for number, batch in enumerate(feed.epoch()):
            run.on_predict_batch_begin(number)
            outputs = step(self._given(batch))
            found.append(outputs)
            run.on_predict_batch_end(number, {"outputs": outputs})
        run.on_predict_end()

        def joined(*parts: Any) -> Any:
            return np.concatenate([np.asarray(_array(part)) for part in parts])

        return optree.tree_map(joined, *found)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Make one step on the samples given; return the loss and the metrics of these."""
        self._require("train_on_batch")
        batch = weighted(Batch(x, y, sample_weight), class_weight, "train_on_batch")
        return self._on_batch("train_step", batch, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return the loss and the metrics of the samples given."""
        self._require("test_on_batch")
        return self._on_batch("test_step", Batch(x, y, sample_weight), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs of the model for the samples given, as NumPy arrays."""
        outputs = self._compiled("predict_step")(self._given(Batch(x)))
        return optree.tree_map(lambda part: np.asarray(_array(part)), outputs)

    # -- weights on a disk ------------------------------------------------------------------------

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write all variables to a file (safetensors).

        Raises:
            ValueError: a name that ends with ".h5", which is another format; weights that have not
                been made yet.
            FileExistsError: there is such a file, and `overwrite` is False.
        """
        path = _weights_path(filepath)
        if not overwrite and path.exists():
            raise FileExistsError(f"{path} is there already; pass overwrite=True")
        if not self.built:
            raise ValueError(
                f"{self.name} has no weights yet: build it, or call it once, and save it then"
            )
        save(path, model=self)

    def load_weights(self, filepath: Any) -> None:
        """Read all variables from a file that `save_weights` wrote.

        Raises:
            ValueError: weights of another model, or a model whose weights have not been made yet.
        """
        load(_weights_path(filepath), model=self)

    # -- inside -----------------------------------------------------------------------------------

    def _require(self, what: str) -> None:
        if self._objective is None:
            raise RuntimeError(
                f"{what}: call {self.name}.compile(optimizer, loss) first, which says how to train"
            )

    def _validation(self, given: Any, batch_size: int | None, steps: int | None) -> Feed | None:
        if given is None:
            return None
        if isinstance(given, tuple) and len(given) <= 3 and is_arrays(given[0]):
            x, y, sample_weight = unpacked(given)
            return Feed(
                x, y, sample_weight, batch_size=batch_size, shuffle=False, steps=steps, anew=True
            )
        return Feed(given, steps=steps, shuffle=False, anew=True)

    def _evaluated(self, feed: Feed, run: Callbacks) -> dict[str, Any]:
        step = self._compiled("test_step")
        self.reset_metrics()
        run.on_test_begin()
        logs: dict[str, Any] = {}
        for number, batch in enumerate(feed.epoch()):
            run.on_test_batch_begin(number)
            logs = self._logs("test_step", step(self._given(batch)))
            run.on_test_batch_end(number, logs)
        run.on_test_end(logs)
        return logs

    def _on_batch(self, name: str, batch: Batch, return_dict: bool) -> Any:
        self.reset_metrics()
        logs = self._logs(name, self._compiled(name)(self._given(batch)))
        if return_dict:
            return logs
        return self._in_order(logs)

    def _in_order(self, logs: Mapping[str, Any]) -> Any:
        """Return numbers in the order of the metrics; a single one by itself."""
        values = [logs[name] for name in self.metrics_names if name in logs] or [*logs.values()]
        return values[0] if len(values) == 1 else values

    def _compiled(self, name: str) -> Callable[[Any], Any]:
        """Return one of the steps, compiled if it is to be."""
        if name not in self._steps:
            step = getattr(self, name)
            if not self.run_eagerly and importlib.util.find_spec("jax") is not None:
                step = function(functools.partial(self._without_a_trace, step))
            self._steps[name] = step
        return self._steps[name]

    def _without_a_trace(self, step: Callable[[Any], Any], data: Any) -> Any:
        """Make a step; what layers have added to the losses is of no use outside of the program."""
        try:
            return step(data)
        finally:
            forget_losses(self)

    def _given(self, batch: Batch) -> Any:
        """Return a batch as a step gets it: x alone, or a tuple without what is missing."""
        if batch.sample_weight is not None:
            return batch.x, batch.y, batch.sample_weight
        return batch.x if batch.y is None else (batch.x, batch.y)

    def _logs(self, name: str, found: Any) -> dict[str, Any]:
        """Return what a step returned as numbers by name, in the order of the names."""
        if not isinstance(found, Mapping):
            raise TypeError(
                f"{self.name}.{name} must return a dictionary of numbers by name, not "
                f"{type(found).__name__}"
            )
        return {key: _number(found[key]) for key in sorted(found)}


def _array(value: Any) -> Any:
    return value.value if type(value) is Tensor else value


def _number(value: Any) -> Any:
    """Return a result of a metric as a float, or as an array if it is several numbers."""
    array = np.asarray(_array(value))
    return float(array) if not array.ndim else array


def _weights_path(filepath: Any) -> Any:
    from pathlib import Path

    path = Path(filepath)
    if path.suffix in (".h5", ".hdf5", ".keras"):
        raise ValueError(
            f"{path}: weights are written as safetensors here, not in Keras' format; name the file "
            f"{path.name.removesuffix(path.suffix).removesuffix('.weights')}.safetensors"
        )
    return path if path.suffix else path.with_suffix(".safetensors")
