"""Verdicts: why a source gets a gradient from a target, or does not.

All answers are bit tests on the masks that ops OR together (`headgate.record.graph`), so they cost
nothing until asked for and still work when `gradient` has freed the graph. A source k of a target
is

* connected, if `live` of the target has a bit of k; cuts upstream that severed k are then on its
  other paths; if its gradient (or the target) turns out to be NaN or infinite, it is not finite;
* cut, if a cut that severed k lies upstream; further cuts behind that one are on the same path;
* cut where its value left for the host or for another variable, if nothing of the sort is upstream;
* not watched or unused, if the tape never knew of it or it never came near the target.

What the kinds of cut are is told by the table of `headgate.flow.kinds`, each in a row: what it does
and what to do about it. Here they are only names.

Zeros are known when magnitudes were measured (`headgate.record.magnitude`), and what is not finite
when the graph is still there to be walked (`headgate.core.birth`).
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headgate.record.asked import Asked, Question
from headgate.record.cuts import Cut
from headgate.record.graph import Leaf, Node, Recording, Source
from headgate.record.magnitude import Magnitudes, Step, Zero, leaf_of
from headgate.record.site import Site, printable, shown_path

_AUTOMATIC = re.compile(r"\(variable_\d+\)|^variable_\d+$")

NAMED = {"outside_tape", "frozen", "not_watched", "rewrap", "stateful_write", "created"}
"""Kinds of places whose label is the name of the one variable that they are about."""


@dataclass(frozen=True, slots=True)
class Place:
    """One cut, as a report shows it: its kind and the user's line."""

    kind: str
    file: str
    line: int
    text: str
    label: str
    shape: tuple[int, ...] | None
    site: Site | None = field(default=None, compare=False, repr=False)
    number: int = field(default=0, compare=False, repr=False)  # of the cut or node there

    @classmethod
    def of(cls, cut: Cut) -> Place:
        """Read a cut's place from its site."""
        return cls.at(cut.kind, cut.site, cut.label, cut.shape, cut.order)

    @classmethod
    def at(
        cls,
        kind: str,
        site: Site,
        label: str = "",
        shape: tuple[int, ...] | None = None,
        number: int = 0,
    ) -> Place:
        """Return the place of something at a site."""
        return cls(kind, site.file, site.line, site.text, label, shape, site, number)

    def __str__(self) -> str:
        label = _AUTOMATIC.sub("", self.label)  # a name that nobody gave tells nobody anything
        label = f" [{label}]" if label else ""
        return printable(f"{self.kind}{label} at {shown_path(self.file)}:{self.line}: {self.text}")

    @property
    def of_all(self) -> Place:
        """The place without what differs from one variable there to the other."""
        return replace(self, label="" if self.kind in NAMED else self.label, shape=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `GradientTape.why` says of one source; `str()` of it is meant for people.

    `verdict` is "connected", "zero", "not finite", "cut", "unused" or "not watched". `cuts` are the
    places where gradient stops, from the source on; for a connected source, those on its other
    paths; for a zero gradient, the ops at which it became zero; for one that is not finite, where
    that was born. `made` is where a variable was created; `severing` are those of the cuts to which
    gradient itself would have come, the first on each path. If
    magnitudes were asked for, `norm` is that of the gradient and `path` has the ops that it came
    over, the target's first.
    """

    source: str
    verdict: str
    kind: str | None
    cuts: tuple[Place, ...]
    detail: str
    made: Place | None = field(default=None, compare=False)
    norm: float | None = None
    path: tuple[Step, ...] = ()
    severing: tuple[Place, ...] = field(default=(), compare=False)

    @property
    def blamed(self) -> Place | None:
        """The cut that the verdict is about; where an unused variable was created."""
        of_kind = [cut for cut in self.cuts if cut.kind == self.kind]
        return next(iter(of_kind or self.cuts), self.made)

    @property
    def connected(self) -> bool:
        """Whether gradient reaches the source on some path."""
        return self.verdict in ("connected", "zero", "not finite")

    def __bool__(self) -> bool:
        return self.connected

    def __str__(self) -> str:
        return self.about([self])

    @property
    def cause(self) -> tuple[Any, ...]:
        """What verdicts share that one sentence is enough for."""
        cuts = tuple(cut.of_all for cut in self.cuts)
        return self.verdict, self.kind, cuts, self.detail, self.norm, self.path

    def about(self, alike: Sequence[Verdict], most: int | None = None) -> str:
        """Return this verdict in words, for all those of the same cause at once.

        Args:
            alike: verdicts of the same cause, this one among them.
            most: how many of them to name before the others are counted; all if not given.
        """
        names = [verdict.source for verdict in alike]
        shown = names[:most]
        more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
        head = f"{printable(', '.join(shown))}{more}: {self.verdict}"
        if self.kind and not self.cuts:
            head += f" ({self.kind})"
        if self.norm:
            head += f", norm {self.norm:.3g}"
        if self.detail:
            head += f"; {self.detail}"
        if self.verdict == "connected" and self.cuts:
            head += "; other paths are cut:"
        cuts = self.cuts if len(alike) == 1 else [cut.of_all for cut in self.cuts]
        lines = [head, *(f"  {place}" for place in cuts)]
        if self.kind == "unused_parameter":
            lines += _listed([each.made for each in alike if each.made is not None], most)
        for step in self.path:
            where = "" if step.site is None else f" at {step.site}: {step.site.text}"
            lines.append(f"    {step.norm:9.3g}  {step.op}{where}")
        return "\n".join(lines)


def _listed(places: list[Place], most: int | None) -> list[str]:
    """Return places, each line once, and how many are left out."""
    if len(places) == 1:
        return [f"  {places[0]}"]
    lines = list(dict.fromkeys(f"  {place.of_all}" for place in places))
    more = len(lines) - (len(lines) if most is None else most)
    return [*lines[:most], *([f"  and at {more} more lines"] if more > 0 else [])]


SHOWN = 5
"""How many names a warning lists before it counts the others."""


def in_short(verdicts: Iterable[Verdict]) -> str:
    """Return verdicts in words, each cause once: a paragraph names those that it holds for.

    >>> from headgate.record.verdict import Verdict, in_short
    >>> print(in_short([Verdict(f"w{k}", "unused", None, (), "never used") for k in range(60)]))
    w0, w1, w2, w3, w4 and 55 more: unused; never used
    """
    groups: dict[tuple[Any, ...], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault(verdict.cause, []).append(verdict)
    return "\n".join(alike[0].about(alike, SHOWN) for alike in groups.values())


class FlowReport:
    """What `GradientTape.why` returns: one `Verdict` per source, in the structure of the sources.

    `report[key]` is what the structure of the sources has there, with verdicts in place of sources;
    iterating goes through all verdicts. A report on a single source has that verdict's attributes
    too. A report is true if gradient reaches every source.

    >>> import headgate as hg
    >>> u, v = hg.Variable(1.0, name="u"), hg.Variable(2.0, name="v")
    >>> with hg.GradientTape() as tape:
    ...     loss = u * hg.stop_gradient(v)
    >>> report = tape.why(loss, {"u": u, "v": v})
    >>> report["v"].kind, [verdict.source for verdict in report if not verdict]
    ('stop_gradient', ['v'])
    """

    __slots__ = ("_structure", "verdicts")

    def __init__(self, verdicts: list[Verdict], structure: Any) -> None:
        self.verdicts = tuple(verdicts)
        self._structure = structure

    def _only(self) -> Verdict:
        if len(self.verdicts) != 1:
            raise ValueError(
                f"this report is on {len(self.verdicts)} sources; ask one of its verdicts"
            )
        return self.verdicts[0]

    @property
    def verdict(self) -> str:
        """That of the only source."""
        return self._only().verdict

    @property
    def kind(self) -> str | None:
        """Kind of the first cut of the only source."""
        return self._only().kind

    @property
    def cuts(self) -> tuple[Place, ...]:
        """Cuts of the only source."""
        return self._only().cuts

    @property
    def detail(self) -> str:
        """What there is to add on the only source."""
        return self._only().detail

    @property
    def source(self) -> str:
        """Name of the only source."""
        return self._only().source

    @property
    def norm(self) -> float | None:
        """Norm of the only source's gradient, if magnitudes were asked for."""
        return self._only().norm

    @property
    def path(self) -> tuple[Step, ...]:
        """The ops that the only source's gradient came over, if magnitudes were asked for."""
        return self._only().path

    @property
    def connected(self) -> bool:
        """Whether gradient reaches every source."""
        return all(verdict.connected for verdict in self.verdicts)

    def __bool__(self) -> bool:
        return self.connected

    def __len__(self) -> int:
        return len(self.verdicts)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __getitem__(self, key: Any) -> Any:
        return self._structure[key]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlowReport) and self.verdicts == other.verdicts

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return "\n".join(map(str, self.verdicts))

    def in_short(self) -> str:
        """Return the report in words, each cause once."""
        return in_short(self.verdicts)

    def __repr__(self) -> str:
        return f"<FlowReport on {', '.join(f'{v.source}: {v.verdict}' for v in self.verdicts)}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><code>{html.escape(v.source)}</code></td><td>{html.escape(v.verdict)}</td>"
            f"<td><pre style='margin:0;text-align:left'>"
            f"{html.escape(chr(10).join(str(v).splitlines()[1:]) or v.detail)}</pre></td></tr>"
            for v in self.verdicts
        )
        return f"<table><tr><th>source</th><th>gradient</th><th>why</th></tr>{rows}</table>"


