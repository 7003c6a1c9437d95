"""Optimizers: rules that make new values of variables from their gradients.

A **rule** is a pure function of raw arrays that reads like its paper: from the gradient `g`, the
value `x` and the optimizer's own state it returns the next value and the next state. All else is in
`Optimizer`, once: what is refused, where the state lives (in variables that are not trainable, made
when a variable is met for the first time), and how a rule is run.

A step is no op: it works on raw arrays, so that no tape sees it, and puts other arrays into the
variables. On NumPy a large array goes through the rule part by part, so that what the rule computes
in between stays in the processor's cache, and the results are written over the old arrays, but only
over those that nobody else holds: a graph that still needs a value before the step keeps it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from headgate.graph import Source, observers
from headgate.namespace import NUMPY, Array, common, owner
from headgate.nn.settings import unique_name
from headgate.op import lift
from headgate.tape import GradientTape
from headgate.tensor import Tensor, note_escape
from headgate.variable import Variable

_PART = 1 << 17
"""So many bytes of an array go through a rule at once (measured)."""


class Optimizer:
    """Base of all optimizers; a subclass has a `rule` and says what state it keeps.

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        name: "adam", "adam_1" and so on after the class if not given.

    All hyper-parameters are plain attributes and may be changed between steps.

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

    state_names: Sequence[str] = ()
    """What the optimizer keeps for each variable, in the order of the rule's last arguments."""

    def __init__(
        self, learning_rate: float | Callable[[Any], Any] = 0.01, name: str | None = None
    ) -> None:
        self.learning_rate = learning_rate
        self.name = unique_name(type(self).__name__) if name is None else name
        self.iterations = Variable(np.int64(0), trainable=False, name=f"{self.name}/iteration")
        self._state: dict[Source, dict[str, Variable]] = {}
        self._warned: set[tuple[str, ...]] = set()

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
            state: what `state_names` says, zeros at first; all of the shape of x.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define rule(xp, rate, step, g, x, ...)"
        )

    # -- use --------------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> None:
        """Take one step.

        Args:
            grads_and_vars: pairs of a gradient and its variable, as from `zip(gradients,
                variables)`. A variable whose gradient is None is left alone, with a warning.

        Raises:
            ValueError: no gradient at all, or one of another shape than its variable. Nothing is
                changed then.
            TypeError: something that is not a pair of a gradient and a variable.
        """
        pairs = self._checked(list(grads_and_vars))
        for observer in observers:
            observer.applied([variable for _, variable in pairs])
        done = self.iterations._value
        at = int(done) if owner[type(done)] is NUMPY else done
        rate = self.learning_rate(at) if callable(self.learning_rate) else self.learning_rate
        rate = _number(rate)
        for gradient, variable in pairs:
            self._step(rate, at + 1, gradient, variable)
            variable._source.written += 1
        self.iterations._value = done + 1

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
        self.apply_gradients(zip(gradients, var_list, strict=True))

    def build(self, var_list: Iterable[Variable]) -> None:
        """Make the state for variables now; otherwise it is made by their first step."""
        for variable in var_list:
            self._state_of(variable)

    @property
    def variables(self) -> list[Variable]:
        """The number of steps done, and the state kept for each variable that had a step."""
        return [self.iterations, *(v for state in self._state.values() for v in state.values())]

    # -- checks -----------------------------------------------------------------------------------

    def _checked(self, pairs: list[Any]) -> list[tuple[Array, Variable]]:
        """Return raw gradients with their variables; refuse what does not fit together."""
        found, missing = [], []
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
                found.append((_raw_gradient(gradient, variable), variable))
        names = [variable.name for variable in missing]
        if not found:
            raise ValueError(
                f"No gradients provided for any variable. The gradients of {names} are all None"
                f"{_reasons(missing)}"
                if missing
                else "No gradients provided for any variable: the list is empty"
            )
        if missing and tuple(names) not in self._warned:
            self._warned.add(tuple(names))
            warnings.warn(
                f"Gradients do not exist for variables {names} when minimizing the loss. They "
                f"are left alone{_reasons(missing)}",
                stacklevel=3,
            )
        return found

    # -- how a rule is run ------------------------------------------------------------------------

    def _state_of(self, variable: Variable) -> list[Variable]:
        state = self._state.setdefault(variable._source, {})
        for name in self.state_names:
            if name not in state:
                value = variable._value
                zeros = owner[type(value)].zeros_like(value)
                state[name] = Variable(zeros, False, f"{self.name}/{variable.name}/{name}")
        return [state[name] for name in self.state_names]

    def _step(self, rate: Any, step: Any, g: Array, variable: Variable) -> None:
        cells = [variable, *self._state_of(variable)]
        kind = common(type(g), *(type(cell._value) for cell in cells))
        xp = owner[kind]
        if xp is NUMPY and g.nbytes > _PART:
            self._step_by_parts(rate, step, g, cells)
            return
        results = self.rule(xp, rate, step, g, *(cell._value for cell in cells))
        for cell, result in zip(cells, results, strict=True):
            cell._value = result

    def _step_by_parts(self, rate: Any, step: Any, g: Array, cells: list[Variable]) -> None:
        new = [
            cell._value if _is_private(cell) else np.empty(cell.shape, cell.dtype) for cell in cells
        ]
        flat = [g.reshape(-1), *(cell._value.reshape(-1) for cell in cells)]
        targets = [array.reshape(-1) for array in new]
        length = _PART // g.itemsize
        for start in range(0, g.size, length):
            part = slice(start, start + length)
            results = self.rule(NUMPY, rate, step, *(array[part] for array in flat))
            for target, result in zip(targets, results, strict=True):
                target[part] = result
        for cell, array in zip(cells, new, strict=True):
            cell._value = array

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, learning_rate={self.learning_rate}>"


