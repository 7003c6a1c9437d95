"""Onlookers: whoever wants to know what a program does, and what they are told of it, and when.

An `Onlooker` only reads: what a program computes, and what its values carry, is the same with it
and without. (A gradient that comes back may be given a node that carries nothing, a footprint, so
that it can be told from others later: `headgate.record.graph`.) All of its methods do nothing
unless they are overridden. Which of them it hears depends on where it stands:

* in `onlookers`, it is told of the **whole program**, in all threads: gradients that are asked for,
  steps of optimizers, assignments, freezes, variables that are read. For each new recording it may
  name an onlooker for what happens in there;
* as `Recording.onlooker`, it is told of **everything in one recording**, as it happens: of each op
  that is given a value with a node. Ops test this attribute and no other. While it is set, results
  do not share ghosts (`headgate.record.graph.ghost`), so the numbers of nodes tell values apart. A
  traced branch or loop is told as one op. Rules that are recorded are told too: the recording has
  `walking` set meanwhile;
* given to a **walk**, it is told of each cotangent there. It is named by the `before_gradient` of
  one that looks on at the whole program, or by whoever asks for magnitudes.

Where several look on at once, a script's own `headgate.trace` under `headgate why`, each hears of
all: what has room for one is given `Several`.

Those who look on are `Watch` (the whole program), its `Log` (a recording), both in
`headgate.flow.watch`, and `Magnitudes` (a walk). No onlooker is `Recording.reads`, which says what
a custom gradient is to be computed for: a program's results depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headgate.record.graph import Leaf, Node, Recording


class Onlooker:
    """Is told what happens; the head of this module says when. Override what is of interest."""

    # -- of the whole program ---------------------------------------------------------------------

    def for_recording(self, recording: Recording) -> Onlooker | None:
        """Return who is to be told of everything in a new recording."""
        return None

    def first_read(self, variable: Any) -> None:
        """Note that a variable is read for the first time by the tapes recording now."""

    def before_gradient(
        self, tape: Any, targets: list[Any], sources: list[Any]
    ) -> tuple[Onlooker | None, Any] | None:
        """Note what a gradient is asked of, while the graph is there.

        Returns who is to be told of the walk, and a memo for `after_gradient`; None for no interest
        in either.
        """
        return None

    def after_gradient(self, memo: Any, gradients: list[Any]) -> None:
        """Note what came of it."""

    def applied(self, optimizer: Any, pairs: Sequence[Any], rate: Any) -> None:
        """Note what gradients an optimizer is given for its next step, with which rate."""

    def assigned(self, variable: Any, how: str, node: Node | None) -> None:
        """Note that a variable is assigned to, and the node of what it is given."""

    def froze(self, pattern: str, took: dict[str, Any]) -> None:
        """Note that a pattern of paths takes these variables, by path, out of training; "" if it is
        a whole layer that is frozen."""

    def unfroze(self, variables: Sequence[Any]) -> None:
        """Note that variables are trained again."""

    def swapped(self, variables: Sequence[Any], averaged: bool) -> None:
        """Note that variables get the averages of their values, or their own values back."""

    def beside(self, tape: Any, variables: Sequence[Any]) -> None:
        """Note which variables a function was given that it is not differentiated by."""

    # -- of everything in one recording -----------------------------------------------------------

    def op(
        self, op: Any, nodes: Sequence[Node | None], edges: Sequence[Any], *results: Any
    ) -> None:
        """Note an application of an op: its arguments' nodes, its node's edges, its tensors."""

    def stopped(self, given: Any, label: str, result: Any) -> None:
        """Note a stop."""

    def read(self, variable: Any, node: Node, kind: str) -> None:
        """Note that a variable is read, and which cut that is if no tape watches it."""

    def watched(self, tensor: Any, before: Node | None, leaf: Leaf) -> None:
        """Note that a tape begins to watch a tensor, which had another node before."""

    def left(self, node: Node, bit: int, kind: str, how: str) -> None:
        """Note that a value leaves for the host or into a variable, by the cut of this bit."""

    def back(self, node: Node, earlier: int, label: str, value: Any) -> None:
        """Note that a value comes back from the host, where it went by one of these cuts."""

    # -- of a walk --------------------------------------------------------------------------------

    def passed(self, node: Node, g: Any) -> None:
        """Note the whole cotangent of a node: an array, or a tuple of them for several outputs."""

    def gave(self, node: Node, position: int, g: Any, c: Any, opened: Callable[[], Any]) -> None:
        """Note what a node gave to one of its arguments; `opened` says what it gives for ones."""


class Several(Onlooker):
    """Tells several what it is told of a recording or a walk."""

    __slots__ = ("all",)

    def __init__(self, everyone: Sequence[Onlooker]) -> None:
        self.all = tuple(everyone)

    def op(
        self, op: Any, nodes: Sequence[Node | None], edges: Sequence[Any], *results: Any
    ) -> None:
        """Tell all of an application of an op."""
        for each in self.all:
            each.op(op, nodes, edges, *results)

    def stopped(self, given: Any, label: str, result: Any) -> None:
        """Tell all of a stop."""
        for each in self.all:
            each.stopped(given, label, result)

    def read(self, variable: Any, node: Node, kind: str) -> None:
        """Tell all of a reading."""
        for each in self.all:
            each.read(variable, node, kind)

    def watched(self, tensor: Any, before: Node | None, leaf: Leaf) -> None:
        """Tell all that a tensor is watched."""
        for each in self.all:
            each.watched(tensor, before, leaf)

    def left(self, node: Node, bit: int, kind: str, how: str) -> None:
        """Tell all that a value leaves."""
        for each in self.all:
            each.left(node, bit, kind, how)

    def back(self, node: Node, earlier: int, label: str, value: Any) -> None:
        """Tell all that a value comes back."""
        for each in self.all:
            each.back(node, earlier, label, value)

    def passed(self, node: Node, g: Any) -> None:
        """Tell all of a cotangent."""
        for each in self.all:
            each.passed(node, g)

    def gave(self, node: Node, position: int, g: Any, c: Any, opened: Callable[[], Any]) -> None:
        """Tell all what a node gave."""
        for each in self.all:
            each.gave(node, position, g, c, opened)


def all_in(told: Onlooker | None) -> tuple[Onlooker, ...]:
    """Return all who hear of what somebody is told.

    >>> from headgate.record.onlooker import Onlooker, all_in, together
    >>> one, other = Onlooker(), Onlooker()
    >>> all_in(together([one, None, other])) == (one, other)
    True
    """
    if told is None:
        return ()
    return told.all if type(told) is Several else (told,)


def together(everyone: Iterable[Onlooker | None]) -> Onlooker | None:
    """Return who is to be told so that all of them hear of it, each once; None for nobody."""
    found = list(dict.fromkeys(each for told in everyone for each in all_in(told)))
    return Several(found) if len(found) > 1 else next(iter(found), None)


onlookers: list[Onlooker] = []
"""Those who look on at the whole program; empty but for `headgate why` and `headgate.trace`."""