def explain(question: Question, source: Asked, measured: Magnitudes | None = None) -> Verdict:
    """Return the verdict on one source, as the tape that is asked sees it.

    `measured` is what a walk from the targets noted; without it, a gradient of zeros counts as one.
    """
    name = source.name
    made = _made(source)
    recording, nodes = question.recording, question.nodes
    if recording is None:
        return Verdict(name, "cut", "outside_tape", (), "the tape was never entered", made)
    if not source.inexact:
        text = f"its dtype, {source.dtype}, has no gradient"
        return Verdict(name, "not watched", "not_watched", (), text, made)
    if any(target is source.itself for target in question.targets):
        return Verdict(name, "connected", None, (), "it is the target itself", made)
    connected = by_value = False
    for node in nodes:
        every, mine = _bits_in(node.recording, source, question)
        if node.recording is recording:
            connected = connected or _reaches(node, source, mine & question.bits)
        by_value = by_value or bool(node.live & every)
    found, kind, severing = _cuts_of(question, source, guesses=False)
    mine = _bits_in(recording, source, question)[1]
    if connected and mine & recording.sources.blocked:
        cuts: dict[int, Cut] = {}
        _note(cuts, recording, recording.cuts.refused, mine)
        places = (*found, *_places(cuts))
        return Verdict(name, "cut", "custom_gradient", places, "a custom rule gave None", made)
    if connected:
        return _measured(source, found, made, measured)
    if found:
        return Verdict(name, "cut", kind, found, "", made, severing=severing)
    watched = bool(mine & question.bits)
    if by_value and (watched or source.variable):
        text = "computed while this tape did not record"
        return Verdict(name, "cut", "outside_tape", (), text, made)
    found = _through_others(recording, question, source)
    if found:
        return Verdict(name, "cut", found[0].kind, found, "", made)
    guessed, kind, severing = _cuts_of(question, source, guesses=True)
    if guessed:
        text = "something that was made on the host after that leads to the target"
        return Verdict(name, "cut", kind, guessed, text, made, severing=severing)
    replaced = _replaced(source, nodes, recording)
    if replaced is not None:
        return replaced
    if not watched:
        return Verdict(name, *_unwatched(source, question.watches_reads), made)
    return Verdict(
        name, "unused", "unused_parameter", (), "the target was computed without it", made
    )


