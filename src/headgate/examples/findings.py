"""What an example program has found, in a form that a report can show and a file can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from headgate import Verdict
from headgate.record.site import shown_path

Progress = Callable[[str, float, float, str], None]
"""Told of a stage's name, how much of it is done, out of how much, and how things stand."""


def no_progress(stage: str, done: float, total: float, note: str) -> None:
    """Ignore how far a program is."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of one program.

    `rows` are pairs of a label and a text, for people; `figures` holds the same and more, for a
    file; `shortfalls` says what should have been reached and was not; `arrays` is what pictures
    are drawn from.
    """

    title: str
    rows: Sequence[tuple[str, str]]
    figures: dict[str, Any]
    shortfalls: Sequence[str] = ()
    arrays: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = (f"{label}:\n    " + text.replace("\n", "\n    ") for label, text in self.rows)
        return "\n".join([self.title, *rows])


@contextmanager
def noting(refusals: list[str]) -> Iterator[None]:
    """Go on after a ValueError, and put what it says on the list."""
    try:
        yield
    except ValueError as error:
        refusals.append(str(error))


def told(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts as text; neighbours that differ only in the variable share one entry."""

    def places(verdict: Verdict) -> list[str]:
        return [
            f"  {cut.kind} at {shown_path(cut.file)}:{cut.line}\n    {cut.text}"
            for cut in verdict.cuts
        ]

    def without_name(verdict: Verdict) -> Any:
        return verdict.verdict, verdict.detail, places(verdict)

    texts = []
    for (verdict, detail, cuts), group in groupby(verdicts, without_name):
        first, *others = group
        name = f"{first.source} and {len(others)} more" if others else first.source
        texts += [f"{name}: {verdict}{detail and '; '}{detail}", *cuts]
    return "\n".join(texts)


def norm(gradients: Sequence[Any]) -> float | None:
    """Return the norm of all gradients taken together; None if not one of them exists."""
    squares = [float(np.sum(np.square(g.numpy()))) for g in gradients if g is not None]
    return float(np.sqrt(sum(squares))) if squares else None


def largest_difference(some: Sequence[Any], others: Sequence[Any]) -> float:
    """Return by how much two lists of gradients or arrays differ at most."""
    pairs = zip(some, others, strict=True)
    return max(float(np.max(np.abs(_array(one) - _array(other)))) for one, other in pairs)


def _array(value: Any) -> Any:
    return value if isinstance(value, np.ndarray) else value.numpy()
