"""The record of a computation: nodes, cuts and recordings. Data only; nothing here computes.

A **recording** lasts, in one thread, from the first tape entered to the last one left; tapes that
overlap share it. Each op that runs meanwhile on a value that a tape watches makes a **node**. The
recording holds no nodes: a result holds its node and a node its parents, so what nobody can reach
any more is freed at once, by reference count. Outside of every tape a thread has a recording too,
one in which nothing is watched: there, values only carry where they came from.

Two bit masks per node make explanations free. Every pair (tape, source) owns one bit of its
recording:

* `live`: the bits whose gradient can flow back from this value. A tape that is not recording just
  now has its bits in `Recording.paused`, so what runs meanwhile is constant for that tape alone.
* `cuts`: the **cuts** upstream of this value, one bit per place (not per execution). A cut is a
  tombstone: what sort, where, which sources it severed, which cuts lay before it. It holds no
  arrays.

Both are OR-ed from parents to children by each op. Whether source k reaches a target, and what
stopped it, is then a matter of bit tests, also long after the graph was freed. A value with cuts
behind it but nothing live (all that follows a stop) shares one small node, a **ghost**, with no
edges at all.
"""

from __future__ import annotations

import itertools
import linecache
import os
import sys
import threading
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple, Protocol

import optree

sequence = itertools.count(1).__next__
"""Numbers nodes in order of creation, over all threads: parents come before their children."""


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
    was made from a watched value, or such a one was assigned to it. `missing` explains why the last
    gradient asked for was None.
    """

    __slots__ = ("made", "missing", "name", "past", "serial", "written")

    def __init__(self, name: str) -> None:
        self.name = name
        self.serial = sequence()
        self.made: Site | None = None
        self.past: tuple[Recording, int] | None = None
        self.written = 0
        self.missing = ""


class Leaf(Node):
    """The node of a source: `own` has the bits that tapes of this recording gave to that source."""

    __slots__ = ("epoch", "own", "source")

    own: int
    source: Source
    epoch: object  # the state of the active tapes in which this leaf was last seen to be up to date


class Site(NamedTuple):
    """A place in the user's program; file, line and text are found only when somebody asks."""

    code: CodeType
    instruction: int

    @property
    def file(self) -> str:
        return self.code.co_filename

    @property
    def line(self) -> int:
        positions = list(self.code.co_positions())
        found = positions[self.instruction // 2][0] if self.instruction >= 0 else None
        return found or self.code.co_firstlineno

    @property
    def text(self) -> str:
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{shown_path(self.file)}:{self.line}"


def shown_path(file: str) -> str:
    """Return a path as a person wants to read it: relative if it lies below the working folder."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):  # the working folder is gone, or on another drive
        return file
    return file if relative.startswith("..") or file.startswith("<") else relative


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PROGRAMS = os.path.join(_PACKAGE, "examples") + os.sep
_OPTREE = os.path.dirname(optree.__file__) + os.sep


class _Internal(dict[str, bool]):
    """File -> whether it is Headgate's own (its example programs count as a user's)."""

    def __missing__(self, file: str) -> bool:
        found = self[file] = file.startswith(("<headgate ", _OPTREE, "<frozen ")) or (
            file.startswith(_PACKAGE) and not file.startswith(_PROGRAMS)
        )
        return found


_internal = _Internal()


def where() -> tuple[CodeType, int]:
    """Return the innermost place on the stack that is not Headgate's own: the user's line.

    Called for each node, so it returns the parts of a `Site` and makes none.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not _internal[code.co_filename]:
            return code, frame.f_lasti
        frame = frame.f_back
    return sys._getframe(1).f_code, sys._getframe(1).f_lasti


def caller() -> Site:
    """Return the user's line as a `Site`."""
    return Site(*where())


def name_in_program(value: Any) -> str:
    """Return what the user's program calls a value where it is now, or "" if it has no name there.

    That is the name of a variable of Python, or a key or position in a dictionary or list that has
    a name.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _internal[frame.f_code.co_filename]:
        frame = frame.f_back
    if frame is None:
        return ""
    names = {**frame.f_globals, **frame.f_locals}
    for name, bound in names.items():
        if bound is value:
            return name
    for name, bound in names.items():
        if type(bound) is dict:
            for key, item in bound.items():
                if item is value:
                    return str(key)
        elif type(bound) in (list, tuple):
            for number, item in enumerate(bound):
                if item is value:
                    return f"{name}[{number}]"
    return ""


def refusal(kind: type[Exception], message: str) -> Exception:
    """Return an error about something the user asked for, with the user's line in its message."""
    site = caller()
    error: Any = kind(f"{message}\n  at {site}: {site.text}")
    error.headgate_explained = True  # an op that raises it has nothing to add
    found: Exception = error
    return found