def _made(source: Asked) -> Place | None:
    if source.made is None:
        return None
    return Place.at("created", source.made, source.name, source.shape)


def _measured(
    source: Asked,
    found: tuple[Place, ...],
    made: Place | None,
    measured: Magnitudes | None,
) -> Verdict:
    """Return the verdict on a source that gradient reaches, with how much of it does."""
    number = None if measured is None else measured.number(source)
    if measured is None or number is None:
        return Verdict(source.name, "connected", None, found, "", made)
    size = measured.nodes[number][1]
    spoilt = _spoilt(source, measured, size, made)
    if spoilt is not None:
        return spoilt
    zeros = measured.zeros(number) if size == 0 and 0 not in source.shape else []
    if not zeros:
        return Verdict(source.name, "connected", None, found, "", made, size)
    places = tuple(dict.fromkeys(place_of_zero(zero) for zero in zeros if zero.site is not None))
    detail = "the gradient is exactly zero: " + "; ".join(map(told_of_zero, zeros))
    return Verdict(source.name, "zero", zeros[0].kind, places, detail, made, 0.0)


def _spoilt(source: Asked, measured: Magnitudes, size: float, made: Place | None) -> Verdict | None:
    """Return the verdict on a source whose gradient, or target, is not finite; None if both are."""
    if math.isfinite(size):
        if measured.of_target is None or measured.reaches_a_source:  # it is another source's matter
            return None
        births = [measured.of_target]
        head = "the target is not finite, though the gradient is"
    else:
        number = measured.number(source)
        births = [] if number is None else measured.births(number)
        head = f"the gradient is {'nan' if size != size else 'infinite'}"
    if not births:  # it came in with a cotangent that was given
        return Verdict(source.name, "not finite", None, (), head, made, size)
    places = tuple(
        dict.fromkeys(
            Place.at(b.kind, b.site, b.op, None, b.seq) for b in births if b.site is not None
        )
    )
    detail = f"{head}: {births[0].text}"
    return Verdict(source.name, "not finite", births[0].kind, places, detail, made, size)


