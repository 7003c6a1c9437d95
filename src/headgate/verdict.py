"""Verdicts: why a source gets a gradient from a target, or does not.

All answers are bit tests on the masks that ops OR together (`headgate.graph`), so they cost nothing
until asked for and still work when `gradient` has freed the graph. A source k of a target is

* connected, if `live` of the target has a bit of k; cuts upstream that severed k are then on its
  other paths;
* cut, if a cut that severed k lies upstream; further cuts behind that one are on the same path;
* cut where its value left for the host or for another variable, if nothing of the sort is upstream;
* not watched or unused, if the tape never knew of it or it never came near the target.

The kinds of cut are

    stop_gradient     stop_gradient, or a gate without a gradient for that argument
    no_grad_block     computed under stop_recording
    nondiff_op        an op without a gradient: argmax, round, a comparison
    integer_cast      a cast to integers or booleans
    host_round_trip   the value left for the host: float(), numpy()
    rewrap            the value was copied into a new variable
    stateful_write    the value was assigned to a variable
    outside_tape      computed while the tape did not record
    not_watched       the tape was not asked to watch
    frozen            a variable that is not trainable
    custom_gradient   a custom rule gave None (known once a gradient was asked for)
    unused_parameter  the source was never used in the target
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headgate.graph import Cut, Leaf, Node, Recording, Site, Source, shown_path
from headgate.op import is_inexact
from headgate.tensor import Tensor
from headgate.variable import Variable


@dataclass(frozen=True, slots=True)
class Place:
    """One cut, as a report shows it: its kind and the user's line."""

    kind: str
    file: str
    line: int
    text: str
    label: str
    shape: tuple[int, ...] | None

    @classmethod
    def of(cls, cut: Cut) -> Place:
        """Read a cut's place from its site."""
        site: Site = cut.site
        return cls(cut.kind, site.file, site.line, site.text, cut.label, cut.shape)

    def __str__(self) -> str:
        label = f" [{self.label}]" if self.label else ""
        return f"{self.kind}{label} at {shown_path(self.file)}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `GradientTape.why` says of one source; `str()` of it is meant for people.

    `verdict` is "connected", "cut", "unused" or "not watched". `cuts` are the places where gradient
    stops, from the source on; for a connected source, those on its other paths.
    """

    source: str
    verdict: str
    kind: str | None
    cuts: tuple[Place, ...]
    detail: str

    @property
    def connected(self) -> bool:
        """Whether gradient reaches the source on some path."""
        return self.verdict == "connected"

    def __bool__(self) -> bool:
        return self.connected

    def __str__(self) -> str:
        head = f"{self.source}: {self.verdict}"
        if self.kind and not self.cuts:
            head += f" ({self.kind})"
        if self.detail:
            head += f"; {self.detail}"
        if self.connected and self.cuts:
            head += "; other paths are cut:"
        return "\n".join([head, *(f"  {place}" for place in self.cuts)])


def explain(
    recording: Recording | None,
    tape_bits: int,
    watches_reads: bool,
    targets: list[Any],
    source: Any,
) -> Verdict:
    """Return the verdict on one source, as the tape with these bits of its recording sees it."""
    name = source.name if type(source) is Variable else f"tensor of shape {source.shape}"
    if recording is None:
        return Verdict(name, "cut", "outside_tape", (), "the tape was never entered")
    if not is_inexact(source if type(source) is Tensor else source._value):
        return Verdict(
            name, "not watched", "not_watched", (), f"its dtype, {source.dtype}, has no gradient"
        )
    if any(target is source for target in targets):
        return Verdict(name, "connected", None, (), "it is the target itself")
    connected = by_value = False
    cuts: dict[int, Cut] = {}
    for target in targets:
        node = recording.leaves.get(target._source) if type(target) is Variable else target.node
        if node is None:
            continue
        every, mine = _bits_in(node.recording, source, recording, tape_bits)
        if node.recording is recording:
            connected = connected or _reaches(node, source, mine & tape_bits)
        by_value = by_value or bool(node.live & every)
        _note(cuts, node.recording, node.cuts, mine)
    found = _places(cuts)
    asked = _bits_in(recording, source, recording, tape_bits)[1]
    if connected and asked & recording.blocked:
        _note(cuts, recording, recording.refused, asked)
        return Verdict(name, "cut", "custom_gradient", _places(cuts), "a custom rule gave None")
    if connected:
        return Verdict(name, "connected", None, found, "")
    if found:
        return Verdict(name, "cut", found[0].kind, found, "")
    _, mine = _bits_in(recording, source, recording, tape_bits)
    watched = bool(mine & tape_bits)
    if by_value and (watched or type(source) is Variable):
        return Verdict(name, "cut", "outside_tape", (), "computed while this tape did not record")
    _note(cuts, recording, recording.escapes, mine)
    escapes = _places(cuts)
    if escapes:
        detail = "nothing else leads to the target; unused, if that value did not come back"
        return Verdict(name, "cut", escapes[0].kind, escapes, detail)
    if not watched:
        return Verdict(name, *_unwatched(source, watches_reads))
    return Verdict(name, "unused", "unused_parameter", (), "the target was computed without it")


def _note(cuts: dict[int, Cut], recording: Recording, mask: int, mine: int) -> None:
    """Add the cuts of a mask that severed a source, and those behind them."""
    way = recording.upstream(mask)
    for cut in way:
        if cut.severed & mine:
            behind = [later for later in way if _follows(later, cut, recording)]
            cuts.update((c.order, c) for c in (cut, *behind))


def _places(cuts: dict[int, Cut]) -> tuple[Place, ...]:
    """Return where cuts are, from the source on, each line once."""
    return tuple(dict.fromkeys(Place.of(cuts[order]) for order in sorted(cuts)))


def _unwatched(source: Any, watches_reads: bool) -> tuple[str, str, tuple[Place, ...], str]:
    if type(source) is Tensor:
        text = "call tape.watch(x) in the block before x is used, and use that very x"
        return "not watched", "not_watched", (), text
    if not source._trainable:
        return (
            "not watched",
            "frozen",
            (),
            "it is not trainable; tape.watch(v) watches it all the same",
        )
    if not watches_reads:
        text = "the tape was made with watch_accessed_variables=False; call tape.watch(v)"
        return "not watched", "not_watched", (), text
    return "unused", "unused_parameter", (), "it was never read while the tape recorded"


def _bits_in(
    there: Recording, source: Any, recording: Recording, tape_bits: int
) -> tuple[int, int]:
    """Return the bits by which a recording knows a source: all, and those of this tape.

    The bit that belongs to no tape counts as this tape's. A result in the middle has no bits of
    its own and stands in for all that it was computed from.
    """
    if type(source) is Variable:
        identity: Source = source._source
    elif type(source.node) is Leaf:
        identity = source.node.source
    else:
        node = source.node
        every = node.live if node is not None and node.recording is there else 0
        return 0, every
    every = there.masks.get(identity, 0)
    if there is not recording:
        return every, every
    return every, every & (tape_bits | there.untaped.get(identity, 0))


def _reaches(node: Node, source: Any, mine: int) -> bool:
    """Tell whether gradient flows from a node to a source."""
    if type(source) is Variable or source.node is None or type(source.node) is Leaf:
        return bool(node.live & mine)
    todo, seen = [node], set()  # a result in the middle: search the graph, if it is still there
    while todo:
        current = todo.pop()
        if current is source.node:
            return True
        if current.seq in seen or current.seq < source.node.seq or not current.edges:
            continue
        seen.add(current.seq)
        todo.extend(edge[0] for edge in current.edges if edge is not None)
    return False


def _follows(later: Cut, first: Cut, recording: Recording) -> bool:
    """Tell whether one cut lies behind another on a value's way."""
    return later is not first and any(c is first for c in recording.upstream(later.earlier))
