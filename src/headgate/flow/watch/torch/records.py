"""Records of a session: gradient calls, the lines that they are on, and optimizers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headgate.flow.trace import Cut
from headgate.flow.watch.torch.graph import Walk
from headgate.flow.watch.torch.values import Leaf

CLOSELY = 3
"""So many first passes of a line are looked at closely."""

GONE = 50
"""A line that was not called in so many calls of others is not waited for."""

CHANGES = 16
"""So often a line is looked at closely because other gradients came than before."""


@dataclass(slots=True, eq=False)
class Ask:
    """A gradient call that was looked at."""

    place: int
    step: int
    targets: tuple[int, ...]
    names: tuple[str, ...]
    began: int
    inner: bool
    arrived: dict[Leaf, float] = field(default_factory=dict)
    gradients: dict[int, int] = field(default_factory=dict)  # source -> value of its gradient
    explicit: list[int] | None = None  # sources, if the program says which
    norms: list[float | None] = field(default_factory=list)
    outputs: list[int | None] = field(default_factory=list)
    walk: Walk | None = None
    failed: str = ""
    first: int = 0  # number of the first event since the call before
    missing: tuple[Leaf, ...] = ()  # of a call that raised: what it would have reached
    unasked: dict[int, Cut] = field(default_factory=dict)  # position -> why it cannot have one
    updates: int = 0  # how many updates there had been
    birth: Cut | None = None  # where numbers that are not finite came to be, if it is known


@dataclass(slots=True, eq=False)
class Line:
    """A line that asks for gradients."""

    place: int
    passes: int = 0
    looked: int = 0
    changes: int = 0
    last: int = 0  # its last call, counted over all lines
    finite: bool = True  # whether what was differentiated last was
    memory: Any = None  # of the last pass that was looked at


@dataclass(slots=True, eq=False)
class Waiting:
    """What an optimizer is to get at its next step.

    Attributes:
        line: whose last call brought its parameters gradients; None after any step.
        probe: one of those parameters.
        gone: how many calls were for nothing since its last step.
        cycles: how many were before each of its steps.
        place: the line that took gradients away, -1 as long as nobody knows.
    """

    line: Line | None = None
    probe: Any = None
    gone: int = 0
    cycles: list[int] = field(default_factory=list)
    place: int = -1

    @property
    def wiped(self) -> bool:
        """Whether as many gradients are lost before every step."""
        return len(self.cycles) > 1 and min(self.cycles) > 0 and len({*self.cycles}) == 1


@dataclass(slots=True, eq=False)
class Stepper:
    """An optimizer: where it was made and what it has."""

    optimizer: Any
    place: int
    parameters: list[Any] = field(default_factory=list)
    steps: int = 0
    rate: float = 0.0
    last: int = -1
    fed: bool = False  # whether any of its parameters ever had a gradient at a step
    missing: frozenset[int] | None = None  # which parameters had no gradient at its last step
    zero: frozenset[int] = frozenset()  # which had one of zeros when that was last looked at
    was_zero: frozenset[int] = frozenset()  # which ever had
    finite: bool = True  # whether all of them were finite then
    runs: dict[int, dict[int, list[tuple[int, str]]]] = field(default_factory=dict)
    """Place of a gradient call -> position of a parameter -> from which pass on it had what."""
    waiting: Waiting = field(default_factory=Waiting)
