"""Variables that follow others: target networks, and averages over the course of training.

Following is no part of what is differentiated: values are written as an optimizer writes them, so
that no tape sees it and no gradient is missing for that reason. Everything is checked and computed
before the first variable is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from headgate.core.checks import amount, number
from headgate.core.lift import as_tensor
from headgate.core.namespace import Array, common, owner
from headgate.core.variable import Variable
from headgate.optim.clip import computed, scalar
from headgate.record.onlooker import onlookers
from headgate.state import distinct, fitted, own, put, saved


def hard_update(target: Any, source: Any) -> None:
    """Copy all variables of a source into those of a target, as for a target network.

    The variables are matched in their order, those that are not trainable included. No tape records
    it.

    Args:
        target: a model, layer, variable or list of these.
        source: the same, with variables of the same shapes and dtypes.

    Raises:
        ValueError: another number of variables, or one of another shape or dtype; the message names
            it. Nothing is changed then.
        TypeError: something that has no variables.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> online, target = hg.Variable([1.0, 2.0]), hg.Variable([0.0, 0.0])
    >>> optim.hard_update([target], [online])
    >>> target.numpy()
    array([1., 2.])
    """
    pairs = _matched("hard_update", target, source)
    put([(old, own(new._value, old._value)) for old, new in pairs], anew=True)


def soft_update(target: Any, source: Any, tau: float) -> None:
    """Move all variables of a target a part of the way to those of a source.

    From Lillicrap et al. 2015 (arXiv:1509.02971), for target networks.
    Each becomes `tau * source + (1 - tau) * target`; variables of integers are copied. The rest is
    as for `hard_update`.

    Args:
        target: a model, layer, variable or list of these.
        source: the same, with variables of the same shapes and dtypes.
        tau: how far, from 0 to 1.

    Raises:
        ValueError: as for `hard_update`, or `tau` is out of range. Nothing is changed then.
        TypeError: something that has no variables.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> online, target = hg.Variable([1.0, 2.0]), hg.Variable([0.0, 0.0])
    >>> optim.soft_update([target], [online], 0.25)
    >>> target.numpy()
    array([0.25, 0.5 ])
    """
    part = amount("soft_update", "tau", tau, "[0, 1]")
    _move(_matched("soft_update", target, source), as_tensor(part).value if part is tau else part)


class ExponentialMovingAverage:
    """Averages of variables in which older values count less and less (Polyak & Juditsky 1992).

    Args:
        variables: a model, layer, variable or list of these; a model must be built. The averages
            begin with the values that its variables have now.
        decay: how much of an average stays at each update, from 0 to 1.

    Raises:
        ValueError: there are no variables, or `decay` is out of range.
        TypeError: something that has no variables.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> w = hg.Variable(0.0)
    >>> average = optim.ExponentialMovingAverage([w], decay=0.75)
    >>> w.assign(4.0) and average.update()
    >>> with average.applied():
    ...     float(w)
    1.0
    >>> float(w)
    4.0
    """

    def __init__(self, variables: Any, decay: float = 0.999) -> None:
        self.decay = number("ExponentialMovingAverage", "decay", decay, "[0, 1]")
        self.variables = _variables_of("ExponentialMovingAverage", "what is given", variables)
        self.averages = [
            Variable(variable._value, trainable=False, name=f"average/{variable.name}")
            for variable in self.variables
        ]
        self.swapped = False

    def update(self) -> None:
        """Take the values that the variables have now into the averages.

        Raises:
            RuntimeError: the averages are in the variables, so that these have no other values.
        """
        self._require_own("update")
        _move(list(zip(self.averages, self.variables, strict=True)), 1 - self.decay)

    def swap(self) -> None:
        """Exchange the averages and the variables' values; a second time undoes it."""
        pairs = list(zip(self.averages, self.variables, strict=True))
        values = [(average, variable._value) for average, variable in pairs]
        values += [(variable, average._value) for average, variable in pairs]
        put(values, [(setattr, self, "swapped", not self.swapped)])
        for onlooker in onlookers:
            onlooker.swapped(self.variables, self.swapped)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages into the variables for a block, as for an evaluation.

        Raises:
            RuntimeError: they are there already.
        """
        self._require_own("applied")
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def get_state(self) -> dict[str, Any]:
        """Return the averages by the names of their variables, as NumPy arrays.

        Raises:
            RuntimeError: the averages are in the variables just now.
        """
        self._require_own("get_state")
        return {key: saved(average) for key, average in self._named().items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take averages back from what `get_state` returned.

        Raises:
            ValueError: the keys, or a shape or dtype, are others than expected; nothing is changed.
            RuntimeError: the averages are in the variables just now.
        """
        self._require_own("set_state")
        named = self._named()
        arrays = fitted("ExponentialMovingAverage", state, named)
        put((average, own(arrays[key], average._value)) for key, average in named.items())

    def _named(self) -> dict[str, Variable]:
        named: dict[str, Variable] = {}
        for variable, average in zip(self.variables, self.averages, strict=True):
            named[distinct(variable.name, named)] = average
        return named

    def _require_own(self, what: str) -> None:
        if self.swapped:
            raise RuntimeError(
                f"{what}: the averages are in the variables just now; leave the block of "
                "applied(), or call swap() again, first"
            )


