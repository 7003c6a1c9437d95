"""Trace: what a program computed and differentiated, in a form that any framework can be put into.

A trace is a list of **events** in the order in which they happened. An event takes values and makes
values; a value is only a number. For each of its inputs an event says whether gradient comes back
to it (`flows`); where it does not although somebody could have expected it to, `kind` says what
sort of cut the event is. Reading a variable is an event too, from the value that stands for the
variable to the value that was read, so a variable that no tape watches is cut at its read.

Beside the events there are the **sources** (parameters, by name and owner), the **gradient calls**
(which targets, which sources, what came back) and, if somebody measured them, the norms of the
cotangents. A gradient that came back is a value like any other: what is computed from it are
events, down to the **updates** that it is given to. **Freezes** say what was taken out of training,
**courses** how a gradient went over all passes of a line, also those that nobody looked at closely,
and **optimizers** what rate they had. A *watcher* writes traces (`headgate.flow.watch`), the
*solver* reads them (`headgate.flow.solve`), and pages and texts draw them (`headgate.flow.page`,
`headgate.flow.text`).
"""

from __future__ import annotations

import linecache
from dataclasses import dataclass, field
from typing import NamedTuple

from headgate.record.site import shown_path


class Place(NamedTuple):
    """A line of the user's program. `function` is the name of what it lies in."""

    file: str
    line: int
    function: str = ""

    @property
    def text(self) -> str:
        """The source text of the line."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{shown_path(self.file)}:{self.line}"


class Cut(NamedTuple):
    """A place where gradient stops, or becomes zeros or NaN, and how; of a kind of
    `headgate.flow.kinds`. `label` is what the user called it, or the op. `callers` are the user's
    lines that led there, the nearest first."""

    kind: str
    place: Place
    label: str = ""
    shape: tuple[int, ...] | None = None
    callers: tuple[Place, ...] = ()


class Death(NamedTuple):
    """How an op makes zeros of a gradient: `alive` elements, of `size`, let it through.

    `kind` is that of the finding. `factor` is, of a product, the value of the zeros that the
    gradient was multiplied with; -1 where there is none. `label` is what the place is called: the
    name of the op if empty.
    """

    alive: int
    size: int
    kind: str = "zero_derivative"
    factor: int = -1
    label: str = ""


GUESSED, CHANGED = "may have come back", "comes back changed"
"""Labels of a value from the host of which nobody knows for certain that it left from here. A
number that is another one in each pass is no constant of the program: that one did."""


@dataclass(slots=True)
class Event:
    """One op, gate, read, write, escape to the host or return from there.

    Attributes:
        op: its name, as the user would write it: "matmul", "stop_gradient", "read", "numpy()".
        inputs: values taken; constants are left out.
        outputs: values made.
        flows: for each input, whether gradient comes back to it.
        place: number of the line in `Trace.places`.
        scope: number of the modules and functions around it in `Trace.scopes`.
        kind: which kind of cut this is; empty if it is none.
        label: what the user called it.
        shape: of the first output.
        dtype: of the first output.
        positions: which arguments of the op the inputs are; empty if they are all, in order.
        callers: number of the lines that led there, the nearest first, in `Trace.callers`.
    """

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    flows: tuple[bool, ...]
    place: int
    scope: int = 0
    kind: str = ""
    label: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    positions: tuple[int, ...] = ()

    def position(self, number: int) -> int:
        """Return which argument of the op an input is."""
        return self.positions[number] if self.positions else number

    callers: int = 0


@dataclass(slots=True)
class Source:
    """A parameter, or whatever else was differentiated by.

    Attributes:
        name: as reports call it.
        value: the value that stands for it; reads are events that take this one.
        owner: path of the model or layer that has it, "" if none.
        shape: of its value.
        trainable: whether tapes are asked to watch it.
        place: number of the line on which it was made, -1 if unknown.
        updated: whether the program changed its value (an optimizer's step, an assignment).
        held: whether some model has it among its parameters, so that it is that model's business
            whether it is trained.
        copied: whether it was made from another source, or from what was computed with one.
        alias: another name that it goes by in the program, "" if none.
        lasting: whether it lasts from one gradient call to the next, as parameters do; a value that
            was differentiated by is made anew each time.
    """

    name: str
    value: int
    owner: str = ""
    shape: tuple[int, ...] = ()
    trainable: bool = True
    place: int = -1
    updated: bool = False
    held: bool = False
    copied: bool = False
    lasting: bool = True
    alias: str = ""


@dataclass(slots=True)
class Gradient:
    """One call that asked for gradients.

    Attributes:
        place: number of the line of the call.
        targets: values that were differentiated.
        target_names: what to call them.
        sources: numbers of sources in `Trace.sources`, in the order asked for.
        norms: Euclidean norm of each gradient, None where there was none.
        cotangents: value -> norm of its cotangent, where it was measured.
        deaths: (event number, input position) -> how it came, measured where a cotangent became
            exactly zero.
        step: how often this line has been passed, from 0.
        births: position of a source -> where what is not finite in its gradient was born, None if
            that is not known.
        told: position of a source -> what the framework itself says of a missing gradient, and no
            event shows: that names were mixed up, or the source was not watched.
        inner: whether it was asked for within a computation that is itself differentiated, so that
            what comes of it is not what the program gets.
        outputs: value of each gradient, None where nobody follows it.
        began: number of the first value that can have been made since recording began.
        beside: sources that were given to the differentiated function, but not as what to
            differentiate by; None if a tape was asked, not a function.
        explicit: whether the program itself said what to watch.
        demanded: whether it said what to differentiate by; else everything got what there was.
    """

    place: int
    targets: tuple[int, ...]
    target_names: tuple[str, ...]
    sources: tuple[int, ...]
    norms: tuple[float | None, ...]
    cotangents: dict[int, float] = field(default_factory=dict)
    deaths: dict[tuple[int, int], Death] = field(default_factory=dict)
    step: int = 0
    births: dict[int, Cut | None] = field(default_factory=dict)
    told: dict[int, Cut] = field(default_factory=dict)
    inner: bool = False
    outputs: tuple[int | None, ...] = ()
    began: int = 0
    beside: tuple[int, ...] | None = None
    explicit: bool = False
    demanded: bool = True


@dataclass(slots=True)
class Update:
    """A step of an optimizer, or an assignment to a variable.

    Attributes:
        place: number of the line.
        how: "step", or what the assignment is called: "assign", "assign_add", "assign_sub".
        sources: numbers of the sources that it changes.
        values: what each was given, a gradient or a value; None where nobody follows it.
        sizes: the norm of each of these; None where it was not measured.
        optimizer: number of the optimizer in `Trace.optimizers`, -1 for an assignment.
        step: how often this line has been passed, from 0.
        averages: numbers of those sources that had the averages of their values in them just then.
    """

    place: int
    how: str
    sources: tuple[int, ...]
    values: tuple[int | None, ...]
    sizes: tuple[float | None, ...] = ()
    optimizer: int = -1
    step: int = 0
    averages: tuple[int, ...] = ()


@dataclass(slots=True)
class Optimizer:
    """What makes steps.

    Attributes:
        place: number of the line of its last step.
        steps: how many there were.
        rate: the largest learning rate that it had in any of them.
        sources: numbers of the sources that it changed.
    """

    place: int
    steps: int
    rate: float
    sources: tuple[int, ...]


@dataclass(slots=True)
class Freeze:
    """A statement that takes parameters out of training.

    Attributes:
        place: number of the line.
        pattern: what it says of the paths of parameters, "" if it is of a whole layer.
        took: those paths that it took.
        sources: numbers of the sources, as far as they are known.
        changed: those of them that an optimizer changed while they were frozen, in steps together
            with others that were not.
    """

    place: int
    pattern: str
    took: tuple[str, ...]
    sources: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()


@dataclass(slots=True)
class Course:
    """How the gradient of a source went over all passes of one line.

    Attributes:
        source: number of the source.
        place: number of the line of the gradient call.
        runs: (the first pass, what came from then on: "some", "none" or "zero"), in order.
        passes: how often the line asked for this gradient.
        looked: how many of these passes are in the trace.
    """

    source: int
    place: int
    runs: tuple[tuple[int, str], ...]
    passes: int
    looked: int


@dataclass(slots=True)
class Trace:
    """A log of what a program computed; made by `headgate.trace()` and by watchers."""

    framework: str = "headgate"
    events: list[Event] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    scopes: list[tuple[str, ...]] = field(default_factory=lambda: [()])
    callers: list[tuple[int, ...]] = field(default_factory=lambda: [()])
    sources: list[Source] = field(default_factory=list)
    gradients: list[Gradient] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    optimizers: list[Optimizer] = field(default_factory=list)
    freezes: list[Freeze] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)
    """Numbers of events whose result the statement throws away."""
    sizes: dict[int, float] = field(default_factory=dict)
    """Value -> its norm, of gradients and of what was computed from them."""

    def place_of(self, event: Event) -> Place:
        """Return the line of an event."""
        return self.places[event.place]

    def callers_of(self, event: Event) -> tuple[Place, ...]:
        """Return the lines that led to that of an event, the nearest first."""
        return tuple(self.places[number] for number in self.callers[event.callers])

    def scope_of(self, event: Event) -> tuple[str, ...]:
        """Return the modules and functions around an event, the outermost first."""
        return self.scopes[event.scope]
