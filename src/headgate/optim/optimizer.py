"""How an optimizer makes new values of variables from their gradients.

A **rule** is a pure function of raw arrays that reads like its paper: from the gradient `g`, the
value `x` and the optimizer's own state it returns the next value and the next state. All else is in
`Optimizer`, once: what is refused, clipping and weight decay, where the state lives (in variables
that are not trainable, made when a variable is met for the first time), how it is saved, and how a
rule is run.

A step is no op: it works on raw arrays, so that no tape sees it, and puts other arrays into the
variables. On NumPy a large array goes through the rule part by part, so that what the rule computes
in between stays in the processor's cache, and the results are written over the old arrays, but only
over those that nobody else holds: a graph that still needs a value before the step keeps it.

A step is done for all variables or for none (one that is given twice makes two steps). All that can
be is computed first, and put into place at once (`headgate.core.variable.publish`). Large arrays
are written over meanwhile: if an interrupt comes in there, the step is brought to its end before
the interrupt goes on.

The state has the dtype of its variable, as in Keras, Optax and PyTorch. A rule computes in that
dtype, half precision in float32, and its results are rounded to it once, in `_run_rule`: whatever
a learning rate is computed from, and however a rule mixes numbers, a step changes no dtype.
"""

from __future__ import annotations

import fnmatch
import functools
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from operator import setitem
from typing import Any, TypedDict

import numpy as np

from headgate.core.asked import names_of
from headgate.core.checks import flag, number, optional
from headgate.core.host import note_escape
from headgate.core.lift import lift
from headgate.core.namespace import NUMPY, Array, common, owner
from headgate.core.rows import settled
from headgate.core.scope import stage, suspended
from headgate.core.settings import Settled
from headgate.core.tape import GradientTape
from headgate.core.tensor import Tensor, constant
from headgate.core.traced import is_traced
from headgate.core.variable import Variable, publish
from headgate.naming import unique_name
from headgate.optim.clip import (
    clipped,
    computed,
    length_of_all,
    scalar,
    scaled_to_global_norm,
    scaled_to_norm,
)
from headgate.record.graph import Source
from headgate.record.onlooker import onlookers
from headgate.record.site import depth
from headgate.record.verdict import SHOWN, in_short
from headgate.state import distinct, own, put, require_fit, require_state, saved

_PART = 1 << 17
"""So many bytes of an array go through a rule at once (measured)."""


class NameAndClipping(TypedDict, total=False):
    """Arguments that all optimizers have; see `Optimizer`."""

    name: str | None
    lazy: bool
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None


class Common(NameAndClipping, total=False):
    """The arguments that all optimizers have, but for those whose decay is one of their own."""

    weight_decay: float | None


