"""Watchers: each sees the gradient calls of one framework, and all are asked the same questions.

While it is entered, a watcher notes what one framework computes and differentiates, in neutral form
(`headgate.flow.trace`); afterwards it says what it found. A framework has one file in
`headgate/flow/watch` with one class, derived from `Watcher`, and one line in `WATCHERS`; `headgate
why` enters all of them around the script. Drawing and reporting need nothing but the trace and the
findings, so they are written once, here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Self

from headgate.flow.page import notebook, page
from headgate.flow.report import Finding, as_entries
from headgate.flow.text import as_dot, as_mermaid, as_text
from headgate.flow.trace import Trace

WATCHERS = {"headgate": "Watch"}
"""Framework, which is the name of a module in `headgate.flow.watch` -> its watcher there."""


class Watcher(ABC):
    """Sees the gradient calls of one framework while it is entered; a context manager.

    Attributes:
        framework: its key in `WATCHERS`.
    """

    framework: str

    @abstractmethod
    def __enter__(self) -> Self:
        """Begin to look on."""

    @abstractmethod
    def __exit__(self, *exception: object) -> None:
        """Leave the framework as it was."""

    @property
    @abstractmethod
    def trace(self) -> Trace:
        """What happened, in neutral form."""

    @abstractmethod
    def gradients(self) -> list[dict[str, Any]]:
        """Return the entries of the report's "gradients", one for each call looked at."""

    @abstractmethod
    def findings(
        self, no_flow: Sequence[str] = (), flow: Sequence[str] = (), step: int | None = None
    ) -> list[Finding]:
        """Return what is wrong, the most important first.

        Args:
            no_flow: patterns of parameters that gradient must not reach (`headgate.flow.patterns`);
                none is missed there.
            flow: patterns of parameters that must get a gradient wherever they are asked for.
            step: look only at this pass of each gradient call, from 0.
        """

    # -- what a person looks at -------------------------------------------------------------------

    def text(self) -> str:
        """Return the flow as text for a terminal."""
        return as_text(self.trace)

    def mermaid(self) -> str:
        """Return the flow as a Mermaid flowchart."""
        return as_mermaid(self.trace)

    def dot(self) -> str:
        """Return the flow in Graphviz' language."""
        return as_dot(self.trace)

    def html(self, title: str = "Flow of gradient") -> str:
        """Return the flow as a page: one self-contained HTML file."""
        return page(self.trace, title, as_entries(self.findings()))

    def _repr_html_(self) -> str:
        return notebook(self.trace)


def watchers(step: int | None = None) -> list[Watcher]:
    """Make the watcher of each framework.

    Args:
        step: a pass of each gradient call, from 0, that is looked at closely in any case.

    >>> from headgate.flow.watcher import watchers
    >>> [watcher.framework for watcher in watchers()]
    ['headgate']
    """
    return [
        getattr(import_module(f"headgate.flow.watch.{framework}"), name)(step)
        for framework, name in WATCHERS.items()
    ]
