"""Bundle: the arrays of several variables, as an executor holds them between calls.

A compiled function that writes variables gets all their arrays in one list and gives a list back.
The variables' values *are* that list: each knows its place in it, so putting new values into a
thousand cells is one assignment. Whoever reads a variable in between is given a copy of its array
as one of the program's own library, which is kept until the next call; a variable whose home is the
executor (it was given one of its arrays) hands out that array itself.

A variable that somebody assigns to leaves its bundle, which is then not `intact`; one that another
function writes moves to that one's. Before a call that may use the memory of the arrays again they
are gathered anew in such a case, and also if one of them was handed out (`shared`): it is copied if
somebody still holds it.

`in_transit` is held while arrays are on their way, so that nobody sees them go.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
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


class Bundle:
    """The variables, their arrays, and of each whether its home is the executor."""

    __slots__ = ("arrays", "at_home", "copies", "intact", "native", "shared", "variables")

    def __init__(self, variables: Sequence[Any]) -> None:
        self.variables = variables
        self.arrays: list[Array] = []
        self.at_home: list[bool] = []
        self.native = False  # whether any of them is at home
        self.copies: dict[int, Array] = {}  # what was read since the last call
        self.intact = not variables
        self.shared = False

    def read(self, index: int) -> Array:
        """Return the array of a variable for the program that it belongs to."""
        if self.at_home[index]:
            self.shared = True
            return self.arrays[index]
        if index not in self.copies:
            self.copies[index] = np.array(self.arrays[index])
        return self.copies[index]

    def handed_out(self, index: int) -> Array:
        """Return the executor's own array of a variable, which is not to be changed."""
        self.shared = True
        return self.arrays[index]

    def gather(self, keeper: Keeper) -> None:
        """Take all variables in, with arrays that nobody else holds."""
        arrays, at_home = [], []
        for variable in self.variables:
            place = variable._place
            if place is None:
                array = variable._array
                home = keeper.is_native(type(array))
                if not home:
                    array = keeper.native(array)
            else:
                array = place[0].arrays[place[1]]
                home = place[0].at_home[place[1]]
            if getrefcount(array) > _ALONE:
                array = keeper.native(array)
            arrays.append(array)
            at_home.append(home)
        self._take(arrays, at_home)

    def lend(self, keeper: Keeper) -> None:
        """Take variables in that are only to be read; they keep the arrays that they have."""
        held = [variable._array for variable in self.variables]
        at_home = [keeper.is_native(type(array)) for array in held]
        self._take([a if home else keeper.native(a) for a, home in zip(held, at_home)], at_home)
        self.copies = {k: array for k, array in enumerate(held) if not at_home[k]}
        self.shared = True

    def _take(self, arrays: list[Array], at_home: list[bool]) -> None:
        # An interrupt may come between any two of these: a variable holds its array, or knows where
        # it is, at each moment, and what says that all are here is written last.
        self.intact = False
        self.copies = {}
        self.arrays, self.at_home, self.native = arrays, at_home, True in at_home
        for index, variable in enumerate(self.variables):
            left = variable._place
            if left is not None and left[0] is not self:
                left[0].intact = False
            variable._place = self, index
            variable._array = None
            if left is not None and left[0] is not self:
                left[0].arrays[left[1]] = None
        self.intact, self.shared = True, False

    def renew(self, arrays: list[Array]) -> None:
        """Let the variables have the arrays that a call gave."""
        self.arrays = arrays
        self.shared = False
        if self.copies:
            self.copies = {}


def _holders(place: tuple[list[Any], int]) -> int:
    array = place[0][place[1]]
    return getrefcount(array)


_ALONE = _holders(([object()], 0))
"""What is counted in `Bundle.gather` for an array that nobody but a variable or bundle holds."""