class Optimizer(Settled):
    """Base of all optimizers; a subclass has a `rule` and says what state it keeps.

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        name: "adam", "adam_1" and so on after the class if not given.
        weight_decay: what part of a value is taken away each step, times the learning rate and
            beside the gradient; see `exclude_from_weight_decay`.
        clipnorm: the largest norm that the gradient of each variable may have.
        clipvalue: the largest size that each element of a gradient may have.
        global_clipnorm: the largest norm that all gradients together may have.
        lazy: whether rows that have no gradient are left alone, as one wants of large tables of
            which a step uses a few rows: neither their values nor their moments change, and they do
            not decay. A row is what lies along the first axis, an element of what has only one; it
            has no gradient if all its elements are zero. PyTorch's `SparseAdam` is Adam so. The
            papers' rules let the moments of all rows fade, and move all, at each step.

    Raises:
        ValueError: a number is out of range, or more than one way of clipping is asked for.

    All hyper-parameters are plain attributes and may be changed between steps, of a compiled
    function too. A rate that is a number is held in a variable, so that setting it costs nothing
    there (`optimizer.learning_rate = 1e-4`, or `optimizer.learning_rate.assign(1e-4)`); for another
    momentum it is compiled anew, once for each value.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> class SignDescent(optim.Optimizer):
    ...     def rule(self, xp, rate, step, g, x):
    ...         return (x - rate * xp.sign(g),)
    >>> v = hg.Variable([1.0, 2.0])
    >>> SignDescent(0.5).apply_gradients([(hg.asarray([0.1, -9.0]), v)])
    >>> v.numpy()
    array([0.5, 2.5])
    """

    _no_settings = frozenset(
        {
            *("name", "iterations", "_rate", "_state", "_names", "_kept", "_copied", "_unmatched"),
            "_warned",
        }
    )
    _rate: Variable | None = None  # the rate, if it is a number
    _learning_rate: Any = None  # or else what it is computed by

    state_names: Sequence[str] = ()
    """What the optimizer keeps for each variable, in the order of the rule's last arguments."""

    rule_version = 1
    """Of what the rule keeps: to be raised when its state no longer means what it did."""

    spares_zeros = False
    """Whether the rule changes nothing, value and state, where the gradient is zero.

    Of a table then only those rows are computed that a gradient has (`headgate.core.rows`).
    """

    def __init__(
        self,
        learning_rate: float | Callable[[Any], Any] = 0.01,
        name: str | None = None,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        lazy: bool = False,
    ) -> None:
        kind = type(self).__name__
        given = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        limits = {
            key: number(kind, key, value, "(0, inf)")
            for key, value in given.items()
            if value is not None
        }
        if len(limits) > 1:
            raise ValueError(
                f"{kind}: gradients can be clipped in one way only, got {' and '.join(limits)}; "
                "give one of them"
            )
        self.learning_rate = learning_rate
        self.weight_decay = optional(number, kind, "weight_decay", weight_decay, "[0, inf)")
        self.clipnorm = limits.get("clipnorm")
        self.clipvalue = limits.get("clipvalue")
        self.global_clipnorm = limits.get("global_clipnorm")
        self.lazy = flag(kind, "lazy", lazy)
        self.name = unique_name(kind) if name is None else name
        self.iterations = Variable(np.int64(0), trainable=False, name=f"{self.name}/iteration")
        self._state: dict[Source, dict[str, Variable]] = {}
        self._names: dict[Source, str] = {}  # what a variable is called in a saved state
        self._kept: dict[str, dict[str, Any]] = {}  # state of variables that were not met yet
        self._copied: list[Source] = []  # of a copy: those of which it is not known who has them
        self._undecayed: set[Source] = set()
        self._undecayed_names: list[str] = []
        self._unmatched = False  # whether there are patterns that no step has looked at
        self._warned: set[tuple[str, ...]] = set()

    @property
    def learning_rate(self) -> Any:
        """The number that is set now, or a function of the number of steps done so far."""
        if self._learning_rate is not None:
            return self._learning_rate
        return self._rate if stage.scope is not None else Rate(self)

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        if callable(rate) or type(rate) is Variable:
            if type(rate) is Variable:
                _number(type(self).__name__, rate)
            self._learning_rate = rate
            return
        found = _number(type(self).__name__, rate)
        if self._rate is None:
            with suspended():
                self._rate = Variable(np.float64(0.0), trainable=False, name="learning_rate")
        xp = owner[type(found)]
        put([(self._rate, np.float64(found) if xp is NUMPY else xp.astype(found, np.float64))])
        if self._learning_rate is not None:
            self._learning_rate = None

    def rule(
        self, xp: Any, rate: Any, step: Any, g: Array, x: Array, *state: Array
    ) -> tuple[Array, ...]:
        """Return the next value and the next state.

        Args:
            xp: namespace of the arrays.
            rate: the learning rate.
            step: number of this step, from 1 on.
            g: the gradient.
            x: the variable's value.
            state: what `state_names` says, at first full of what `initial` says; all of the shape
                of x.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define rule(xp, rate, step, g, x, ...)"
        )

    def initial(self, name: str) -> float:
        """Return what a state begins with: zeros, unless a subclass says otherwise."""
        return 0.0

    # -- use --------------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> None:
        """Take one step.

        Args:
            grads_and_vars: pairs of a gradient and its variable, as from `zip(gradients,
                variables)`. A variable whose gradient is None is left alone, with a warning.

        Raises:
            ValueError: no gradient at all, one of another shape than its variable, a learning rate
                that is negative or NaN, or a state from `set_state` that does not fit. Nothing is
                changed then.
            TypeError: something that is not a pair of a gradient and a variable.
        """
        self._take_step(list(grads_and_vars))

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Variable]) -> None:
        """Take one step, as `apply_gradients(zip(grads, trainable_variables))`.

        Args:
            grads: gradients; a variable whose gradient is None is left alone, with a warning.
            trainable_variables: their variables, in the same order.

        Raises:
            ValueError: another number of gradients than of variables; else as `apply_gradients`.
            TypeError: something that is no variable.

        >>> import headgate as hg
        >>> from headgate import optim
        >>> v = hg.Variable(1.0)
        >>> optim.SGD(0.1).apply([hg.asarray(2.0)], [v])
        >>> v.numpy()
        np.float64(0.8)
        """
        gradients, variables = list(grads), list(trainable_variables)
        if len(gradients) != len(variables):
            raise ValueError(
                f"apply: {len(gradients)} gradients for {len(variables)} variables; give one for "
                "each, None where there is none"
            )
        self._take_step(list(zip(gradients, variables)))

    def minimize(
        self,
        loss: Any,
        var_list: Sequence[Variable],
        tape: GradientTape | None = None,
    ) -> None:
        """Compute the gradients of a loss and take one step.

        Args:
            loss: a function without arguments, or a tensor that was computed under `tape`.
            var_list: the variables to change.
            tape: needed if `loss` is a tensor.

        Raises:
            ValueError: no gradient reaches any variable; the message says why for each.

        >>> import headgate as hg
        >>> from headgate import optim
        >>> v = hg.Variable(1.0)
        >>> optim.SGD(0.1).minimize(lambda: v * v, [v])
        >>> v.numpy()
        np.float64(0.8)
        """
        if callable(loss):
            with GradientTape() as tape:
                loss = loss()
        if tape is None:
            raise ValueError(
                "minimize needs a function, or a tensor and the tape it was computed under"
            )
        gradients = tape.gradient(loss, var_list)
        if all(gradient is None for gradient in gradients):
            verdicts = "\n".join(map(str, tape.why(loss, var_list)))
            raise ValueError(f"No gradients provided for any variable.\n{verdicts}")
        self._take_step(list(zip(gradients, var_list, strict=True)))

    def build(self, var_list: Iterable[Variable]) -> None:
        """Make the state for variables now; otherwise it is made by their first step.

        Raises:
            ValueError: a state from `set_state` does not fit.
        """
        self._cells(list(var_list))

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Say which variables are not to decay, in place of what was said before.

        Args:
            var_list: variables.
            var_names: patterns of names, as for `Layer.freeze`: `*` matches anything, `?` a
                character, as in `"encoder/*"` or `"*/bias"`, for a whole name or for the end of one
                that begins after a slash. A text without these excludes every variable that has it
                in its name, as in Keras: `["bias", "gamma"]`.

        The first step in which a pattern matches no variable warns, with the names that there are.

        Raises:
            TypeError: something that is no variable, or a text in place of a list of texts.

        >>> import headgate as hg
        >>> from headgate import optim
        >>> w, b = hg.Variable(1.0, name="kernel"), hg.Variable(1.0, name="bias")
        >>> optimizer = optim.SGD(0.1, weight_decay=1.0)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        >>> optimizer.apply([0.0, 0.0], [w, b])
        >>> float(w), float(b)
        (0.9, 1.0)
        """
        if isinstance(var_names, str):
            raise TypeError(
                f"exclude_from_weight_decay: var_names is a list of texts; give [{var_names!r}]"
            )
        variables, patterns = list(var_list or ()), list(var_names or ())
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise TypeError(
                    "exclude_from_weight_decay: var_names is a list of texts, not of "
                    f"{type(pattern).__name__}; variables go into var_list"
                )
        for each in variables:
            if type(each) is not Variable:
                raise TypeError(
                    "exclude_from_weight_decay: var_list is a list of variables, not of "
                    f"{type(each).__name__}; names go into var_names"
                )
        self._undecayed_names = patterns
        self._unmatched = bool(patterns)
        self._undecayed = {variable._source for variable in variables}

    @property
    def variables(self) -> list[Variable]:
        """The number of steps done, and the state kept for each variable that had a step."""
        return [self.iterations, *(v for state in self._state.values() for v in state.values())]

    # -- copies -----------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        others = [source for source in self._undecayed if source not in self._names]
        return vars(self) | {"_copied": [*self._names, *others]}

    def _claim(self, variables: list[Variable]) -> None:
        """Let variables be those, by their names, of which a copy has the state.

        Variables that were copied together with the optimizer have their sources, and need no name.
        """
        left = [source for source in self._copied if not source.held]
        moved: dict[Source, Source] = {}
        for variable in variables:
            mine = variable._source
            if mine in self._state or mine in moved.values():
                continue
            for old in left:
                if old not in moved and variable.name in (old.name, self._names.get(old)):
                    moved[old] = mine
                    break
        vars(self).update(
            _copied=[source for source in left if source not in moved],
            _names={moved.get(s, s): key for s, key in self._names.items()},
            _state={moved.get(s, s): cells for s, cells in self._state.items()},
            _undecayed={moved.get(s, s) for s in self._undecayed},
        )

    # -- what is saved ----------------------------------------------------------------------------

    @classmethod
    def rule_name(cls) -> str:
        """Return what the rule is called in a saved state: after the class that has written it.

        >>> from headgate import optim
        >>> optim.AdamW.rule_name()
        'Adam'
        """
        return next(kind.__name__ for kind in cls.__mro__ if "rule" in vars(kind))

    def get_state(self) -> dict[str, Any]:
        """Return the rule, the number of steps done, and each variable's state by its name.

        Hyper-parameters are not in it: they stand in the program. Where two variables have the same
        name, the one met second is "name#2".

        >>> import headgate as hg
        >>> from headgate import optim
        >>> optimizer = optim.SGD(0.1, momentum=0.9)
        >>> optimizer.apply([2.0], [hg.Variable(1.0, name="w")])
        >>> optimizer.get_state()
        {'rule': 'SGD', 'version': 1, 'iterations': array(1), 'w/momentum': array(-0.2)}
        """
        state: dict[str, Any] = {"rule": self.rule_name(), "version": self.rule_version}
        state["iterations"] = saved(self.iterations)
        for source, key in self._names.items():
            for name in self.state_names:
                if name in self._state[source]:
                    state[f"{key}/{name}"] = saved(self._state[source][name])
        for key, arrays in self._kept.items():
            for name, array in arrays.items():
                state[f"{key}/{name}"] = np.array(array)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what `get_state` returned.

        State of variables that this optimizer has not met yet is kept until their first step. A
        variable of which the state knows nothing begins anew, as it did in the run that saved.

        Raises:
            ValueError: the state is of another rule, a key is unknown or missing, or a shape or
                dtype is not the variable's; nothing is changed then. If kept state has other names
                than the variables that are met, their first step raises it.
        """
        kind = type(self).__name__
        done, kept = self._read_state(state)
        met = {key: self._state[source] for source, key in self._names.items()}
        for key in met.keys() & kept.keys():
            for name in met[key].keys() & kept[key].keys():
                require_fit(kind, f"{key}/{name}", kept[key][name], met[key][name])
        self._refuse_other_names(kept, set(met), set(met))
        values = [(self.iterations, own(done, self.iterations._value))]
        for key, cells in met.items():
            arrays = kept.get(key, {})
            for name, cell in cells.items():
                old = cell._value
                found = own(arrays.pop(name), old) if name in arrays else self._beginning(name, old)
                values.append((cell, found))
        left = {key: arrays for key, arrays in kept.items() if arrays}
        put(values, [(vars(self).update, {"_kept": left})])

    def _read_state(self, state: Any) -> tuple[Any, dict[str, dict[str, Any]]]:
        """Return the number of steps, and the arrays by variable and name."""
        kind = type(self).__name__
        require_state(kind, state)
        done = np.asarray(state.get("iterations"))
        if done.shape != () or done.dtype.kind not in "iu" or done < 0:
            raise ValueError(
                f"{kind}: 'iterations' of the state must be the number of steps done, got "
                f"{state.get('iterations')!r}"
            )
        self._refuse_other_rule(state)
        kept: dict[str, dict[str, Any]] = {}
        for key, value in state.items():
            if key not in ("iterations", "rule", "version"):
                variable, _, name = key.rpartition("/")
                if not variable or name not in self.state_names:
                    raise ValueError(
                        f"{kind}: {key!r} of the state is unknown; expected 'iterations' and, for "
                        f"each variable, its name with {_listed(self.state_names)}. Is it of an "
                        "optimizer with other settings?"
                    )
                kept.setdefault(variable, {})[name] = np.array(value)
        for variable, arrays in kept.items():
            for name in self.state_names:
                if name not in arrays:
                    raise ValueError(f"{kind}: {f'{variable}/{name}'!r} of the state is missing")
        return done.astype(np.int64), kept

    def _refuse_other_rule(self, state: dict[str, Any]) -> None:
        """Refuse what another rule has kept, though it may have the same names and shapes.

        A state made by hand need not say which rule it is for.
        """
        mine = self.rule_name(), self.rule_version
        given = state.get("rule", mine[0]), state.get("version", mine[1])
        if given != mine:
            of, version = given
            raise ValueError(
                f"{type(self).__name__}: the state is of the rule {of!r}, version {version}, and "
                f"this optimizer has {mine[0]!r}, version {mine[1]}; what they keep does not mean "
                f"the same. Make the optimizer that saved it, or begin with a new state: leave "
                "the optimizer out of what is loaded"
            )

    def _refuse_other_names(
        self, kept: dict[str, dict[str, Any]], met: set[str], asking: set[str]
    ) -> None:
        """Refuse state of which some fits no variable that was met, if others ask for state."""
        unknown, left = sorted(asking - kept.keys()), sorted(kept.keys() - met)
        if unknown and left and self.state_names:
            raise ValueError(
                f"{type(self).__name__}: the state has nothing for the variables {unknown}, but "
                f"for {left}, which were not met. The names must be those of the run that saved: "
                "give layers and variables names, or call nn.reset_names() before they are made"
            )

    # -- checks -----------------------------------------------------------------------------------

    def _checked(self, pairs: list[Any]) -> tuple[list[Array], list[Variable]]:
        """Return raw gradients and their variables; refuse what does not fit together."""
        gradients, variables, missing = [], [], []
        for pair in pairs:
            if (
                not isinstance(pair, tuple | list)
                or len(pair) != 2
                or type(pair[1]) is not Variable
            ):
                raise TypeError(
                    f"apply_gradients takes pairs of a gradient and a variable, as from "
                    f"zip(gradients, variables), not {_told(pair)}"
                )
            gradient, variable = pair
            if gradient is None:
                missing.append(variable)
            else:
                gradients.append(_raw_gradient(gradient, variable))
                variables.append(variable)
        names = [variable.name for variable in missing]
        if not variables:
            raise ValueError(
                f"No gradients provided for any variable. The gradients of {_names(missing)} are "
                "all None"
                f"{_reasons(missing)}"
                if missing
                else "No gradients provided for any variable: the list is empty"
            )
        if missing and tuple(names) not in self._warned:
            warnings.warn(
                f"Gradients do not exist for variables {_names(missing)} when minimizing the loss. "
                f"They are left alone{_reasons(missing)}",
                stacklevel=depth() + 1,
            )
            self._warned.add(tuple(names))
        return gradients, variables

    # -- how a rule is run ------------------------------------------------------------------------

    def _take_step(self, pairs: list[Any]) -> None:
        gradients, variables = self._checked(pairs)
        done = self.iterations._value
        at = int(done) if owner[type(done)] is NUMPY else done
        rate = self._rate if self._learning_rate is None else self._learning_rate
        if callable(rate):
            # As a tensor, so that a user's own function is told what it cannot do while traced.
            rate = rate(at if type(at) is int else constant(at))
        rate = _number(type(self).__name__, rate)
        if self._unmatched:
            self._warn_of_patterns(variables)
        cells = self._cells(variables)
        for onlooker in onlookers:
            onlooker.applied(self, pairs, rate)
        step = _Step()
        twice = len({variable._source for variable in variables}) < len(variables)
        for gradient, row in zip(self._clipped(gradients), cells):
            if twice:  # one comes on top of the other
                step.take()
                step = _Step()
            self._run_rule(rate, at + 1, gradient, row, step)
        step.values.append((self.iterations, done + 1))
        step.take()
        for variable in variables:
            variable._source.written += 1

    def _cells(self, variables: list[Variable]) -> list[list[Variable]]:
        """Return each variable with its state, which is made if it is not there yet."""
        names, state = self.state_names, self._state
        try:
            return [
                [variable, *map(state[variable._source].__getitem__, names)]
                for variable in variables
            ]
        except KeyError:
            with suspended():  # state is made once, also while a function is traced
                self._make_state(variables)
            return self._cells(variables)

    def _make_state(self, variables: list[Variable]) -> None:
        """Make what is missing: from the state that was kept, which must fit, or anew."""
        if self._copied:
            self._claim(variables)
        keys = dict(self._names)
        taken = set(keys.values())
        for variable in variables:
            if variable._source not in keys:
                keys[variable._source] = distinct(variable.name, taken)
                taken.add(keys[variable._source])
        named = {keys[variable._source]: variable for variable in variables}
        for key in named.keys() & self._kept.keys():
            for name, array in self._kept[key].items():
                require_fit(type(self).__name__, f"{key}/{name}", array, named[key])
        if self._kept:
            self._refuse_other_names(self._kept, taken, taken - set(self._names.values()))
        state, kept = dict(self._state), dict(self._kept)
        for key, variable in named.items():
            cells = state[variable._source] = dict(state.get(variable._source, {}))
            arrays = kept.pop(key, {})
            for name in self.state_names:
                if name not in cells:
                    value = variable._value
                    start = (
                        own(arrays[name], value) if name in arrays else self._beginning(name, value)
                    )
                    cells[name] = Variable(start, False, f"{self.name}/{variable.name}/{name}")
        # All three in one go, in C: an interrupt comes before that or after it.
        vars(self).update(_names=keys, _state=state, _kept=kept)

    def _beginning(self, name: str, value: Array) -> Array:
        made = owner[type(value)].full_like(value, self.initial(name))
        # While a function is traced, another library's array would be a part of the program.
        return np.full(value.shape, self.initial(name), value.dtype) if is_traced(made) else made

    def _clipped(self, gradients: list[Array]) -> list[Array]:
        if self.clipnorm is not None:
            return [scaled_to_norm(owner[type(g)], g, self.clipnorm) for g in gradients]
        if self.clipvalue is not None:
            limit = self.clipvalue
            kind = f"{type(self).__name__}(clipvalue={limit!r})"
            return [clipped(owner[type(g)], kind, g, -limit, limit) for g in gradients]
        if self.global_clipnorm is not None:
            xp = owner[common(*map(type, gradients))]
            length = length_of_all(xp, gradients)
            return scaled_to_global_norm(xp, gradients, self.global_clipnorm, length)
        return gradients

    def _decays(self, variable: Variable) -> bool:
        if not self.weight_decay or variable._source in self._undecayed:
            return False
        names = self._undecayed_names
        return not names or not any(_matches(variable.name, pattern) for pattern in names)

    def _warn_of_patterns(self, variables: list[Variable]) -> None:
        """Warn of patterns of names that match none of the variables of a step."""
        self._unmatched = False
        names = [variable.name for variable in variables]
        idle = [
            pattern
            for pattern in self._undecayed_names
            if not any(_matches(name, pattern) for name in names)
        ]
        if idle:
            warnings.warn(
                f"exclude_from_weight_decay: no variable of this step matches "
                f"{' or '.join(map(repr, idle))}; their names are {', '.join(names[:20])}"
                + (f" and {len(names) - 20} more" if len(names) > 20 else ""),
                stacklevel=4,
            )

    def _decayed(
        self, part: Any, xp: Any, rate: Any, step: Any, g: Array, x: Array, *state: Array
    ) -> tuple[Array, ...]:
        """Run the rule on a value from which a part was taken away."""
        return self.rule(xp, rate, step, g, x - part * x, *state)

    def _run_rule(
        self, rate: Any, step: Any, g: Array, cells: list[Variable], writes: _Step
    ) -> None:
        """Compute what one variable and its state become, and put that down to be written."""
        xp = owner[common(type(g), *[type(cell._value) for cell in cells])]
        dtype = g.dtype
        wide = computed(dtype)
        rule = self.rule
        spares = self.spares_zeros
        if self._decays(cells[0]):
            part = rate * self.weight_decay
            part = part if type(part) is float else scalar(xp, part, wide)
            rule, spares = functools.partial(self._decayed, part), False
        if type(rate) is not float:
            rate = scalar(xp, rate, wide)
        if self.lazy and g.shape:
            found = _touched(g)
            if found is None:
                rule = functools.partial(_sparing, rule)
            elif found[0].size < g.shape[0]:
                _run_on_rows(writes, xp, rule, rate, step, *found, cells, wide)
                return
        elif spares and (found := settled(g)) is not None:
            _run_on_rows(writes, xp, rule, rate, step, *found, cells, wide)
            return
        if xp is NUMPY and g.nbytes > _PART:
            writes.parts.append(_Parts(writes, rule, rate, step, g, cells, wide))
            return
        values = [g, *[cell._value for cell in cells]]
        if wide is not dtype:
            values = [xp.astype(array, wide) for array in values]
        results = rule(xp, rate, step, *values)
        for cell, result in zip(cells, results, strict=True):
            found = getattr(result, "dtype", None)
            if found is not dtype and found != dtype:
                result = xp.astype(xp.asarray(result), dtype)
            writes.values.append((cell, result))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, learning_rate={self.learning_rate}>"


class Rate(float):
    """A learning rate as it is now, which can be assigned to as Keras' can.

    >>> from headgate import optim
    >>> optimizer = optim.SGD(0.1)
    >>> optimizer.learning_rate.assign(0.5)
    0.5
    >>> optimizer.learning_rate *= 0.5
    >>> optimizer.learning_rate
    0.25
    """

    _optimizer: Optimizer

    def __new__(cls, optimizer: Optimizer) -> Rate:
        """Read the rate of an optimizer."""
        assert optimizer._rate is not None
        made = super().__new__(cls, optimizer._rate._value)
        made._optimizer = optimizer
        return made

    def assign(self, value: Any) -> Rate:
        """Set the optimizer's rate."""
        self._optimizer.learning_rate = value
        return Rate(self._optimizer)

    def numpy(self) -> Any:
        """Return the rate as a NumPy scalar."""
        return np.float64(self)

    def __reduce__(self) -> Any:
        """Copy the number alone."""
        return float, (float(self),)