def _move(pairs: list[tuple[Variable, Variable]], part: Any) -> None:
    """Move variables a part of the way to the others."""
    new = [_between(old._value, other._value, part) for old, other in pairs]
    put((variable, value) for (variable, _), value in zip(pairs, new, strict=True))


def _between(old: Array, new: Array, part: Any) -> Array:
    if old.dtype.kind not in "fcV":
        return own(new, old)
    dtype = old.dtype
    wide = computed(dtype)
    xp = owner[common(type(old), type(new), type(part))]
    if wide is not dtype:
        old, new = xp.astype(old, wide), xp.astype(new, wide)
    part = scalar(xp, part, wide)
    moved = part * new + (1 - part) * old
    return moved if moved.dtype == dtype else xp.astype(moved, dtype)


def _matched(whose: str, target: Any, source: Any) -> list[tuple[Variable, Variable]]:
    """Return the variables of both in pairs; refuse those that do not fit together."""
    targets = _variables_of(whose, "the target", target)
    sources = _variables_of(whose, "the source", source)
    if len(targets) != len(sources):
        shorter, longer = sorted((("target", targets), ("source", sources)), key=_count)
        raise ValueError(
            f"{whose}: the target has {len(targets)} variables and the source {len(sources)}; the "
            f"{longer[0]}'s {longer[1][len(shorter[1])].name!r} has no counterpart. Both must be "
            "made, and built, in the same way"
        )
    for old, new in zip(targets, sources, strict=True):
        if old.shape != new.shape or old.dtype != new.dtype:
            raise ValueError(
                f"{whose}: the target's variable {old.name!r} has the shape {old.shape} and dtype "
                f"{old.dtype}, and the source's {new.name!r} {new.shape} and {new.dtype}; "
                "variables are matched in their order"
            )
    return list(zip(targets, sources, strict=True))


def _count(named: tuple[str, list[Variable]]) -> int:
    return len(named[1])


def _variables_of(whose: str, what: str, given: Any) -> list[Variable]:
    found = _listed(whose, what, given)
    if not found:
        raise ValueError(
            f"{whose}: {what} has no variables; a model must be built: call it, or "
            "build(input_shape)"
        )
    return found


def _listed(whose: str, what: str, given: Any) -> list[Variable]:
    if type(given) is Variable:
        return [given]
    if isinstance(given, list | tuple):
        return [variable for each in given for variable in _listed(whose, what, each)]
    if isinstance(getattr(given, "variables", None), list):
        return list(given.variables)
    raise TypeError(
        f"{whose}: {what} must be a model, a layer, a variable or a list of these, not "
        f"{type(given).__name__}"
    )
