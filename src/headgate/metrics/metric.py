"""Metric: what gathers numbers about a whole epoch or data set, batch by batch.

A metric has Keras' name and protocol: `update_state` takes one batch, `result` says what all of
them gave, `reset_state` begins again, and calling the metric does the first two. What is gathered
(sums and counts, in float64) lives in variables that are not trainable, and can be saved.

An update works on values without their history, so that a metric keeps no graph alive; that the
value went there is noted, in case somebody takes the gradient of a result and asks where it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.core.checks import extents
from headgate.core.host import note_escape
from headgate.core.lift import as_tensor
from headgate.core.scope import suspended
from headgate.core.settings import Settled
from headgate.core.tensor import Tensor, constant
from headgate.core.variable import Variable, publish
from headgate.naming import floatx, unique_name
from headgate.nn.initializers import get_initializer
from headgate.ops.rules import is_half
from headgate.state import fitted, own, put, saved


class Metric(Settled):
    """Base of all metrics; a subclass has `update_state` and `result`.

    Args:
        name: "metric", "metric_1" and so on after the class if not given.
        dtype: of the result, and of variables that a subclass adds; `nn.floatx()` if left out.

    >>> import headgate as hg
    >>> from headgate import metrics
    >>> class Largest(metrics.Metric):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.largest = self.add_variable(name="largest")
    ...     def update_state(self, values):
    ...         values = hg.astype(values, self.dtype)
    ...         self.largest.assign(hg.maximum(self.largest, hg.max(values)))
    ...     def result(self):
    ...         return self.largest
    >>> largest = Largest()
    >>> largest([1.0, 3.0]).numpy(), largest([2.0]).numpy()
    (np.float32(3.0), np.float32(3.0))
    """

    _no_settings = frozenset({"name", "_variables"})

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = unique_name(type(self).__name__) if name is None else name
        self.dtype = np.dtype(floatx() if dtype is None else dtype)
        self._variables: dict[str, tuple[Variable, Any]] = {}

    def add_variable(
        self,
        shape: Any = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        *,
        name: str | None = None,
    ) -> Variable:
        """Return a new variable that belongs to the metric's state.

        Args:
            shape: of the variable.
            initializer: an initializer or its name, for the value at first and after a reset.
            dtype: that of the metric if left out.
            name: by which the state knows it.

        Raises:
            ValueError: the metric has a variable of that name already.
        """
        name = f"variable_{len(self._variables)}" if name is None else name
        if name in self._variables:
            raise ValueError(f"metric {self.name!r} has a variable {name!r} already")
        shape = extents(self.name, "shape", shape)
        with suspended():
            value = get_initializer(initializer)(shape, self.dtype if dtype is None else dtype)
            variable = Variable(value, trainable=False, name=f"{self.name}/{name}")
            self._variables[name] = (variable, variable._value)
        return variable

    add_weight = add_variable

    def _gathered(self, name: str, shape: tuple[int, ...] = ()) -> Variable:
        """Return a variable for a sum: float32 would lose counts from 2**24 on."""
        return self.add_variable(shape, dtype=np.float64, name=name)

    def _weight(self, value: Any) -> Tensor | None:
        return None if value is None else self._taken(value)

    def _taken(self, value: Any) -> Tensor:
        """Return a value without its history, and note that it goes into the state.

        Halves become float32: what a metric adds up over a batch they have no room for.
        """
        if type(value) is Variable:
            return _wide(value._value)
        tensor = as_tensor(value)
        how = f"update_state({self.name})"
        past = note_escape(tensor.node, "stateful_write", how, tensor.shape)
        if past is not None:
            for variable, _ in self._variables.values():
                variable._source.past = past
        return _wide(tensor.value)

    @property
    def variables(self) -> list[Variable]:
        """The variables with the state; none is trainable."""
        return [variable for variable, _ in self._variables.values()]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take one batch."""
        raise NotImplementedError(f"{type(self).__name__} must define update_state")

    def result(self) -> Any:
        """Return what the batches so far give."""
        raise NotImplementedError(f"{type(self).__name__} must define result")

    def reset_state(self) -> None:
        """Forget all batches."""
        first = [(v, own(array, v._value)) for v, array in self._variables.values()]
        put(first, anew=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take one batch, and return what the batches so far give."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_state(self) -> dict[str, Any]:
        """Return the state: arrays by name.

        >>> from headgate import metrics
        >>> mean = metrics.Mean()
        >>> mean.update_state([1.0, 3.0])
        >>> mean.get_state()
        {'total': array(4.), 'count': array(2.)}
        """
        return {name: saved(variable) for name, (variable, _) in self._variables.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state that `get_state` returned.

        Raises:
            ValueError: other names, shapes or dtypes. Nothing is changed then.
        """
        mine = {name: variable for name, (variable, _) in self._variables.items()}
        arrays = fitted(f"metric {self.name!r}", state, mine)
        put((variable, own(arrays[name], variable._value)) for name, variable in mine.items())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _wide(value: Any) -> Tensor:
    return constant(value.astype(np.float32) if is_half(value) else value)


def add(*sums: tuple[Variable, Tensor]) -> None:
    """Add to the variables of a metric, to all at once."""
    publish([(variable, variable._value + amount.value) for variable, amount in sums])
