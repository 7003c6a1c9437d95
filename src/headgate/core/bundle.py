"""Bundle: the arrays of several variables, as an executor holds them between calls.

A compiled function that writes variables gets all their arrays in one list and gives a list back.
The variables' values *are* that list: each knows its place in it, so putting new values into a
thousand cells is one assignment. Nothing can come between, neither a signal nor an error: all
variables have their values before a call, or all have those after it. That holds too for programs
that write over the arrays that they are given: they are called, and what they return is put in
place, by one loop in C (`write_over`). Whoever reads a variable in between is given a copy of its
array as one of the program's own library, which is kept until the next call; a variable whose home
is the executor (it was given one of its arrays) hands out that array itself.

Where programs run on while Python goes ahead, new arrays are put in place before it is known
whether there will be any. The lists that they replace are kept in `past` until that is known, and
come back if the program has failed (`settle`).

A variable that somebody assigns to leaves its bundle, which is then not `intact`; one that another
function writes moves to that one's. Before a call they are gathered anew in such a case; before one
that may use the memory of the arrays again also if one of them was handed out (`shared`): it is
copied if somebody still holds it.

`in_transit` is held while arrays are on their way, so that no other thread sees them go. Moving
many variables takes many writes, and is in an order in which each can be the last: a variable's
array is in the bundle before it is gone from the cell, and the bundle is intact only when all of
its variables have come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any, Protocol

import numpy as np

from headgate.core.namespace import Array

in_transit = threading.RLock()


class Keeper(Protocol):
    """What an executor must do with arrays."""

    def native(self, array: Array) -> Array:
        """Return a copy in the executor's own form."""

    def is_native(self, kind: type) -> bool:
        """Tell whether arrays of a type have that form."""

    def wait(self, array: Array) -> None:
        """Wait until an array is there; raise the error if its program has failed."""


class Bundle:
    """The variables, their arrays, and of each whether its home is the executor."""

    __slots__ = (
        *("arrays", "at_home", "copies", "intact", "keeper", "native", "past", "shared"),
        *("trailing", "variables"),
    )

    def __init__(self, variables: Sequence[Any]) -> None:
        self.variables = variables
        self.arrays: list[Array] = []
        self.at_home: list[bool] = []
        self.native = False  # whether any of them is at home
        self.past: list[list[Array]] = []  # earlier lists, until later ones are sure
        self.keeper: Keeper | None = None
        self.copies: tuple[list[Array], dict[int, Array]] = self.arrays, {}
        """What was read of a list of arrays, by index."""
        self.intact = not variables
        self.shared = False
        self.trailing = False  # whether results may still follow the arrays

    def read(self, index: int) -> Array:
        """Return the array of a variable for the program that it belongs to."""
        if self.past:
            self.settle()
        if self.at_home[index]:
            self.shared = True
            return self.arrays[index]
        if self.copies[0] is not self.arrays:
            self.copies = self.arrays, {}
        copies = self.copies[1]
        if index not in copies:
            copies[index] = np.array(self.arrays[index])
        return copies[index]

    def handed_out(self, index: int) -> Array:
        """Return the executor's own array of a variable, which is not to be changed."""
        self.shared = True
        return self.arrays[index]

    def gather(self, keeper: Keeper, alone: bool) -> None:
        """Take all variables in; if `alone`, with arrays that nobody else holds."""
        arrays, at_home = [], []
        for variable in self.variables:
            place = variable._place
            if place is None:
                array = variable._array
                home = keeper.is_native(type(array))
                if not home:
                    array = keeper.native(array)
            else:
                if place[0].past:
                    place[0].settle()
                array = place[0].arrays[place[1]]
                home = place[0].at_home[place[1]]
            if alone and getrefcount(array) > _ALONE:
                array = keeper.native(array)
            arrays.append(array)
            at_home.append(home)
        self._take(arrays, at_home, keeper)

    def lend(self, keeper: Keeper) -> None:
        """Take variables in that are only to be read; they keep the arrays that they have."""
        held = [variable._array for variable in self.variables]
        at_home = [keeper.is_native(type(array)) for array in held]
        arrays = [a if home else keeper.native(a) for a, home in zip(held, at_home)]
        self.copies = arrays, {k: array for k, array in enumerate(held) if not at_home[k]}
        self._take(arrays, at_home, keeper)
        self.shared = True

    def _take(self, arrays: list[Array], at_home: list[bool], keeper: Keeper) -> None:
        # An interrupt may come between any two of these: a variable holds its array, or knows where
        # it is, at each moment, and what says that all are here is written last. The arrays of
        # variables that are here already are where they were in the new list too.
        self.intact = False
        self.past = []
        self.arrays, self.at_home, self.keeper = arrays, at_home, keeper
        self.native = True in at_home
        for index, variable in enumerate(self.variables):
            left = variable._place
            if left is not None and left[0] is not self:
                left[0].intact = False
            variable._place = self, index
            variable._array = None
            if left is not None and left[0] is not self:
                left[0].arrays[left[1]] = None
        self.intact, self.shared = True, False

    def write_over(self, call: Callable[..., list[Any]], given: Any, kept: Any) -> list[Array]:
        """Call a program that writes over the arrays; return the list that follows the new ones.

        Python takes signals between the steps of a program of its own. Between the call and the
        store there are none, if the call is of no function in Python: the arrays are used up and
        the new ones in place, or neither is so, whatever a handler raises.
        """
        self.trailing = True
        next(map(_set_arrays, (self,), map(call, (given,), (kept,))))
        results: list[Array] = self.arrays.pop()
        self.trailing = False
        return results

    def trim(self) -> None:
        """Forget the results of a call that was interrupted before it returned them."""
        del self.arrays[len(self.variables) :]
        self.trailing = False

    def renew(self, arrays: list[Array], sure: bool) -> None:
        """Let the variables have the arrays that a call gave.

        If it is not `sure` that they will be there, the old ones are kept for that case.
        """
        if not sure:
            self.past = [*self.past, self.arrays]
        self.arrays = arrays
        self.shared = False

    def settle(self, most: int = 0) -> None:
        """Wait for the programs whose arrays these are, but for the last `most`.

        If one has failed, all variables have the values from before it, and its error is raised.
        """
        assert self.keeper is not None
        while len(self.past) > most:
            later = self.past[1] if len(self.past) > 1 else self.arrays
            array = next((each for each in later if each is not None), None)
            try:
                if array is not None:  # they come together
                    self.keeper.wait(array)
            except Exception:
                self.arrays = self.past[0]
                self.past = []
                raise
            self.past = self.past[1:]


_set_arrays = Bundle.__dict__["arrays"].__set__


def _holders(place: tuple[list[Any], int]) -> int:
    array = place[0][place[1]]
    return getrefcount(array)


_ALONE = _holders(([object()], 0))
"""What is counted in `Bundle.gather` for an array that nobody but a variable or bundle holds."""