def _matches(name: str, pattern: str) -> bool:
    """Tell whether a pattern of `exclude_from_weight_decay` matches a name."""
    if not any(sign in pattern for sign in "*?["):
        return pattern in name
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"*/{pattern}")


class _Step:
    """What a step writes: new `values` of cells, what belongs to them `also`, and large arrays.

    `values` and `also` are put in place at once. Large arrays are written over before, in `parts`;
    once that has begun, it is brought to its end, whatever comes in between.
    """

    __slots__ = ("also", "parts", "values")

    def __init__(self) -> None:
        self.values: list[tuple[Variable, Array]] = []
        self.also: list[tuple[Any, ...]] = []
        self.parts: list[_Parts] = []

    def take(self) -> None:
        if not self.parts:
            publish(self.values, self.also)
            return
        try:
            self._finish()
        except BaseException:
            if any(part.begun for part in self.parts):
                self._finish()
            raise

    def _finish(self) -> None:
        for part in self.parts:
            part.run()
        publish(self.values, self.also)


class _Parts:
    """A rule that is run over a large array part by part, and writes over what it has read.

    `results` are those of the part that begins at `start`. While they are here they can be written
    again, and once they are gone the next part can be computed: so it can go on from anywhere.
    """

    __slots__ = (
        "arguments",
        "begun",
        "flat",
        "length",
        "results",
        "rule",
        "start",
        "targets",
        "wide",
    )

    def __init__(
        self,
        writes: _Step,
        rule: Callable[..., tuple[Array, ...]],
        rate: Any,
        step: Any,
        g: Array,
        cells: list[Variable],
        wide: Any,
    ) -> None:
        new = [
            cell._value if _is_private(cell) else np.empty(cell.shape, cell.dtype) for cell in cells
        ]
        self.flat = [g.reshape(-1), *(cell._value.reshape(-1) for cell in cells)]
        self.targets = [array.reshape(-1) for array in new]
        self.length = _PART // g.itemsize
        self.rule = rule
        self.arguments = (NUMPY, rate, step)
        self.wide = wide
        self.start = 0
        self.begun = False
        # A rule that fails does so now, before anything is written.
        self.results: tuple[Array, ...] | None = self.computed()
        writes.values.extend(zip(cells, new, strict=True))

    def computed(self) -> tuple[Array, ...]:
        part = slice(self.start, self.start + self.length)
        arrays = (array[part].astype(self.wide, copy=False) for array in self.flat)
        return self.rule(*self.arguments, *arrays)

    def run(self) -> None:
        size = self.flat[0].size
        while self.start < size:
            results = self.results
            if results is None:
                results = self.results = self.computed()
            part = slice(self.start, self.start + self.length)
            self.begun = True
            for target, result in zip(self.targets, results, strict=True):
                target[part] = result
            self.start, self.results = self.start + self.length, None


