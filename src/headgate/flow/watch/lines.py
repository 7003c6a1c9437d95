"""Lines: the places, scopes and chains of calls of a trace, each with a number.

Events name them by number, since most of them share a line with others. A line is known by its code
object and an instruction in it; file and line are looked up once for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType

from headgate.flow.trace import Place, Trace
from headgate.record.site import Site, chain, without_comprehensions

Line = tuple[CodeType, int]


class Lines:
    """Gives numbers to the lines of a trace, and notes them there."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._places: dict[tuple[str, int, str], int] = {}
        self._sites: dict[tuple[int, int], int] = {}
        self._scopes: dict[tuple[str, ...], int] = {(): 0}
        self._chains: dict[tuple[int, ...], int] = {(): 0}
        self._whole: dict[tuple[tuple[int, int], ...], tuple[CodeType, int, int]] = {}
        self._codes: dict[int, CodeType] = {}  # kept, for their ids are keys

    def place(self, code: CodeType, instruction: int) -> int:
        """Return the number of a line."""
        key = id(code), instruction
        if key not in self._sites:
            self._codes[id(code)] = code
            site = Site(code, instruction)
            self._sites[key] = self.at(Place(site.file, site.line, code.co_qualname))
        return self._sites[key]

    def at(self, place: Place) -> int:
        """Return the number of a place."""
        if place not in self._places:
            self._places[place] = len(self.trace.places)
            self.trace.places.append(place)
        return self._places[place]

    def callers(self, led: Sequence[Line]) -> int:
        """Return the number of the lines that led somewhere, the nearest first."""
        return self._chain(tuple(self.place(*line) for line in led))

    def _chain(self, numbers: tuple[int, ...]) -> int:
        if numbers not in self._chains:
            self._chains[numbers] = len(self._chains)
            self.trace.callers.append(numbers)
        return self._chains[numbers]

    def led(self, places: Sequence[Place]) -> tuple[int, int]:
        """Return the number of a place, and that of those behind it, which led there."""
        first, *rest = [self.at(place) for place in places]
        return first, self._chain(tuple(rest))

    def chain(self, lines: Sequence[Line]) -> tuple[CodeType, int, int]:
        """Return for a line and those that led there: its code, its number, that of the others."""
        key = tuple((id(code), instruction) for code, instruction in lines)
        if key not in self._whole:
            first, *rest = without_comprehensions(lines)
            self._whole[key] = first[0], self.place(*first), self.callers(rest)
            self._codes.update((id(code), code) for code, _ in lines)
        return self._whole[key]

    def chain_here(self) -> tuple[int, int]:
        """Return the numbers of the user's line that runs now, and of those that led there."""
        _, place, led = self.chain(chain())
        return place, led

    def scope(self, names: tuple[str, ...], code: CodeType) -> int:
        """Return the number of the modules around an event; without any, of its function."""
        if not names and code.co_name != "<module>":
            names = (code.co_qualname.replace(".<locals>", ""),)
        if names not in self._scopes:
            self._scopes[names] = len(self._scopes)
            self.trace.scopes.append(names)
        return self._scopes[names]
