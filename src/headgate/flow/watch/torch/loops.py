"""Loops of others: Lightning and Transformers run the training, and call back.

A callback enters a watch as training begins, counts the steps of optimizers, and after the first
few leaves everything as it was and says what was found. Its class is derived from that of the
library when it is asked for, so that nothing is imported before.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from headgate.flow.watch.torch.watch import Watch


class Look:
    """A look at the first steps of training.

    Attributes:
        steps: how many are looked at.
        strict: whether findings are an error, a `headgate.testing.flow.FlowError`.
        watch: what was seen, for `findings()` and `html()`; None before training begins.
    """

    def __init__(self, steps: int, strict: bool) -> None:
        super().__init__()
        self.steps = steps
        self.strict = strict
        self.watch: Watch | None = None
        self._done = 0
        self._looks = False

    def begin(self, model: Any) -> None:
        """Begin to look on at the training of a model."""
        self.leave()
        self._done = 0
        self.watch = Watch().__enter__()
        if self.watch.session is not None:
            from headgate.flow.watch.torch.modules import knows

            knows(self.watch.session, model)
        self._looks = True

    def stepped(self) -> None:
        """Count a step; after the last one that is looked at, say what was found."""
        self._done += 1
        if self._done >= self.steps:
            self.end()

    def end(self) -> None:
        """Look on no longer, and say what was found."""
        if self.leave():
            said = f"headgate why: the first {self._done} steps\n{self.watch}"
            if self.strict and self.watch is not None and self.watch.findings():
                from headgate.testing.flow import FlowError

                raise FlowError(said)
            print(said, flush=True)

    def leave(self) -> bool:
        """Look on no longer; tell whether anybody did."""
        looked, self._looks = self._looks, False
        if looked and self.watch is not None:
            self.watch.__exit__()
        return looked

    def __del__(self) -> None:
        self.leave()


def for_lightning(steps: int, strict: bool) -> Any:
    """Return a callback for the Trainer of Lightning, of the package that the program uses."""
    known = [name for name in ("lightning.pytorch", "pytorch_lightning") if name in sys.modules]
    try:
        library: Any = import_module(known[0] if known else "lightning.pytorch")
    except ModuleNotFoundError:
        library = import_module("pytorch_lightning")

    class Callback(Look, library.Callback):  # type: ignore[misc]
        """Looks at the first steps of `Trainer.fit`."""

        _at = 0

        def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
            if stage == "fit":
                self._at = trainer.global_step
                self.begin(pl_module)

        def on_train_batch_end(self, trainer: Any, *others: Any, **named: Any) -> None:
            at, self._at = self._at, trainer.global_step
            if self._looks and at != self._at:
                self.stepped()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            self.strict = False  # one error is enough
            self.end()

        def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
            self.end()

        def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
            self.leave()

    return Callback(steps, strict)


def for_transformers(steps: int, strict: bool) -> Any:
    """Return a callback for the Trainer of Transformers."""
    library: Any = import_module("transformers")

    class Callback(Look, library.TrainerCallback):  # type: ignore[misc]
        """Looks at the first steps of `Trainer.train`."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            self.begin(others["model"])

        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            if self._looks:
                self.stepped()

        def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            self.end()

    return Callback(steps, strict)
