"""Cuts: the places where gradient stopped, by which a missing one is explained.

A cut is a tombstone: it says where, of what kind, which sources it severed and which cuts lay
before it, and holds no arrays. Each recording keeps a ledger of them (`Cuts`), in which a cut is a
number. A value carries a mask with a bit for each cut upstream of it, so that what lies on its way
is found by bit tests. Places are told apart, not executions: the same line makes the same cut
again, however often it runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from headgate.record.site import Site, where

sequence = itertools.count(1).__next__
"""Numbers nodes and cuts in order of creation, over all threads: parents come before their
children."""

BACK, MAYBE_BACK = "came back", "may have come back"
"""Labels of the cuts where a value returns from the host: one that is known to have left, and one
of which only that something had left before it came."""

_CUTS_PER_SITE = 128
"""One site makes a cut for each set of sources that it or the cuts before it severed (a layer used
with two sets of weights stops both at one line), but not more than this: the last one takes the
rest."""


class Cut:
    """A place where gradient stops although the value goes on (for its kind see `verdict`)."""

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


class Cuts:
    """The ledger of a recording: its cuts by number, and of some of them what they were.

    `escapes` has the bits of those through which values left for the host, `refused` of those that
    are custom rules which were asked and gave no gradient.
    """

    __slots__ = ("_at", "_found", "escapes", "refused")

    def __init__(self) -> None:
        self._found: list[Cut] = []
        self._at: dict[tuple[str, int, int, str], dict[tuple[int, int], int]] = {}
        self.escapes = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, number: int) -> Cut:
        return self._found[number]

    def add(
        self,
        kind: str,
        severed: int,
        earlier: int = 0,
        label: str = "",
        shape: tuple[int, ...] | None = None,
        site: Site | None = None,
    ) -> int:
        """Note that a cut at the user's line severed these sources; return the cut's bit."""
        code, instruction = where() if site is None else site
        covers = severed
        for number in bits(earlier):
            covers |= self._found[number].covers
        known = self._at.setdefault((kind, id(code), instruction, label), {})
        if (severed, covers) in known:
            number = known[severed, covers]
        elif len(known) < _CUTS_PER_SITE:
            number = len(self._found)
            self._found.append(Cut(kind, Site(code, instruction), label, shape))
            known[severed, covers] = number  # once it is there: an interrupt may come in between
        else:
            number = next(reversed(known.values()))
        cut = self._found[number]
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
                if guesses or self._found[number].label != MAYBE_BACK:
                    earlier |= self._found[number].earlier
            todo = earlier & ~seen
        return sorted(bits(seen), key=lambda number: self._found[number].order)

    def upstream(self, mask: int, guesses: bool = True) -> list[Cut]:
        """Return the cuts of a mask and all before them, from the sources on."""
        return [self._found[number] for number in self.reached(mask, guesses)]


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
