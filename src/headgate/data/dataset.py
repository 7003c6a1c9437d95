"""Dataset: a pipeline of elements, as `tf.data.Dataset` has it, made of Python's iterators.

A data set is a recipe: given the number of a pass, it makes an iterator over its elements. Each
method returns another recipe that asks the one before; nothing is computed until somebody iterates.
An element is an array, or a tuple, dictionary or list of arrays; functions are given tensors, and
whoever iterates gets tensors.

What is random (`shuffle`) is a pure function of a seed and of the number of the pass, in which a
`repeat` counts as well. So a pass can be gone through again, and an iterator can go on anywhere:
its state is the number of its pass and how many elements it has given.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import optree

from headgate import random
from headgate.core.checks import flag, optional, whole
from headgate.core.tensor import Tensor, constant
from headgate.core.variable import Variable
from headgate.data.ahead import ahead
from headgate.data.elements import (
    called,
    cast,
    divided,
    groups,
    leaves_like,
    padded,
    plain,
    stacked,
    tensor,
)

Pass = tuple[int, ...]
"""The number of a pass, and of the repetitions within it."""


class Dataset:
    """A pipeline of elements; make one by `from_tensor_slices`, `from_generator`, `range`, `zip`.

    >>> import numpy as np
    >>> from headgate.data import Dataset
    >>> x = np.arange(6)
    >>> pairs = Dataset.from_tensor_slices((x, x**2)).map(lambda x, y: (x, y + 1)).batch(4)
    >>> for x, y in pairs:
    ...     print(x.numpy(), y.numpy())
    [0 1 2 3] [ 1  2  5 10]
    [4 5] [17 26]
    """

    def __init__(
        self,
        make: Callable[[Pass], Iterator[Any]] | None = None,
        length: Callable[[], float | None] | None = None,
    ) -> None:
        if not callable(make) or not callable(length):
            raise TypeError(
                "Dataset(make, length) takes functions; use one of the methods that make data "
                "sets: from_tensor_slices(arrays), from_generator(function), range(number), "
                "zip(datasets)"
            )
        self._make = make
        self._count = length
        self._passes = 0

    @staticmethod
    def _asarray(value: Any) -> Any:
        """Return a number or a list as an array."""
        return np.asarray(value)

    @classmethod
    def _arrays(cls, element: Any) -> Any:
        """Return an element with NumPy arrays in place of tensors and numbers; lists are arrays."""
        if isinstance(element, tuple) and hasattr(element, "_fields"):
            return type(element)(*map(cls._arrays, element))
        if isinstance(element, tuple):
            return tuple(map(cls._arrays, element))
        if isinstance(element, Mapping):
            return {name: cls._arrays(value) for name, value in element.items()}
        if isinstance(element, Tensor | Variable):
            return element.numpy()
        return cls._asarray(element)

    # -- where elements come from -----------------------------------------------------------------

    @classmethod
    def from_tensor_slices(cls, tensors: Any, name: str | None = None) -> Dataset:
        """Return the rows of arrays: slices along their first axis.

        Args:
            tensors: an array, or a structure of arrays with the same number of rows.
            name: as in TensorFlow; it has no effect.

        Raises:
            ValueError: arrays without rows, or with different numbers of rows.
        """
        arrays = cls._arrays(tensors)
        leaves = optree.tree_leaves(arrays)
        shapes = [leaf.shape for leaf in leaves]
        if not leaves or any(not shape for shape in shapes):
            raise ValueError(
                f"from_tensor_slices takes arrays with rows, and these have the shapes {shapes}"
            )
        rows = {shape[0] for shape in shapes}
        if len(rows) > 1:
            raise ValueError(
                f"from_tensor_slices: all arrays must have the same number of rows, got {shapes}"
            )
        (count,) = rows

        def make(_: Pass) -> Iterator[Any]:
            for row in range(count):
                yield optree.tree_map(operator.itemgetter(row), arrays)

        return cls(make, lambda: count)

    @classmethod
    def from_tensors(cls, tensors: Any, name: str | None = None) -> Dataset:
        """Return a data set of one element."""
        arrays = cls._arrays(tensors)
        return cls(lambda _: iter([arrays]), lambda: 1)

    @classmethod
    def from_generator(
        cls,
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: tuple[Any, ...] | None = None,
        output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """Return what a function yields, which is called for each pass.

        Args:
            generator: the function.
            output_types: dtypes that the elements are cast to, in their structure.
            output_shapes: as in TensorFlow; the elements have the shapes that they have.
            args: what the function is given.
            output_signature: objects with a `dtype`, in the structure of an element.
            name: as in TensorFlow; it has no effect.

        Raises:
            TypeError: something that cannot be called.
        """
        if not callable(generator):
            raise TypeError(
                "from_generator takes a function that returns an iterator, so that each pass can "
                f"begin anew, not {type(generator).__name__}; pass `lambda: it`"
            )
        wanted = output_types if output_signature is None else output_signature

        def make(_: Pass) -> Iterator[Any]:
            for element in generator(*(args or ())):
                yield cast(cls._arrays(element), wanted)

        return cls(make, lambda: None)

    @classmethod
    def range(cls, *args: int, output_type: Any = np.int64, name: str | None = None) -> Dataset:
        """Return whole numbers, given as to Python's `range`."""
        numbers = range(*(operator.index(each) for each in args))
        kind = np.dtype(output_type)
        return cls(lambda _: (np.asarray(each, kind) for each in numbers), lambda: len(numbers))

    @classmethod
    def zip(cls, *args: Any, datasets: Any = None, name: str | None = None) -> Dataset:
        """Return the elements of several data sets side by side, as long as all have some.

        Args:
            args: data sets, or one structure of data sets.
            datasets: the same, by name.
            name: as in TensorFlow; it has no effect.
        """
        given = args if datasets is None else (datasets,)
        tree: Any = given[0] if len(given) == 1 else given
        parts, structure = optree.tree_flatten(tree)
        for part in parts:
            _require(part, "zip")

        def make(turn: Pass) -> Iterator[Any]:
            for elements in zip(*(part._make(turn) for part in parts)):
                yield optree.tree_unflatten(structure, list(elements))

        def count() -> float | None:
            known = [part._count() for part in parts]
            return None if None in known else min(known)

        return cls(make, count)

    # -- what becomes of them ---------------------------------------------------------------------

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        *,
        name: str | None = None,
    ) -> Dataset:
        """Return what a function gives for each element; a tuple is given as several arguments.

        Args:
            map_func: takes tensors, returns tensors or arrays, in any structure.
            num_parallel_calls, deterministic, name: as in TensorFlow; elements come one after the
                other, in order.
        """

        def make(turn: Pass) -> Iterator[Any]:
            for element in self._make(turn):
                yield self._arrays(called(map_func, element))

        return type(self)(make, self._count)

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """Return the elements for which a function is true."""

        def make(turn: Pass) -> Iterator[Any]:
            for element in self._make(turn):
                if bool(called(predicate, element)):
                    yield element

        return type(self)(make, lambda: None)

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Return elements stacked along a new first axis.

        Args:
            batch_size: so many of them.
            drop_remainder: whether to leave out the last ones if they are fewer.
            num_parallel_calls, deterministic, name: as in TensorFlow; they have no effect.

        Raises:
            ValueError: while iterating, elements of different shapes.
        """
        size = whole("batch", "batch_size", batch_size, 1)
        drop = flag("batch", "drop_remainder", drop_remainder)

        def make(turn: Pass) -> Iterator[Any]:
            for elements in groups(self._make(turn), size, drop):
                yield optree.tree_map(stacked, *elements)

        return type(self)(make, lambda: divided(self._count(), size, drop))

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Return elements stacked along a new first axis, the smaller ones filled up at their ends.

        Args:
            batch_size: so many of them.
            padded_shapes: sizes to fill up to, in the structure of an element; where a size is None
                or -1, or if left out, that of the largest element of the batch.
            padding_values: what to fill up with, in the structure of an element; zeros if left out.
            drop_remainder: whether to leave out the last ones if they are fewer.
            name: as in TensorFlow; it has no effect.
        """
        size = whole("padded_batch", "batch_size", batch_size, 1)

        def make(turn: Pass) -> Iterator[Any]:
            for elements in groups(self._make(turn), size, drop_remainder):
                leaves = [optree.tree_leaves(element) for element in elements]
                count = len(leaves[0])
                shapes = leaves_like(padded_shapes, count, is_shape=True)
                fills = leaves_like(padding_values, count)
                columns = [
                    padded([row[k] for row in leaves], shapes[k], fills[k]) for k in range(count)
                ]
                yield optree.tree_unflatten(optree.tree_structure(elements[0]), columns)

        return type(self)(make, lambda: divided(self._count(), size, drop_remainder))

    def unbatch(self, name: str | None = None) -> Dataset:
        """Return the rows of the elements, one after the other."""

        def make(turn: Pass) -> Iterator[Any]:
            for element in self._make(turn):
                for row in range(len(optree.tree_leaves(element)[0])):
                    yield optree.tree_map(operator.itemgetter(row), element)

        return type(self)(make, lambda: None)

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool | None = True,
        name: str | None = None,
    ) -> Dataset:
        """Return elements in a random order: each is drawn from the next so many.

        Args:
            buffer_size: so many; as many as there are for a uniform order.
            seed: of the orders; drawn from `headgate.random` if left out.
            reshuffle_each_iteration: whether each pass has its own order.
            name: as in TensorFlow; it has no effect.
        """
        size = whole("shuffle", "buffer_size", buffer_size, 1)
        number = optional(whole, "shuffle", "seed", seed, 0)
        if number is None:
            number = int(random.generator().integers(2**63))
        anew = reshuffle_each_iteration is not False

        def make(turn: Pass) -> Iterator[Any]:
            rng = np.random.default_rng((number, *(turn if anew else ())))
            source = self._make(turn)
            held = list(itertools.islice(source, size))
            for element in source:
                k = int(rng.integers(len(held)))
                drawn, held[k] = held[k], element
                yield drawn
            order = rng.permutation(len(held))
            yield from (held[k] for k in order)

        return type(self)(make, self._count)

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """Return the elements so many times, without an end if left out or -1."""
        times = optional(whole, "repeat", "count", count, -1)
        endless = times is None or times == -1

        def make(turn: Pass) -> Iterator[Any]:
            for number in itertools.count() if endless else range(times):
                empty = True
                for element in self._make((*turn, number)):
                    empty = False
                    yield element
                if empty:
                    return

        def known() -> float | None:
            once = self._count()
            if endless:
                return once if once == 0 else math.inf
            return None if once is None else (once * times if times else 0)

        return type(self)(make, known)

    def take(self, count: int, name: str | None = None) -> Dataset:
        """Return the first so many elements; all of them for -1."""
        most = whole("take", "count", count, -1)
        if most == -1:
            return self

        def known() -> float | None:
            there = self._count()
            return None if there is None else min(there, most)

        return type(self)(lambda turn: itertools.islice(self._make(turn), most), known)

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """Return the elements without the first so many; none for -1."""
        left = whole("skip", "count", count, -1)
        if left == -1:
            return self.take(0)

        def known() -> float | None:
            there = self._count()
            return None if there is None else max(there - left, 0)

        return type(self)(lambda turn: itertools.islice(self._make(turn), left, None), known)

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Dataset:
        """Return every so-manieth element, beginning with a number."""
        parts = whole("shard", "num_shards", num_shards, 1)
        first = whole("shard", "index", index, 0, parts - 1)

        def known() -> float | None:
            there = self._count()
            return there if there in (None, math.inf) else max(0, -(-(there - first) // parts))

        return type(self)(
            lambda turn: itertools.islice(self._make(turn), first, None, parts), known
        )

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """Return the elements of this data set, and then those of another."""
        _require(dataset, "concatenate")

        def known() -> float | None:
            one, other = self._count(), dataset._count()
            return None if one is None or other is None else one + other

        return type(self)(
            lambda turn: itertools.chain(self._make(turn), dataset._make(turn)), known
        )

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """Return pairs of a number and an element."""

        def make(turn: Pass) -> Iterator[Any]:
            for number, element in enumerate(self._make(turn), start):
                yield np.asarray(number, np.int64), element

        return type(self)(make, self._count)

    def flat_map(self, map_func: Callable[..., Dataset], name: str | None = None) -> Dataset:
        """Return the elements of the data sets that a function makes of the elements."""
        return self.interleave(map_func, cycle_length=1)

    def interleave(
        self,
        map_func: Callable[..., Dataset],
        cycle_length: int | None = None,
        block_length: int | None = None,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Return elements of several data sets by turns, which a function makes of the elements.

        Args:
            map_func: returns a data set for an element.
            cycle_length: so many of them are gone through side by side.
            block_length: so many elements of one, before it is the turn of the next; 1 if left out.
            num_parallel_calls, deterministic, name: as in TensorFlow; they have no effect.
        """
        most = optional(whole, "interleave", "cycle_length", cycle_length, -1)
        side = 16 if most in (None, -1) else most
        block = optional(whole, "interleave", "block_length", block_length, 1) or 1

        def opened(turn: Pass) -> Iterator[Iterator[Any]]:
            for element in self._make(turn):
                made = called(map_func, element)
                _require(made, "interleave")
                yield made._make(turn)

        def make(turn: Pass) -> Iterator[Any]:
            waiting = opened(turn)
            running: list[Iterator[Any] | None] = list(itertools.islice(waiting, side))
            while any(each is not None for each in running):
                for place, each in enumerate(running):
                    if each is None:
                        continue
                    given = list(itertools.islice(each, block))
                    yield from given
                    if len(given) < block:
                        running[place] = next(waiting, None)

        return type(self)(make, lambda: None)

    def prefetch(self, buffer_size: int, name: str | None = None) -> Dataset:
        """Return the same elements, which a thread makes ahead.

        Args:
            buffer_size: so many at most; -1 (`AUTOTUNE`) for two.
            name: as in TensorFlow; it has no effect.
        """
        size = whole("prefetch", "buffer_size", buffer_size, -1)
        if size == 0:
            return self
        most = 2 if size == -1 else size
        return type(self)(lambda turn: ahead(lambda: self._make(turn), most), self._count)

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """Return the same elements, which are kept in memory from the first whole pass on.

        Raises:
            ValueError: a file is named; elements are kept in memory alone.
        """
        if filename:
            raise ValueError(
                f"cache({filename!r}): elements are kept in memory here, not in files; leave the "
                "name out, or save the arrays with numpy.save"
            )
        kept: list[list[Any]] = []

        def make(turn: Pass) -> Iterator[Any]:
            if kept:
                yield from kept[0]
                return
            found = []
            for element in self._make(turn):
                found.append(element)
                yield element
            kept.append(found)

        return type(self)(make, lambda: len(kept[0]) if kept else self._count())

    def with_options(self, options: Any, name: str | None = None) -> Dataset:
        """Return the data set itself: options of TensorFlow's engine have no effect."""
        return self

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """Return what a function makes of this data set."""
        made = transformation_func(self)
        _require(made, "apply")
        return made

    # -- the elements themselves ------------------------------------------------------------------

    def __iter__(self) -> DatasetIterator:
        self._passes += 1
        return DatasetIterator(self, self._passes - 1)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Return an iterator over the elements as NumPy arrays."""
        self._passes += 1
        return (optree.tree_map(plain, each) for each in self._make((self._passes - 1,)))

    def reduce(
        self, initial_state: Any, reduce_func: Callable[..., Any], name: str | None = None
    ) -> Any:
        """Return what is left when a function has taken the state and each element in turn."""
        state = initial_state
        for element in self:
            state = reduce_func(state, element)
        return state

    def cardinality(self) -> Tensor:
        """Return the number of elements: -1 if there is no end, -2 if nobody knows it."""
        known = self._count()
        number = -2 if known is None else -1 if known == math.inf else int(known)
        return constant(np.asarray(number, np.int64))

    def __len__(self) -> int:
        known = self._count()
        if known is None or known == math.inf:
            raise TypeError(
                "the number of elements of this data set is "
                + ("not known before they are made" if known is None else "infinite")
            )
        return int(known)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        known = self._count()
        many = (
            "an unknown number of" if known is None else "endless" if known == math.inf else known
        )
        return f"<Dataset of {many} elements>"


class DatasetIterator:
    """One pass over a data set.

    >>> from headgate.data import Dataset
    >>> numbers = iter(Dataset.range(10).shuffle(10, seed=0))
    >>> first, state, second = next(numbers), numbers.get_state(), next(numbers)
    >>> numbers.set_state(state)
    >>> bool(next(numbers) == second)
    True
    """

    def __init__(self, dataset: Dataset, turn: int) -> None:
        self._dataset, self._turn, self._given = dataset, turn, 0
        self._elements = dataset._make((turn,))

    def __iter__(self) -> DatasetIterator:
        return self

    def __next__(self) -> Any:
        element = next(self._elements)
        self._given += 1
        return optree.tree_map(tensor, element)

    get_next = __next__

    def get_state(self) -> dict[str, int]:
        """Return where the iterator stands: the number of its pass, and of elements given."""
        return {"pass": self._turn, "given": self._given}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Go to where an iterator over the same data set was; what lies before is made again.

        Raises:
            ValueError: no such state, or the data set has fewer elements.
        """
        if not isinstance(state, Mapping) or set(state) != {"pass", "given"}:
            raise ValueError(f"the state of an iterator has 'pass' and 'given', not {state!r}")
        turn = whole("set_state", "pass", state["pass"], 0)
        given = whole("set_state", "given", state["given"], 0)
        elements = self._dataset._make((turn,))
        passed = sum(1 for _ in itertools.islice(elements, given))
        if passed < given:
            raise ValueError(
                f"the state has given {given} elements, and the data set has only {passed}"
            )
        self._turn, self._given, self._elements = turn, given, elements


def _require(value: Any, whose: str) -> None:
    if not isinstance(value, Dataset):
        raise TypeError(f"{whose} takes data sets, not {type(value).__name__}")