def _touched(g: Array) -> tuple[Array, Array] | None:
    """Return the rows of a gradient that are not zero, and what is in them, as `settled` does.

    None if that is not to be known before a program runs.
    """
    found = settled(g)
    if owner[type(g)] is NUMPY:
        rows, values = found or (np.arange(len(g)), g)
        some = _some(NUMPY, values).reshape(-1)
        return (rows, values) if some.all() else (rows[some], values[some])
    if found is None:
        return None
    rows, values = found
    xp, count = owner[type(g)], g.shape[0]
    return xp.where(_some(xp, values).reshape(-1), rows, count), values


def _some(xp: Any, g: Array) -> Array:
    """Tell for each row whether it has an element that is not zero; in the shape of a column."""
    return xp.any(g != 0, axis=tuple(range(1, g.ndim)), keepdims=True)


def _sparing(
    rule: Callable[..., tuple[Array, ...]],
    xp: Any,
    rate: Any,
    step: Any,
    g: Array,
    x: Array,
    *state: Array,
) -> tuple[Array, ...]:
    """Run a rule, and undo it in the rows that have no gradient."""
    some, results = _some(xp, g), rule(xp, rate, step, g, x, *state)
    return tuple(xp.where(some, new, old) for new, old in zip(results, (x, *state), strict=True))


