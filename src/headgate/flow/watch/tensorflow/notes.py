"""Notes: what the program's own functions do while TensorFlow makes a graph of them.

A function under `tf.function` runs once as Python, and what it computes becomes a graph. The
operations are in the graph, each with the line that made it; what is not there is noted here as it
happens: which tapes were entered between which operations, what they were asked, and what an
optimizer was given. Only names and numbers are kept, so that nothing lives longer for it.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from headgate.flow.watch.tensorflow.values import Leaf, Tape, handle_of, is_variable

PUSH, POP, PAUSE, RESUME, WATCH, ASK, STEP = (
    "push",
    "pop",
    "pause",
    "resume",
    "watch",
    "ask",
    "step",
)


@dataclass(slots=True)
class Asked:
    """A gradient call in a graph: between which operations its own ones lie, and what came."""

    tape: Tape
    place: int
    inside: str
    end: int
    targets: list[Any]
    names: list[str]
    sources: list[Any]
    results: list[Any]
    zero: bool
    whole: bool
    callers: int = 0
    failed: str = ""


@dataclass(slots=True)
class Stepped:
    """A step of an optimizer in a graph."""

    optimizer: Any
    place: int
    end: int
    gradients: list[Any]
    variables: list[Any]


@dataclass(slots=True)
class Note:
    """Something that was done before an operation of some number was made."""

    at: int
    what: str
    data: Any


@dataclass(slots=True)
class Graph:
    """What is noted of one graph."""

    notes: list[Note] = field(default_factory=list)
    rules: dict[str, list[str]] = field(default_factory=dict)  # op -> what its own rule gives


class Notes:
    """What is noted of all graphs."""

    def __init__(self) -> None:
        self._graphs: dict[int, tuple[Any, Graph]] = {}

    def of(self, graph: Any) -> Graph:
        """Return what is noted of a graph."""
        found = self._graphs.get(id(graph))
        if found is None or found[0]() is not graph:
            found = self._graphs[id(graph)] = weakref.ref(graph), Graph()
        return found[1]

    def add(self, what: str, data: Any, at: int | None = None) -> None:
        """Note something of the graph that is being made."""
        graph = tf.compat.v1.get_default_graph()
        number = len(graph.get_operations()) if at is None else at
        self.of(graph).notes.append(Note(number, what, data))

    def has_asks(self, graph: Any) -> bool:
        """Tell whether gradients are asked for in a graph itself."""
        return any(note.what == ASK for note in self.of(graph).notes)


def count() -> int:
    """Return how many operations the graph has that is being made."""
    return len(tf.compat.v1.get_default_graph().get_operations())


def named(value: Any) -> Any:
    """Return a structure's part as it can be kept: a variable weakly, a tensor by name."""
    if value is None:
        return None
    if is_variable(value):
        return weakref.ref(value) if _refers(value) else (lambda: value)
    if isinstance(value, tf.IndexedSlices):
        return [named(value.values), named(value.indices)]
    if isinstance(value, tf.Tensor):
        return getattr(value, "name", None) if hasattr(value, "graph") else value
    return value


def _refers(value: Any) -> bool:
    try:
        weakref.ref(value)
    except TypeError:
        return False
    return True


__all__ = ["Asked", "Graph", "Leaf", "Note", "Notes", "Stepped", "count", "handle_of", "named"]
