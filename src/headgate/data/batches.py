"""Data: shuffled batches of arrays in memory, which can stop and go on anywhere.

The order of the rows in an epoch is a pure function of the seed and of the number of the epoch, so
that where a run has got to is two numbers: the epoch, and how many of its batches are done. That is
the whole state, however large the data; the order itself is made again when it is needed.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
import optree

from headgate import random
from headgate.core.checks import flag, optional, whole
from headgate.core.namespace import is_array
from headgate.core.tensor import Tensor


class Batches:
    """An iterator over batches of rows, of all arrays at once; endless unless `epochs` is given.

    Each batch is a tuple with one entry per argument, also if there is only one. The rows are
    copies, so a batch may be changed.

    Args:
        arrays: arrays with the same number of rows (the size of the first axis), or dictionaries,
            tuples and lists of such. They are not copied; they may be read-only or memory maps.
        batch_size: number of rows in a batch.
        shuffle: whether each epoch has its own order; else the rows come as they are.
        seed: of the orders, a whole number from 0 on; drawn from `headgate.random` if left out.
        drop_last: whether to leave out the rows at the end of an epoch that fill no batch (with
            `shuffle` other ones each time); else the last batch of an epoch may be smaller.
        epochs: number of epochs after which the iterator is at its end.

    Raises:
        ValueError: no data, different numbers of rows, a batch size below 1 or (with `drop_last`)
            above the number of rows, a negative seed or number of epochs.

    `len(batches)` is the number of batches in an epoch, so `itertools.islice(batches,
    len(batches))` is one epoch. `batches.epoch` and `batches.position` tell how many epochs, and
    how many batches of the current one, are done.

    >>> import numpy as np
    >>> from headgate import data
    >>> batches = data.Batches(np.arange(6), np.arange(6) ** 2, batch_size=2, seed=0, epochs=1)
    >>> len(batches)
    3
    >>> all((y == x**2).all() for x, y in batches)
    True
    >>> (batch,) = next(data.Batches({"x": np.ones((6, 3))}, batch_size=2))
    >>> batch["x"].shape
    (2, 3)
    """

    def __init__(
        self,
        *arrays: Any,
        batch_size: int,
        shuffle: bool = True,
        seed: int | None = None,
        drop_last: bool = True,
        epochs: int | None = None,
    ) -> None:
        given: Any = arrays
        self._arrays: Any = optree.tree_map(_as_array, given)
        self.rows = _rows(optree.tree_paths(self._arrays), optree.tree_leaves(self._arrays))
        self.batch_size = whole("Batches", "batch_size", batch_size, 1)
        self.shuffle = flag("Batches", "shuffle", shuffle)
        self.drop_last = flag("Batches", "drop_last", drop_last)
        if self.drop_last and self.batch_size > self.rows:
            raise ValueError(
                f"batch_size={batch_size} is more than the {self.rows} rows of the data, and "
                "drop_last=True would leave out all of them; pass drop_last=False or a smaller "
                "batch_size"
            )
        self.epochs = optional(whole, "Batches", "epochs", epochs, 0)
        if seed is None:
            seed = int(random.generator().integers(2**63))
        self.seed = whole("Batches", "seed", seed, 0)
        self.epoch = 0
        self.position = 0
        self._order: tuple[tuple[int, int], Any] | None = None

    def __len__(self) -> int:
        count = self.rows if self.drop_last else self.rows + self.batch_size - 1
        return count // self.batch_size

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        if self.epochs is not None and self.epoch >= self.epochs:
            raise StopIteration
        start = self.position * self.batch_size
        rows = self._rows_in_order()[start : start + self.batch_size]
        batch: Any = optree.tree_map(lambda array: array[rows], self._arrays)
        found, done = tuple(batch), self.position + 1
        at_end = done == len(self)
        # Nothing is called from here on, so that no interrupt comes between these and the return.
        self.epoch, self.position = (self.epoch + 1, 0) if at_end else (self.epoch, done)
        return found

    def _rows_in_order(self) -> Any:
        """Return the numbers of all rows in the order of this epoch."""
        at = (self.seed, self.epoch)
        if self._order is None or self._order[0] != at:
            rows = np.arange(self.rows)
            if self.shuffle:
                np.random.default_rng(at).shuffle(rows)
            self._order = (at, rows)
        return self._order[1]

    # -- state ------------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """Return where the iterator stands, as numbers by name; the data are not part of it.

        >>> import numpy as np
        >>> from headgate import data
        >>> batches = data.Batches(np.arange(6), batch_size=2, seed=0)
        >>> first, state, second = next(batches), batches.get_state(), next(batches)
        >>> batches.set_state(state)
        >>> bool((next(batches)[0] == second[0]).all())
        True
        """
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            **self._settings(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go to where the iterator was that a state is from; its seed is taken over.

        Raises:
            ValueError: a state of other data (another number of rows) or with other batches
                (`batch_size`, `shuffle`, `drop_last`), or no such state. Nothing is changed then.
        """
        expected = self.get_state()
        if not isinstance(state, dict) or state.keys() != expected.keys():
            keys = sorted(state) if isinstance(state, dict) else repr(state)
            raise ValueError(
                f"the state of Batches has the keys {sorted(expected)}, and this one is {keys}"
            )
        for name, value in self._settings().items():
            if state[name] != value:
                raise ValueError(
                    f"the state is of Batches with {name}={state[name]!r}, and these have "
                    f"{name}={value!r}: it belongs to other data or other batches"
                )
        found = {name: _count(name, state[name]) for name in ("epoch", "position", "seed")}
        if found["position"] >= len(self):
            raise ValueError(
                f"the state has position={found['position']}, and an epoch has only "
                f"{len(self)} batches"
            )
        self.epoch, self.position, self.seed = found["epoch"], found["position"], found["seed"]

    def _settings(self) -> dict[str, Any]:
        """Return what must be the same for a position to mean the same."""
        return {
            "rows": self.rows,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def __repr__(self) -> str:
        return (
            f"<Batches of {self.batch_size} of {self.rows} rows, epoch {self.epoch}, "
            f"batch {self.position} of {len(self)}>"
        )


def _as_array(leaf: Any) -> Any:
    if type(leaf) is Tensor:
        leaf = leaf.value
    return leaf if is_array(leaf) else np.asarray(leaf)


def _rows(paths: list[tuple[Any, ...]], arrays: list[Any]) -> int:
    """Return the number of rows that all arrays have; refuse arrays that do not fit together."""
    if not arrays:
        raise ValueError("Batches needs at least one array")
    shapes = ", ".join(f"{_place(path)} {tuple(array.shape)}" for path, array in zip(paths, arrays))
    if any(array.ndim == 0 for array in arrays):
        raise ValueError(
            f"Batches takes arrays with rows, and a single number has none: {shapes}. A list is "
            "taken as several arrays; make it one with numpy.asarray(...)"
        )
    if len({array.shape[0] for array in arrays}) > 1:
        raise ValueError(f"all arrays must have the same number of rows, got the shapes {shapes}")
    if not arrays[0].shape[0]:
        raise ValueError(f"there are no rows to take batches of: {shapes}")
    return int(arrays[0].shape[0])


def _place(path: tuple[Any, ...]) -> str:
    return f"[{path[0]}]" + "".join(f"[{key!r}]" for key in path[1:])


def _count(name: str, value: Any) -> int:
    """Return a number of a state as an int; refuse what is none, or negative."""
    try:
        found = operator.index(value)
    except TypeError:
        found = -1
    if found < 0:
        raise ValueError(f"the state has {name}={value!r}, which must be a whole number from 0 on")
    return found