def _run_on_rows(
    writes: _Step,
    xp: Any,
    rule: Callable[..., tuple[Array, ...]],
    rate: Any,
    step: Any,
    rows: Array,
    g: Array,
    cells: list[Variable],
    wide: Any,
) -> None:
    """Run a rule on rows, each named once, and their gradients; the others stay as they are."""
    if xp is NUMPY:
        new = [cell._value if _is_private(cell) else np.array(cell._value) for cell in cells]
        length = max(1, _PART * len(rows) // max(1, g.nbytes))
        for start in range(0, len(rows), length):
            part = rows[start : start + length]
            values = [g[start : start + length], *(array[part] for array in new)]
            results = rule(xp, rate, step, *(array.astype(wide, copy=False) for array in values))
            for array, result in zip(new, results, strict=True):
                writes.also.append((setitem, array, part, result))
        writes.values.extend(zip(cells, new, strict=True))
        return
    dtype, old = g.dtype, [xp.asarray(cell._value) for cell in cells]
    values = [xp.asarray(g), *(array.at[rows].get(mode="clip") for array in old)]
    results = rule(xp, rate, step, *(xp.astype(array, wide) for array in values))
    for cell, array, result in zip(cells, old, results, strict=True):
        result = xp.astype(xp.asarray(result), dtype)
        writes.values.append((cell, array.at[rows].set(result, mode="drop")))


def _reasons(variables: list[Variable]) -> str:
    """Say why the gradients of variables are missing, as far as the tape that was asked told.

    What a warning has shown already is not said again.
    """
    known = [variable._source.missing for variable in variables if variable._source.missing]
    if not known:
        return "; tape.why(loss, variables) says where each gradient ends"
    places = {str(site or "") for _, site in known}
    if "" not in places:
        return f"; the warning at {', '.join(sorted(places)[:SHOWN])} says why"
    return ":\n" + in_short(verdict for verdict, _ in known)


def _names(variables: list[Variable]) -> str:
    names = names_of(variables)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{names[:SHOWN]}{more}"


def _told(pair: Any) -> str:
    if isinstance(pair, tuple | list):
        return f"({', '.join(type(item).__name__ for item in pair)})"
    return type(pair).__name__


def _listed(names: Sequence[str]) -> str:
    return " and ".join(repr(f"/{name}") for name in names) or "nothing else"


def _raw_gradient(gradient: Any, variable: Variable) -> Array:
    """Return a gradient as a raw array of its variable's dtype."""
    value, node = (gradient.value, gradient.node) if type(gradient) is Tensor else lift(gradient)
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
    x = variable._value
    if value.shape != x.shape:
        raise ValueError(
            f"the gradient of variable {variable.name!r} has the shape {value.shape} and the "
            f"variable {x.shape}; is it the gradient of another variable?"
        )
    past = note_escape(node, "stateful_write", f"apply_gradients({variable.name})", x.shape)
    variable._source.past = past or variable._source.past
    return value if value.dtype == x.dtype else value.astype(x.dtype)


def _number(whose: str, rate: Any) -> Any:
    """Return a number as Python's own, which leaves an array's dtype alone (a tracer stays)."""
    if type(rate) is Tensor:
        value = rate.value
    elif type(rate) is Variable:
        value = rate._value
    else:
        value = rate
    try:
        if owner[type(value)] is not NUMPY and is_traced(value):
            return value
        found = float(value)
    except TypeError as error:
        raise TypeError(
            f"{whose}: learning_rate must be a number or a function of the number of steps done, "
            f"got {rate!r}"
        ) from error
    return number(whose, "learning_rate", found, "[0, inf)")


def _references(cell: Variable) -> int:
    return sys.getrefcount(cell._value)


_ALONE = _references(Variable(0.0))


def _is_private(cell: Variable) -> bool:
    """Tell whether nobody but a variable holds its array, so that it may be written over."""
    return _references(cell) == _ALONE and cell._value.base is None and cell._value.flags.carray
