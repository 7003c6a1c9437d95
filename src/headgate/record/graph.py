"""The record of a computation: nodes and recordings. Data only; nothing here computes.

A **recording** lasts, in one thread, from the first tape entered to the last one left; tapes that
overlap share it. Each op that runs meanwhile on a value that a tape watches makes a **node**. The
recording holds no nodes: a result holds its node and a node its parents, so what nobody can reach
any more is freed at once, by reference count. Outside of every tape a thread has a recording too,
one in which nothing is watched: there, values only carry where they came from.

Two bit masks per node make explanations free. Every pair (tape, source) owns one bit of its
recording:

* `live`: the bits whose gradient can flow back from this value. A tape that is not recording just
  now has its bits in `Recording.paused`, so what runs meanwhile is constant for that tape alone.
* `cuts`: the **cuts** upstream of this value, one bit per place (`headgate.record.cuts`).

Both are OR-ed from parents to children by each op. Whether source k reaches a target, and what
stopped it, is then a matter of bit tests, also long after the graph was freed. A value with cuts
behind it but nothing live (all that follows a stop) shares one small node, a **ghost**, with no
edges at all. Only while somebody looks on (`headgate.record.onlooker`) each has its own; and then
a gradient that came back, and what is computed from it, may have a `Footprint`, which carries
nothing and only tells it from others.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any, Protocol, TypeVar

from headgate.record.cuts import Cuts, bits, sequence
from headgate.record.onlooker import Onlooker
from headgate.record.site import Site


class Node:
    """One recorded application of an op, a watched source (`Leaf`), or a ghost (no op, no edges).

    `edges` has one entry per array argument: `None` where no gradient can flow, else the tuple
    `(parent, rule, args, shape, dtype)`: the gradient for that argument is `rule(g, *args)`, to be
    summed and cast to `shape` and `dtype` (both `None` where the rule's result always fits).
    `edges` is `None` once the graph was freed.
    """

    __slots__ = ("cuts", "edges", "live", "op", "recording", "seq", "site")

    seq: int
    op: Any
    edges: tuple[Any, ...] | None
    live: int
    cuts: int
    recording: Recording
    site: tuple[CodeType, int] | None  # the user's code and the instruction in it (see `where`)


class Source:
    """What can be differentiated by: the lasting identity of a variable or of a watched tensor.

    `made` is where a variable was created, `written` how often its value was changed since. `past`
    says by which cut (its bit, in that recording) the value came from other sources: the variable
    was made from a watched value, or such a one was assigned to it. `missing` is the verdict on the
    last gradient asked for that was None, and where a warning has shown it. `held` says whether a
    variable has it: a copy of an optimizer has copies of sources, and the variables may have been
    copied with it or not.
    """

    __slots__ = ("held", "made", "missing", "name", "past", "serial", "written")

    def __init__(self, name: str) -> None:
        self.name = name
        self.serial = sequence()
        self.made: Site | None = None
        self.past: tuple[Recording, int] | None = None
        self.written = 0
        self.missing: tuple[Any, Site | None] | None = None
        self.held = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy what a source is, and not what has happened to it."""
        return _copied_source, (self.name, self.made)


def _copied_source(name: str, made: Site | None) -> Source:
    source = Source(name)
    source.made = made
    return source


class Leaf(Node):
    """The node of a source: `own` has the bits that tapes of this recording gave to that source."""

    __slots__ = ("epoch", "own", "source")

    own: int
    source: Source
    epoch: object  # the state of the active tapes in which this leaf was last seen to be up to date


class Footprint(Node):
    """Of a gradient that came back while somebody looked on, or of what is computed from it."""

    __slots__ = ()


class Tape(Protocol):
    """What a recording knows of a tape."""

    _active: bool
    _bits: int
    _watch_accessed: bool
    _reference: weakref.ref[Tape]

    def _access(self, variable: Any, leaf: Leaf) -> None: ...


def bits_of(tapes: list[weakref.ref[Tape]]) -> int:
    """Return the bits of all of these tapes that are still there."""
    found = 0
    for reference in tapes:
        tape = reference()
        if tape is not None:
            found |= tape._bits
    return found


class Sources:
    """The ledger of a recording beside that of its cuts: the source that each bit stands for.

    A source has one bit for each tape that watches it (`masks` has all of them together), and one
    more (`untaped`) if something has to be said of it that is no tape's. `blocked` has the bits of
    sources that got nothing from a walk in which a custom rule gave None.
    """

    __slots__ = ("_found", "blocked", "masks", "untaped")

    def __init__(self) -> None:
        self._found: list[Source] = []
        self.masks: dict[Source, int] = {}
        self.untaped: dict[Source, int] = {}
        self.blocked = 0

    def __len__(self) -> int:
        return len(self._found)

    @property
    def every(self) -> int:
        """The mask of all bits that were given out."""
        return (1 << len(self._found)) - 1

    def new_bit(self, source: Source) -> int:
        """Give out one more bit."""
        bit = 1 << len(self._found)
        self._found.append(source)
        self.masks[source] = self.masks.get(source, 0) | bit
        return bit

    def untaped_bit(self, source: Source) -> int:
        """Return the bit by which a source is known here without being watched by any tape."""
        bit = self.untaped.get(source)
        if bit is None:
            bit = self.untaped[source] = self.new_bit(source)
        return bit

    def of(self, mask: int) -> list[Source]:
        """Return the sources of a mask, each once, in the order in which they were met."""
        return list(dict.fromkeys(self._found[k] for k in bits(mask)))


class Recording:
    """What the tapes of one thread share while they overlap. See the head of this module.

    `epoch`, `paused` and `stopped` follow from the tapes and their bits; only the methods here set
    them. Tapes are not held: one that nobody has any more is over, also if an interrupt came just
    when it was to be left.
    """

    __slots__ = (
        "apart",
        "before",
        "cuts",
        "departed",
        "epoch",
        "kept",
        "leaves",
        "onlooker",
        "paused",
        "read_log",
        "sources",
        "stopped",
        "suspended",
        "tapes",
        "walking",
    )

    def __init__(self) -> None:
        self.tapes: list[weakref.ref[Tape]] = []  # those that record now
        self.suspended: list[weakref.ref[Tape]] = []  # those under stop_recording
        self.epoch = object()  # replaced when a variable may be another tape's business than before
        self.paused = 0  # bits of tapes that do not record now
        self.stopped = 0  # of those, the bits paused by stop_recording
        self.kept = 0  # bits of tapes that still need their graph
        self.walking = False  # a backward walk is running: what it severs is nobody's mistake
        self.sources = Sources()
        self.leaves: dict[Source, Leaf] = {}  # variables only; a watched tensor holds its own leaf
        self.cuts = Cuts()
        self.departed: dict[int, Any] = {}  # bit of a cut -> the last value that left there
        self.onlooker: Onlooker | None = None  # told of everything that happens here
        # Variables read, while somebody needs to know (`reads`). Not an onlooker's business: there
        # may be several at once and beside one, and each read counts, the first or not.
        self.read_log: list[Any] | None = None
        self.before: Recording | None = None  # the one to go back to
        self.apart = False  # a block has it for itself, with tapes or without (`apart`)

    @property
    def in_use(self) -> bool:
        """Whether any tape records here, or will again when its stop_recording ends."""
        return bool(self.tapes or self.suspended)

    def refresh(self, active: int | None = None) -> None:
        """Bring the masks up to date with the tapes that record now.

        `active` are the bits that count as theirs: other ones than they have by now, when what they
        recorded earlier is run again.
        """
        if active is None:
            active = bits_of(self.tapes) if self.tapes else 0
        self.epoch = object()
        self.paused = ((1 << len(self.sources._found)) - 1) & ~active
        self.stopped = bits_of(self.suspended) if self.suspended else 0

    def silence(self, bits: int) -> None:
        """Record nothing more for bits that belong to no tape."""
        self.paused |= bits

    def read_anew(self) -> None:
        """Let each variable be seen again when it is read next: what is watched has changed."""
        self.epoch = object()

    @contextmanager
    def reads(self) -> Iterator[list[Any]]:
        """Collect the variables that are read in a block."""
        outer, log = self.read_log, []  # type: ignore[var-annotated]
        try:
            self.read_log = log
            self.read_anew()  # leaves that are up to date are not reported
            yield log
        finally:
            self.read_log = outer
            self.read_anew()
            if outer is not None:
                outer.extend(log)

    def leaf(self, source: Source) -> Leaf:
        """Return a variable's leaf in this recording, made on its first read."""
        found = self.leaves.get(source)
        if found is None:
            found = self.leaves[source] = new_leaf(self, source)
        return found

    def give_bit(self, leaf: Leaf, recorded: bool) -> int:
        """Give a leaf the bit of one more tape that watches its source, and records now or not."""
        bit = self.sources.new_bit(leaf.source)
        leaf.own |= bit
        leaf.live |= bit
        self.kept |= bit
        if not recorded:
            self.paused |= bit
        return bit

    # -- values that come from elsewhere ----------------------------------------------------------

    def admit(self, node: Node, forgiven: int = 0) -> tuple[int, int]:
        """Return a node's `live` and `cuts` as seen here and now.

        The slow way, for a node of another recording (a constant here, which takes its history
        along) and for times when some tape is paused (its bits are severed). Bits that are forgiven
        leave no cut behind when they are lost on the way here.
        """
        if node.recording is self:
            severed = node.live & self.paused
            cuts = node.cuts
            if severed and not self.walking:
                kind = "no_grad_block" if severed & self.stopped else "outside_tape"
                cuts |= self.cuts.add(kind, severed, cuts)
            return node.live & ~self.paused, cuts
        if self.walking:
            return 0, 0
        cuts = self.translated(node.recording, node.cuts)
        if node.live & ~forgiven:
            severed = self._translate_sources(node.recording, node.live & ~forgiven)
            cuts |= self.cuts.add("outside_tape", severed, cuts)
        return 0, cuts

    def _translate_sources(self, other: Recording, mask: int) -> int:
        here = 0
        for source in other.sources.of(mask):
            here |= self.sources.untaped_bit(source)
        return here

    def translated(self, other: Recording, mask: int) -> int:
        """Return the mask here for cuts of another recording."""
        here: dict[int, int] = {}  # number there -> bit here
        for number in other.cuts.reached(mask):
            cut = other.cuts[number]
            earlier = 0
            for k in bits(cut.earlier):
                earlier |= here.get(k, 0)
            severed = self._translate_sources(other, cut.severed)
            here[number] = self.cuts.add(cut.kind, severed, earlier, cut.label, cut.shape, cut.site)
        found = 0
        for k in bits(mask):
            found |= here[k]
        return found


_Node = TypeVar("_Node", bound=Node)


def new_node(
    kind: type[_Node],
    recording: Recording,
    op: Any = None,
    edges: tuple[Any, ...] = (),
    live: int = 0,
    cuts: int = 0,
    site: tuple[CodeType, int] | None = None,
) -> _Node:
    """Make a node; only the functions of ops make theirs by themselves, as it is faster."""
    node = kind()
    node.seq = sequence()
    node.op = op
    node.edges = edges
    node.live = live
    node.cuts = cuts
    node.recording = recording
    node.site = site
    return node


def new_leaf(recording: Recording, source: Source) -> Leaf:
    """Make a source's node; it has no bits until a tape watches it."""
    leaf = new_node(Leaf, recording)
    leaf.own = 0
    leaf.source = source
    leaf.epoch = None
    return leaf


def ghost(recording: Recording, cuts: int, *parents: Node | None) -> Node | None:
    """Return a node that carries cuts and no gradient: a parent if one fits, None for no cuts.

    While somebody looks on, it is always a node of its own, as values are told apart by them; and
    for no cuts a footprint, if a parent is one.
    """
    if not cuts:
        if recording.onlooker is None or Footprint not in map(type, parents):
            return None
        return new_node(Footprint, recording)
    if recording.onlooker is None:
        for parent in parents:
            if (
                parent is not None
                and not parent.live
                and parent.cuts == cuts
                and parent.recording is recording
            ):
                return parent
    return new_node(Node, recording, None, (), 0, cuts)


_OUTSIDE_LIMIT = 1000


def anew(outside: Recording) -> Recording:
    """Return a new recording outside of all tapes, in place of one that has grown."""
    fresh = Recording()
    fresh.onlooker = outside.onlooker
    return fresh


class _State(threading.local):
    """The current recording of a thread: that of its active tapes, or the one outside of all."""

    def __init__(self) -> None:
        self.recording = self.outside = Recording()

    def enter(self, recording: Recording) -> None:
        """Make a recording the current one."""
        before = self.recording
        if recording is not before:
            recording.before = before if before is self.outside else self.lasting(before)
            self.recording = recording

    def lasting(self, recording: Recording | None) -> Recording:
        """Return what to go back to: no recording whose tapes were lost before they were left."""
        while not (recording is None or recording.in_use or recording.apart):
            recording = recording.before
        return self.outside if recording is None else recording

    def back(self, to: Recording, since: Recording, late: bool) -> None:
        """Go back to a recording at the end of a block.

        The end is late if an interrupt came when the block was left: it comes with the last
        reference to the block, when all that was around may be over, and another recording here.
        """
        if not late:
            self.recording = to
        elif self.recording is since:
            self.recording = self.lasting(to)

    def leave(self, recording: Recording) -> None:
        """Go back to where a recording was entered from: outside, unless it was `unrecorded`.

        Outside, the record of where values came from is renewed when it grows.
        """
        back = recording.before
        if back is not self.outside:
            back = self.lasting(back)
        if back is self.outside:
            if len(self.outside.sources) + len(self.outside.cuts) > _OUTSIDE_LIMIT:
                self.outside = anew(self.outside)
            back = self.outside
        self.recording = back
        recording.before = None


state = _State()


class apart:
    """Run a block in a recording of its own: the tapes of this thread do not see it.

    An interrupt may come when the block is left, and before `__exit__` does anything: then the
    block is over when nobody holds this any more.
    """

    __slots__ = ("before", "recording")

    def __init__(self) -> None:
        self.recording = Recording()
        self.recording.apart = True
        self.before: Recording | None = None

    def __enter__(self) -> Recording:
        self.before = state.recording
        state.recording = self.recording
        return self.recording

    def __exit__(self, *exception: object) -> None:
        if self.before is not None:
            state.recording = self.before

    def __del__(self) -> None:
        if self.before is not None and state.recording is self.recording:
            state.recording = self.before


class unrecorded(apart):
    """Run a block in which no tape of this thread records or watches anything."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.recording.walking = True  # what comes in from outside is a plain constant