def if_not_finite(verdict: Verdict, source: Asked, measured: Magnitudes) -> Verdict:
    """Return the verdict on a connected source anew if a walk found what is not finite there."""
    number = measured.number(source)
    if verdict.verdict != "connected" or number is None:
        return verdict
    found = _spoilt(source, measured, measured.nodes[number][1], verdict.made)
    return verdict if found is None else replace(found, norm=None)


def with_path(verdict: Verdict, source: Asked, measured: Magnitudes) -> Verdict:
    """Add to a verdict the ops over which the gradient came, with its norm at each."""
    number = measured.number(source)
    if verdict.norm is None or number is None:
        return verdict
    return replace(verdict, path=tuple(measured.path(number)))


def place_of_zero(zero: Zero) -> Place:
    """Return where a gradient became zero: where the zeros it was multiplied with were made."""
    site, number = zero.site, zero.seq
    if zero.factor is not None and leaf_of(zero.factor) is None and zero.factor.site is not None:
        site, number = Site(*zero.factor.site), zero.factor.seq
    assert site is not None
    return Place.at(zero.kind, site, zero.label, None, number)


def told_of_zero(zero: Zero) -> str:
    """Say in a few words how an op made a gradient zero."""
    leaf = leaf_of(zero.factor)
    if leaf is not None:
        return f"{zero.op} multiplies it with {leaf.source.name}, which is all zeros now"
    if zero.number:
        return f"{zero.op} multiplies it with a number that is exactly 0"
    if zero.factor is not None:
        maker = "" if zero.factor.op is None else f", made by {zero.factor.op.name}"
        return f"{zero.op} multiplies it with zeros{maker}"
    return f"{zero.op} lets {zero.alive} of {zero.size} elements through"


def _cuts_of(
    question: Question, source: Asked, guesses: bool
) -> tuple[tuple[Place, ...], str | None, tuple[Place, ...]]:
    """Return the cuts upstream of some values that severed a source, and the kind to blame.

    The last part of the answer has those that no other cut lies before.

    To blame is the first cut that gradient would have come to. But it never flows through an index,
    so where one path goes through an op without a gradient and another one is cut otherwise, it is
    that other cut.
    """
    cuts: dict[int, Cut] = {}
    severing: list[Cut] = []
    for node in question.nodes:
        _, mine = _bits_in(node.recording, source, question)
        _note(cuts, node.recording, node.cuts, mine, guesses)
        way = node.recording.cuts.upstream(node.cuts, guesses)
        severing += [cut for cut in way if cut.severed & mine]
    if not severing:
        return _places(cuts), None, ()
    blamed = min(severing, key=lambda cut: (cut.kind == "nondiff_op", cut.order))
    first = _places({cut.order: cut for cut in severing})
    return _places(cuts), blamed.kind, first


def _through_others(recording: Recording, question: Question, source: Asked) -> tuple[Place, ...]:
    """Return the cuts by which a source's value got into others, the last of which leads on.

    A value can go through several variables: `b` is made from `a`, and `c` is assigned `b`. It
    went into `c` after it had come to `b`; what `b` held before is another story.
    """
    used = [
        other
        for other, bits_there in recording.sources.masks.items()
        if any(
            node.live & bits_there
            or any(cut.severed & bits_there for cut in recording.cuts.upstream(node.cuts))
            for node in question.nodes
            if node.recording is recording
        )
    ]
    known = set(used)
    hops: list[tuple[Source, Recording, int, set[Source]]] = []
    while used:
        other = used.pop()
        if other.past is None or other is source.identity:  # how that came about is no way out
            continue
        there, bit = other.past
        severed = 0
        for cut in there.cuts.upstream(bit):
            severed |= cut.severed
        before = set(there.sources.of(severed))
        hops.append((other, there, bit, before))
        used += before - known
        known |= before
    cuts: dict[int, Cut] = {}
    carriers: dict[Source, int] = {}  # -> when the value went into it
    grown = True
    while grown:
        grown = False
        for other, there, bit, before in hops:
            _, mine = _bits_in(there, source, question)
            when = there.cuts[bit.bit_length() - 1].order
            for carrier in before & carriers.keys():
                if carriers[carrier] < when:
                    mine |= there.sources.masks[carrier]
            if other not in carriers and any(
                cut.severed & mine for cut in there.cuts.upstream(bit)
            ):
                carriers[other] = when
                _note(cuts, there, bit, mine)
                grown = True
    return _places(cuts)