def _reasons(variables: list[Variable]) -> str:
    """Say why the gradients of variables are missing, as far as the tape that was asked told."""
    known = [variable._source.missing for variable in variables if variable._source.missing]
    if not known:
        return "; tape.why(loss, variables) says where each gradient ends"
    return "\n".join([":", *known])


def _told(pair: Any) -> str:
    if isinstance(pair, tuple | list):
        return f"({', '.join(type(item).__name__ for item in pair)})"
    return type(pair).__name__


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


def _number(value: Any) -> Any:
    """Return a number as Python's own, which leaves an array's dtype alone (a tracer stays)."""
    if type(value) is Tensor:
        value = value.value
    elif type(value) is Variable:
        value = value._value
    return float(value) if owner[type(value)] is NUMPY else value


def _references(cell: Variable) -> int:
    return sys.getrefcount(cell._value)


_ALONE = _references(Variable(0.0))


def _is_private(cell: Variable) -> bool:
    """Tell whether nobody but a variable holds its array, so that it may be written over."""
    return _references(cell) == _ALONE and cell._value.base is None and cell._value.flags.carray


# -- the rules -------------------------------------------------------------------------------------


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for.

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        momentum: how much of the last change is made again.
        nesterov: whether to look ahead (Sutskever et al. 2013).
        name: of the optimizer and its variables.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> v = hg.Variable(1.0)
    >>> with hg.GradientTape() as tape:
    ...     loss = v * v
    >>> optim.SGD(0.1).apply_gradients([(tape.gradient(loss, v), v)])
    >>> v.numpy()
    np.float64(0.8)
    """

    def __init__(
        self,
        learning_rate: float | Callable[[Any], Any] = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        if not 0 <= momentum <= 1:
            raise ValueError(f"SGD: momentum must be from 0 to 1, got {momentum}")
        self.momentum = momentum
        self.nesterov = nesterov

    @property
    def state_names(self) -> tuple[str, ...]:
        """The velocity, if there is momentum."""
        return ("momentum",) if self.momentum else ()

    def rule(self, xp: Any, rate: Any, step: Any, g: Array, x: Array, *state: Array) -> Any:
        """Move against the gradient."""
        if not state:
            return (x - rate * g,)
        m = self.momentum * state[0] - rate * g
        if self.nesterov:
            return x + (self.momentum * m - rate * g), m
        return x + m, m


class RMSprop(Optimizer):
    """Gradient descent, each element's step divided by the size its gradients lately had.

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        rho: how slowly the mean of squared gradients forgets.
        momentum: how much of the last change is made again.
        epsilon: added to the mean, under the root.
        centered: whether to divide by the deviation of the gradients rather than by their size.
        name: of the optimizer and its variables.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> v = hg.Variable(1.0)
    >>> optim.RMSprop(0.1).apply_gradients([(hg.asarray(5.0), v)])
    >>> print(f"{v.numpy():.4f}")
    0.6838
    """

    def __init__(
        self,
        learning_rate: float | Callable[[Any], Any] = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    @property
    def state_names(self) -> tuple[str, ...]:
        """The mean of squared gradients, their mean if centered, and the velocity with momentum."""
        return (
            "velocity",
            *(("average_gradient",) if self.centered else ()),
            *(("momentum",) if self.momentum else ()),
        )

    def rule(self, xp: Any, rate: Any, step: Any, g: Array, x: Array, *state: Array) -> Any:
        """Divide by the root of the mean square."""
        v, *others = state
        new = [self.rho * v + (1 - self.rho) * (g * g)]
        spread = new[0]
        if self.centered:
            new.append(self.rho * others[0] + (1 - self.rho) * g)
            spread = spread - new[1] * new[1]
        change = rate * g / xp.sqrt(spread + self.epsilon)
        if self.momentum:
            change = self.momentum * others[-1] + change
            new.append(change)
        return x - change, *new


class Adam(Optimizer):
    """Adaptive moments (Kingma & Ba 2015, arXiv:1412.6980).

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        beta_1: how slowly the mean of gradients forgets.
        beta_2: how slowly the mean of squared gradients forgets.
        epsilon: the paper's "epsilon hat", added after the root and outside of the bias correction.
        name: of the optimizer and its variables.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> v = hg.Variable(1.0)
    >>> optim.Adam(0.1).apply_gradients([(hg.asarray(5.0), v)])
    >>> print(f"{v.numpy():.4f}")
    0.9000
    """

    state_names = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: float | Callable[[Any], Any] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def rule(self, xp: Any, rate: Any, step: Any, g: Array, x: Array, *state: Array) -> Any:
        """Divide the mean gradient by the root of the mean square."""
        m, v = state
        m = m + (1 - self.beta_1) * (g - m)
        v = v + (1 - self.beta_2) * (g * g - v)
        alpha = rate * (1 - self.beta_2**step) ** 0.5 / (1 - self.beta_1**step)
        return x - alpha * m / (xp.sqrt(v) + self.epsilon), m, v
