"""The line that `fit` writes: where the epoch is, how long a step takes, and the numbers so far."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


class Line:
    """Shows one pass over data: a bar that moves where the output is a terminal, then one line.

    Args:
        head: what stands before it, such as "Epoch 1/3".
        steps: how many steps there are, None if nobody knows.
        moving: whether to show a bar meanwhile.
    """

    def __init__(self, head: str, steps: int | None, moving: bool) -> None:
        self.head, self.steps, self.done = head, steps, 0
        self.began = time.perf_counter()
        from rich.console import Console  # not before it is needed: it takes a while

        console = Console(file=sys.stdout, highlight=False)
        self.console = console
        self.bar: Progress | None = None
        if moving and console.is_terminal:
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
            )

            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=console,
                transient=True,
            )
            self.task = self.bar.add_task(head, total=steps, numbers="")
            self.bar.start()

    def step(self, logs: Mapping[str, Any]) -> None:
        """Be told that a step is done."""
        self.done += 1
        if self.bar is not None:
            self.bar.update(self.task, advance=1, numbers=_numbers(logs))

    def end(self, logs: Mapping[str, Any]) -> None:
        """Write the line that stays."""
        self.stop()
        seconds = time.perf_counter() - self.began
        a_step = seconds / max(self.done, 1)
        speed = f"{a_step:.1f} s" if a_step >= 1 else f"{1e3 * a_step:.2g} ms"
        parts = [
            f"{self.done}/{self.steps or self.done}",
            f"{seconds:.0f}s {speed}/step",
            _numbers(logs),
        ]
        self.console.print(" - ".join(filter(None, [self.head, *parts])), soft_wrap=True)

    def stop(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _numbers(logs: Mapping[str, Any]) -> str:
    return " - ".join(f"{name}: {number(value)}" for name, value in logs.items())


def number(value: Any) -> str:
    """Return a number as it is shown, with four digits.

    >>> from headgate.fit.progress import number
    >>> number(0.12345), number(1.5e-5)
    ('0.1235', '1.5000e-05')
    """
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if value == 0 or abs(value) > 1e-3 or value != value else f"{value:.4e}"
