"""Progress: a bar for each stage of a program while it runs, and one line when it is done."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Stages:
    """Shows how far each stage of a program is: a bar while it runs, one line when it is done.

    Where the output is no terminal, only the lines appear.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.began: dict[str, float] = {}
        self.tasks: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def __call__(self, stage: str, done: float, total: float, note: str) -> None:
        """Be told how far a stage is (see `headgate.examples.findings.Progress`)."""
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(stage, total=total, note="")
            self.began[stage] = self.last
        self.bars.update(self.tasks[stage], completed=done, note=note)
        if done >= total:
            self.last = time.perf_counter()
            self.seconds[stage] = self.last - self.began[stage]
            self.bars.update(self.tasks[stage], visible=False)
            self.console.print(
                f"{stage:<24}{escape(note)}, {self.seconds[stage]:.1f} s", highlight=False
            )