class MissingGradientWarning(UserWarning):
    """A gradient that was asked for is None; says why, once for each line that asks.

    Switch it off as any warning: `warnings.simplefilter("ignore", hg.MissingGradientWarning)`.
    """


class TracingError(TypeError):
    """Something was asked of a tensor that is not known while a function is traced."""


class Cut:
    """A place where gradient stops although the value goes on (kinds: see `headgate.core.tape`)."""

    __slots__ = ("covers", "earlier", "kind", "label", "order", "severed", "shape", "site")

    def __init__(self, kind: str, site: Site, label: str, shape: tuple[int, ...] | None) -> None:
        self.kind = kind
        self.site = site
        self.label = label
        self.shape = shape
        self.severed = 0  # mask of source bits
        self.covers = 0  # the same, with what the cuts before this one severed
        self.earlier = 0  # mask of cuts
        self.order = sequence()


BACK, MAYBE_BACK = "came back", "may have come back"
"""Labels of the cuts where a value returns from the host: one that is known to have left, and one
of which only that something had left before it came."""

_CUTS_PER_SITE = 128
"""One site makes a cut for each set of sources that it or the cuts before it severed (a layer used
with two sets of weights stops both at one line), but not more than this: the last one takes the
rest."""


class Recording:
    """What the tapes of one thread share while they overlap. See the head of this module."""

    def __init__(self) -> None:
        self.tapes: list[Any] = []  # those that record now
        self.suspended: list[Any] = []  # those under stop_recording
        self.epoch = object()  # replaced whenever `tapes` changes
        self.paused = 0  # bits of tapes that do not record now
        self.stopped = 0  # of those, the bits paused by stop_recording
        self.kept = 0  # bits of tapes that still need their graph
        self.walking = False  # a backward walk is running: what it severs is nobody's mistake
        self.sources: list[Source] = []  # bit number -> source
        self.masks: dict[Source, int] = {}  # source -> all its bits here
        self.untaped: dict[Source, int] = {}  # source -> its bit that belongs to no tape
        self.leaves: dict[Source, Leaf] = {}  # variables only; a watched tensor holds its own leaf
        self.cuts: list[Cut] = []  # cut number -> cut
        self.sites: dict[tuple[Any, ...], dict[tuple[int, int], int]] = {}
        self.escapes = 0  # cuts through which values left for the host
        self.departed: dict[int, Any] = {}  # bit of such a cut -> the last value that left there
        self.log: Any = None  # told of everything that happens, while somebody traces
        self.refused = 0  # cuts of custom rules that were asked and gave no gradient
        self.blocked = 0  # bits of sources that got nothing for that reason
        self.read_log: list[Any] | None = None  # variables read, while somebody wants to know
        self.before: Recording | None = None  # the one to go back to

    @property
    def in_use(self) -> bool:
        """Whether any tape records here, or will again when its stop_recording ends."""
        return bool(self.tapes or self.suspended)

    # -- sources and bits -------------------------------------------------------------------------

    def new_bit(self, source: Source) -> int:
        bit = 1 << len(self.sources)
        self.sources.append(source)
        self.masks[source] = self.masks.get(source, 0) | bit
        return bit

    def untaped_bit(self, source: Source) -> int:
        """Return the bit by which a source is known here without being watched by any tape."""
        bit = self.untaped.get(source)
        if bit is None:
            bit = self.untaped[source] = self.new_bit(source)
        return bit

    def leaf(self, source: Source) -> Leaf:
        """Return a variable's leaf in this recording, made on its first read."""
        found = self.leaves.get(source)
        if found is None:
            found = self.leaves[source] = new_leaf(self, source)
        return found

    def sources_of(self, mask: int) -> list[Source]:
        """Return the sources of a mask, each once, in the order in which they were met."""
        return list(dict.fromkeys(self.sources[k] for k in bits(mask)))

    # -- cuts -------------------------------------------------------------------------------------

    def cut(
        self,
        kind: str,
        severed: int,
        earlier: int = 0,
        label: str = "",
        shape: tuple[int, ...] | None = None,
        site: Site | None = None,
    ) -> int:
        """Note that a cut at the user's line severed these sources; return the cut's bit."""
        if site is None:
            site = caller()
        covers = severed
        for number in bits(earlier):
            covers |= self.cuts[number].covers
        known = self.sites.setdefault((kind, id(site.code), site.instruction, label), {})
        if (severed, covers) in known:
            number = known[severed, covers]
        elif len(known) < _CUTS_PER_SITE:
            number = known[severed, covers] = len(self.cuts)
            self.cuts.append(Cut(kind, site, label, shape))
        else:
            number = next(reversed(known.values()))
        cut = self.cuts[number]
        cut.severed |= severed
        cut.covers |= covers
        cut.earlier |= earlier & ~(1 << number)
        return 1 << number

    def reached(self, mask: int, guesses: bool = True) -> list[int]:
        """Return the numbers of the cuts of a mask and of all before them, from the sources on.

        Without guesses, what lies before a `MAYBE_BACK` is left out.
        """
        seen, todo = 0, mask
        while todo:
            seen |= todo
            earlier = 0
            for number in bits(todo):
                if guesses or self.cuts[number].label != MAYBE_BACK:
                    earlier |= self.cuts[number].earlier
            todo = earlier & ~seen
        return sorted(bits(seen), key=lambda number: self.cuts[number].order)

    def upstream(self, mask: int, guesses: bool = True) -> list[Cut]:
        """Return the cuts of a mask and all before them, from the sources on."""
        return [self.cuts[number] for number in self.reached(mask, guesses)]

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
                cuts |= self.cut(kind, severed, cuts)
            return node.live & ~self.paused, cuts
        if self.walking:
            return 0, 0
        cuts = self.translated(node.recording, node.cuts)
        if node.live & ~forgiven:
            severed = self._translate_sources(node.recording, node.live & ~forgiven)
            cuts |= self.cut("outside_tape", severed, cuts)
        return 0, cuts

    def _translate_sources(self, other: Recording, mask: int) -> int:
        here = 0
        for source in other.sources_of(mask):
            here |= self.untaped_bit(source)
        return here

    def translated(self, other: Recording, mask: int) -> int:
        """Return the mask here for cuts of another recording."""
        here: dict[int, int] = {}  # number there -> bit here
        for number in other.reached(mask):
            cut = other.cuts[number]
            earlier = 0
            for k in bits(cut.earlier):
                earlier |= here.get(k, 0)
            severed = self._translate_sources(other, cut.severed)
            here[number] = self.cut(cut.kind, severed, earlier, cut.label, cut.shape, cut.site)
        found = 0
        for k in bits(mask):
            found |= here[k]
        return found


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def new_leaf(recording: Recording, source: Source) -> Leaf:
    """Make a source's node; it has no bits until a tape watches it."""
    leaf = Leaf()
    leaf.seq = sequence()
    leaf.op = None
    leaf.edges = ()
    leaf.live = leaf.cuts = leaf.own = 0
    leaf.recording = recording
    leaf.site = None
    leaf.source = source
    leaf.epoch = None
    return leaf


