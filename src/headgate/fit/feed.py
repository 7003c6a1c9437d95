"""Feed: whatever a user hands over as data, as epochs of batches `(x, y, sample_weight)`.

Arrays, and structures of them, are cut into batches here (`headgate.data.Batches`). Anything else
has its batches already: `Batches`, a `tf.data.Dataset`, a `DataLoader` of PyTorch, a sequence with
`__len__` and `__getitem__`, a generator. One that can be begun again is begun anew with each epoch;
an iterator, which cannot, goes on where it was, and needs `steps`.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import optree

from headgate.core.namespace import is_array, is_foreign
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable
from headgate.data import Batches
from headgate.record.site import depth


class Batch(NamedTuple):
    """What one step is given; y and the weights may be None."""

    x: Any
    y: Any = None
    sample_weight: Any = None


def unpacked(data: Any) -> Batch:
    """Return a batch as x, y and sample weights, given in any of the ways that Keras has.

    >>> from headgate.fit.feed import unpacked
    >>> unpacked(([1.0], [0]))
    Batch(x=[1.0], y=[0], sample_weight=None)
    """
    if isinstance(data, Batch):
        return data
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return Batch(data)
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"a batch is (x, y) or (x, y, sample_weight), and this one has {len(data)} parts; "
            "several inputs are a tuple or a dictionary within it: ((a, b), y)"
        )
    return Batch(*data)


class Feed:
    """Epochs of batches.

    Args:
        x: arrays with the samples along the first axis, or a structure of such; or something that
            gives batches.
        y: arrays of labels, if x are arrays.
        sample_weight: of the samples, if x are arrays.
        batch_size: number of samples in a batch, if x are arrays; 32 if left out.
        shuffle: whether each epoch has its own order, if x are arrays.
        steps: number of batches of an epoch; all there are if left out.
        class_weight: class -> how much its samples count.
        anew: whether each epoch begins with the first batch, as what is measured must; else one
            that has its own length in steps goes on where the last one ended.
        whose: what is called in messages.

    Raises:
        ValueError: y or weights beside something that gives batches, arrays of different lengths,
            an empty array.
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int | None = None,
        shuffle: bool = True,
        steps: int | None = None,
        class_weight: Mapping[int, float] | None = None,
        anew: bool = False,
        whose: str = "fit",
    ) -> None:
        self.steps = steps
        self.anew = anew
        self.class_weight = class_weight
        self.whose = whose
        self._going: Iterator[Any] | None = None  # an iterator that cannot be begun again
        self.rows: int | None = None
        if is_arrays(x):
            parts = [("x", x), ("y", y), ("sample_weight", sample_weight)]
            given = {name: value for name, value in parts if value is not None}
            size = 32 if batch_size is None else batch_size
            batches = Batches(
                {name: _arrays(value) for name, value in given.items()},
                batch_size=size,
                shuffle=shuffle,
                drop_last=False,
            )
            self._source: Any = batches
            self.rows = batches.rows
            self._keyed = True
            return
        self._keyed = False
        for name, value in [("y", y), ("sample_weight", sample_weight)]:
            if value is not None:
                raise ValueError(
                    f"{whose}: {name} is given beside {type(x).__name__}, which gives batches; let "
                    "it give (x, y) or (x, y, sample_weight)"
                )
        if batch_size is not None:
            raise ValueError(
                f"{whose}: batch_size={batch_size} is given beside {type(x).__name__}, which gives "
                "batches already; leave it out"
            )
        self._source = x
        if not hasattr(x, "__iter__") and not hasattr(x, "__getitem__"):
            raise TypeError(
                f"{whose}: x is arrays, or gives batches when it is iterated over; "
                f"{type(x).__name__} is neither"
            )
        if hasattr(x, "__next__") and not isinstance(x, Batches):  # it can be gone through once
            self._going = iter(x)

    @property
    def length(self) -> int | None:
        """The number of batches of an epoch, None if nobody knows it."""
        known = None
        if self._going is None and hasattr(self._source, "__len__"):
            try:
                known = len(self._source)
            except TypeError:  # an endless data set of TensorFlow, an iterable one of PyTorch
                known = None
        return known if self.steps is None else self.steps

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches of the next epoch."""
        count = 0
        steps = self.steps
        if steps is None and isinstance(self._source, Batches):
            steps = len(self._source)
        for data in itertools.islice(self._batches(), steps):
            count += 1
            batch = Batch(**data[0]) if self._keyed else unpacked(data)
            yield weighted(batch, self.class_weight, self.whose)
        if not count:
            raise ValueError(
                f"{self.whose}: the data gave no batch"
                + ("; an iterator can be gone through once" if self._going is not None else "")
            )
        if self.steps is not None and count < self.steps:
            warnings.warn(
                f"{self.whose}: the data ended after {count} of {self.steps} steps; give it more "
                "batches (repeat it), or ask for fewer",
                stacklevel=depth() + 1,
            )

    def _batches(self) -> Iterator[Any]:
        source = self._source
        if self._keyed and self.anew:
            source.set_state({**source.get_state(), "epoch": 0, "position": 0})
        if isinstance(source, Batches):
            return iter(source)
        if self._going is not None:
            return self._going
        if hasattr(source, "__iter__"):
            return iter(source) if self.anew or self.steps is None else self._goes_on(source)
        return (source[number] for number in range(len(source)))

    def _goes_on(self, source: Any) -> Iterator[Any]:
        """Go on where the last epoch ended, as often as it takes: an epoch has its own length."""
        if self._going is None:
            self._going = iter(source)
        return self._going


def weighted(batch: Batch, class_weight: Mapping[int, float] | None, whose: str) -> Batch:
    """Return a batch whose sample weights say how much each class counts.

    Raises:
        ValueError: there are no labels.
    """
    if not class_weight:
        return batch
    if batch.y is None:
        raise ValueError(f"{whose}: class_weight needs labels y, and there are none")
    labels = np.asarray(batch.y)
    if labels.ndim > 1 and labels.shape[-1] > 1:
        labels = labels.argmax(-1)
    labels = labels.reshape(len(labels), -1)[:, 0].astype(np.int64)
    known = {int(key): float(value) for key, value in class_weight.items()}
    weights = np.array([known.get(int(each), 1.0) for each in labels], np.float32)
    if batch.sample_weight is not None:
        weights = weights * np.asarray(batch.sample_weight, np.float32)
    return Batch(batch.x, batch.y, weights)


def is_arrays(x: Any) -> bool:
    """Tell whether data are arrays with all samples in them, or structures of arrays."""
    if isinstance(x, Tensor | Variable) or is_array(x):
        return True
    if isinstance(x, Mapping):
        return bool(x) and all(map(is_arrays, x.values()))
    if isinstance(x, list | tuple):
        first = x[0] if x else ()  # a list of tuples is one of batches
        return isinstance(first, int | float) or (type(first) is not tuple and is_arrays(first))
    return is_foreign(type(x)) and hasattr(x, "shape")


def split(parts: tuple[Any, ...], fraction: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Cut the last part of the samples off, for validation.

    Raises:
        ValueError: a fraction that is not between 0 and 1, or that leaves one side without samples.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fit: validation_split is between 0 and 1, got {fraction!r}")
    arrays = tuple(None if part is None else _arrays(part) for part in parts)
    rows = len(optree.tree_leaves(arrays[0])[0])  # type: ignore[arg-type]
    at = int(rows * (1 - fraction))
    if not 0 < at < rows:
        raise ValueError(
            f"fit: validation_split={fraction} of {rows} samples leaves none on one side"
        )

    def cut(rows: slice) -> tuple[Any, ...]:
        return tuple(
            None if part is None else optree.tree_map(lambda array: array[rows], part)
            for part in arrays
        )

    return cut(slice(0, at)), cut(slice(at, None))


def _arrays(value: Any) -> Any:
    """Return arrays, tensors and lists of numbers as NumPy arrays, in their structure."""
    if isinstance(value, Mapping):
        return {name: _arrays(part) for name, part in value.items()}
    if isinstance(value, list | tuple) and all(_is_one(part) for part in value):
        return tuple(_arrays(part) for part in value)
    return value.numpy() if isinstance(value, Tensor | Variable) else np.asarray(value)


def _is_one(x: Any) -> bool:
    return isinstance(x, Tensor | Variable | Mapping) or (is_arrays(x) and hasattr(x, "shape"))