def _replaced(source: Asked, nodes: Sequence[Node], recording: Recording) -> Verdict | None:
    """Return the verdict on a source that is not what the program computed with."""
    name, identity = source.name, source.identity
    if source.variable:
        assert identity is not None
        for other, mask in recording.sources.masks.items():
            if other is identity or other.name != identity.name or other.made is None:
                continue
            if any(node.live & mask for node in nodes):
                newer = max(other, identity, key=lambda each: each.serial)
                assert newer.made is not None
                place = Place.at("variable_replaced", newer.made, name, source.shape)
                text = "another variable of that name was used in its place; this is the newer one"
                return Verdict(name, "unused", place.kind, (place,), text, _made(source))
        return None
    node = source.node
    if node is None or identity is not None:
        return None
    there = node.recording
    if node.live and node.site is not None:
        if any(target.live & node.live for target in nodes if target.recording is there):
            place = Place.at("non_leaf", Site(*node.site), "", source.shape)
            names = ", ".join(s.name for s in there.sources.of(node.live))
            text = f"it was computed here from {names}, and the target does not use it"
            return Verdict(name, "unused", place.kind, (place,), text)
        return None
    reads = [cut for cut in there.cuts.upstream(node.cuts) if cut.kind == "outside_tape"]
    if not reads:
        return None
    names = ", ".join(dict.fromkeys(s.name for c in reads for s in there.sources.of(c.severed)))
    sources = {s for c in reads for s in there.sources.of(c.severed)}
    used = any(
        target.live & target.recording.sources.masks.get(s, 0) for target in nodes for s in sources
    )
    copied = all(s.made is not None and str(s.made) == str(reads[-1].site) for s in sources)
    kind = "non_leaf" if used or copied else "variable_replaced"
    place = Place(kind, *_place_tail(reads[-1]))
    text = (
        f"it is a tensor that was computed here from {names}, and the target uses {names} itself"
        if used
        else f"it is a tensor that was computed here from {names}; no tape watches it. "
        "Change a variable with v.assign(...)"
    )
    return Verdict(name, "not watched", kind, (place,), text)


def _place_tail(cut: Cut) -> tuple[Any, ...]:
    site = cut.site
    return site.file, site.line, site.text, cut.label, cut.shape, site, cut.order


def _note(
    cuts: dict[int, Cut], recording: Recording, mask: int, mine: int, guesses: bool = True
) -> None:
    """Add the cuts of a mask that severed a source, and those behind them."""
    way = recording.cuts.upstream(mask, guesses)
    for cut in way:
        if cut.severed & mine:
            behind = [later for later in way if _follows(later, cut, recording)]
            cuts.update((c.order, c) for c in (cut, *behind))


def _places(cuts: dict[int, Cut]) -> tuple[Place, ...]:
    """Return where cuts are, from the source on, each line once."""
    return tuple(dict.fromkeys(Place.of(cuts[order]) for order in sorted(cuts)))


def _unwatched(source: Asked, watches_reads: bool) -> tuple[str, str, tuple[Place, ...], str]:
    if not source.variable:
        text = "call tape.watch(x) in the block before x is used, and use that very x"
        return "not watched", "not_watched", (), text
    if not source.trainable:
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


def _bits_in(there: Recording, source: Asked, question: Question) -> tuple[int, int]:
    """Return the bits by which a recording knows a source: all, and those of the tape asked.

    The bit that belongs to no tape counts as this tape's. A result in the middle has no bits of
    its own and stands in for all that it was computed from.
    """
    identity, node = source.identity, source.node
    if identity is None:
        every = node.live if node is not None and node.recording is there else 0
        return 0, every
    sources = there.sources
    every, untaped = sources.masks.get(identity, 0), sources.untaped.get(identity, 0)
    if type(node) is Leaf and not source.variable and node.recording is there:
        every = node.own | untaped  # several arguments may stand for one variable
    if there is not question.recording:
        return every, every
    return every, every & (question.bits | untaped)


def _reaches(node: Node, source: Asked, mine: int) -> bool:
    """Tell whether gradient flows from a node to a source."""
    if source.identity is not None or source.node is None:
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
    return later is not first and any(c is first for c in recording.cuts.upstream(later.earlier))