def ghost(recording: Recording, cuts: int, *parents: Node | None) -> Node | None:
    """Return a node that carries cuts and no gradient: a parent if one fits, None for no cuts."""
    if not cuts:
        return None
    for parent in parents:
        if (
            parent is not None
            and not parent.live
            and parent.cuts == cuts
            and parent.recording is recording
        ):
            return parent
    node = Node()
    node.seq = 0
    node.op = None
    node.edges = ()
    node.live = 0
    node.cuts = cuts
    node.recording = recording
    node.site = None
    return node


class Observer(Protocol):
    """What looks on at a whole program (`headgate.flow.watch`)."""

    def log(self) -> Any:
        """Return what is to be told of everything that happens in a new recording, or None."""

    def before_gradient(self, tape: Any, targets: list[Any], sources: list[Any]) -> Any:
        """Note what a gradient is asked of; return a meter for the walk and a memo, or None."""

    def after_gradient(self, memo: Any, gradients: list[Any]) -> None:
        """Note what came of it."""

    def read(self, variable: Any, recording: Recording) -> None:
        """Note that a variable is read for the first time by the tapes recording now."""

    def applied(self, variables: list[Any]) -> None:
        """Note that an optimizer was given gradients for these variables."""


observers: list[Observer] = []
"""Those who look on, in all threads; empty but for `headgate why` and `headgate.trace`."""

_OUTSIDE_LIMIT = 1000


class _State(threading.local):
    """The current recording of a thread: that of its active tapes, or the one outside of all."""

    def __init__(self) -> None:
        self.recording = self.outside = Recording()

    def enter(self, recording: Recording) -> None:
        """Make a recording the current one."""
        if recording is not self.recording:
            recording.before = self.recording
            self.recording = recording

    def leave(self, recording: Recording) -> None:
        """Go back to where a recording was entered from: outside, unless it was `unrecorded`.

        Outside, the record of where values came from is renewed when it grows.
        """
        back, recording.before = recording.before, None
        if back is None or back is self.outside:
            if len(self.outside.sources) + len(self.outside.cuts) > _OUTSIDE_LIMIT:
                self.outside = Recording()
            back = self.outside
        self.recording = back


state = _State()
