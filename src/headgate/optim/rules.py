"""The optimizers' rules, each as its paper has it.

Where papers and libraries differ, Keras' definition is taken: an `epsilon` is added to the root of
the mean square in Adam (after its bias was moved into the rate), and under the root in RMSprop and
Adagrad; a momentum collects steps that the learning rate has scaled already.

Of a complex gradient the square is that of its size, as in Optax and TensorFlow: each number's step
goes along its gradient in the plane. (PyTorch divides the two parts by sizes of their own.) What
the mean squares are divided into is real; the state that keeps them has its variable's dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from headgate.core.checks import flag, number
from headgate.core.namespace import Array
from headgate.optim.clip import scalar
from headgate.optim.optimizer import Common, NameAndClipping, Optimizer


def _square(xp: Any, g: Array) -> Array:
    """Return the square of each element's size."""
    return xp.real(g * xp.conj(g)) if g.dtype.kind == "c" else g * g


def _real(xp: Any, mean: Array) -> Array:
    """Return a mean square that may be kept as a complex number."""
    return xp.real(mean) if mean.dtype.kind == "c" else mean


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for.

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        momentum: how much of the last change is made again, from 0 to 1.
        nesterov: whether to look ahead (Sutskever et al. 2013).
        common: name, weight decay, clipping and laziness, as for `Optimizer`.

    Raises:
        ValueError: an argument is out of range.

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
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.momentum = number(type(self).__name__, "momentum", momentum, "[0, 1]")
        self.nesterov = flag(type(self).__name__, "nesterov", nesterov)

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]  # follows the settings
        """The velocity, if there is momentum."""
        return ("momentum",) if self.momentum else ()

    @property
    def spares_zeros(self) -> bool:  # type: ignore[override]  # follows the settings
        """Without momentum, what has no gradient stays where it is."""
        return not self.momentum

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

    From Hinton's lecture 6e of 2012; centered as by Graves 2013 (arXiv:1308.0850).

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        rho: how slowly the mean of squared gradients forgets, at least 0 and below 1.
        momentum: how much of the last change is made again, from 0 to 1.
        epsilon: added to the mean, under the root.
        centered: whether to divide by the deviation of the gradients rather than by their size.
        common: name, weight decay, clipping and laziness, as for `Optimizer`.

    Raises:
        ValueError: an argument is out of range.

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
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = number(type(self).__name__, "rho", rho, "[0, 1)")
        self.momentum = number(type(self).__name__, "momentum", momentum, "[0, 1]")
        self.epsilon = number(type(self).__name__, "epsilon", epsilon, "[0, inf)")
        self.centered = flag(type(self).__name__, "centered", centered)

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]  # follows the settings
        """The mean of squared gradients, their mean if centered, and the velocity with momentum."""
        return (
            "velocity",
            *(("average_gradient",) if self.centered else ()),
            *(("momentum",) if self.momentum else ()),
        )

    def rule(self, xp: Any, rate: Any, step: Any, g: Array, x: Array, *state: Array) -> Any:
        """Divide by the root of the mean square."""
        v, *others = state
        new = [self.rho * _real(xp, v) + (1 - self.rho) * _square(xp, g)]
        spread = new[0]
        if self.centered:
            new.append(self.rho * others[0] + (1 - self.rho) * g)
            spread = spread - _square(xp, new[1])
        change = rate * g / xp.sqrt(spread + self.epsilon)
        if self.momentum:
            change = self.momentum * others[-1] + change
            new.append(change)
        return x - change, *new


class Adagrad(Optimizer):
    """Gradient descent, each element's step divided by the size of all its gradients so far.

    From Duchi, Hazan & Singer 2011, "Adaptive subgradient methods".

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        initial_accumulator_value: what the sum of squared gradients starts with.
        epsilon: added to the sum, under the root.
        common: name, weight decay, clipping and laziness, as for `Optimizer`.

    Raises:
        ValueError: an argument is out of range.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> v = hg.Variable(1.0)
    >>> optim.Adagrad(0.1).apply_gradients([(hg.asarray(5.0), v)])
    >>> print(f"{v.numpy():.4f}")
    0.9002
    """

    state_names = ("accumulator",)

    def __init__(
        self,
        learning_rate: float | Callable[[Any], Any] = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = number(
            type(self).__name__, "initial_accumulator_value", initial_accumulator_value, "[0, inf)"
        )
        self.epsilon = number(type(self).__name__, "epsilon", epsilon, "[0, inf)")

    def initial(self, name: str) -> float:
        """Return what the sum of squares starts with."""
        start: float = self.initial_accumulator_value
        return start

    @property
    def spares_zeros(self) -> bool:  # type: ignore[override]  # follows the settings
        """What has no gradient stays where it is, if it is not divided by zero."""
        return bool(self.epsilon > 0)

    def rule(self, xp: Any, rate: Any, step: Any, g: Array, x: Array, *state: Array) -> Any:
        """Divide by the root of the sum of squares."""
        total = _real(xp, state[0]) + _square(xp, g)
        return x - rate * g / xp.sqrt(total + self.epsilon), total


class Adam(Optimizer):
    """Adaptive moments (Kingma & Ba 2015, arXiv:1412.6980).

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        beta_1: how slowly the mean of gradients forgets, at least 0 and below 1.
        beta_2: how slowly the mean of squared gradients forgets, at least 0 and below 1.
        epsilon: the paper's "epsilon hat", added after the root and outside of the bias correction.
        amsgrad: whether to divide by the largest mean square so far (Reddi et al. 2018,
            arXiv:1904.09237).
        common: name, weight decay, clipping and laziness, as for `Optimizer`.

    Raises:
        ValueError: an argument is out of range.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> v = hg.Variable(1.0)
    >>> optim.Adam(0.1).apply_gradients([(hg.asarray(5.0), v)])
    >>> print(f"{v.numpy():.4f}")
    0.9000
    """

    def __init__(
        self,
        learning_rate: float | Callable[[Any], Any] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = number(type(self).__name__, "beta_1", beta_1, "[0, 1)")
        self.beta_2 = number(type(self).__name__, "beta_2", beta_2, "[0, 1)")
        self.epsilon = number(type(self).__name__, "epsilon", epsilon, "[0, inf)")
        self.amsgrad = flag(type(self).__name__, "amsgrad", amsgrad)

    @property
    def state_names(self) -> tuple[str, ...]:  # type: ignore[override]  # follows the settings
        """The mean of gradients, the mean square, and the largest of these for amsgrad."""
        names = ("momentum", "velocity")
        return (*names, "velocity_hat") if self.amsgrad else names

    def rule(self, xp: Any, rate: Any, step: Any, g: Array, x: Array, *state: Array) -> Any:
        """Divide the mean gradient by the root of the mean square."""
        m, v = state[0], _real(xp, state[1])
        m = m + (1 - self.beta_1) * (g - m)
        v = v + (1 - self.beta_2) * (_square(xp, g) - v)
        alpha = rate * (1 - self.beta_2**step) ** 0.5 / (1 - self.beta_1**step)
        alpha = alpha if type(alpha) is float else scalar(xp, alpha, g.dtype)
        if self.amsgrad:
            largest = xp.maximum(_real(xp, state[2]), v)
            return x - alpha * m / (xp.sqrt(largest) + self.epsilon), m, v, largest
        return x - alpha * m / (xp.sqrt(v) + self.epsilon), m, v


class AdamW(Adam):
    """Adam whose weights decay beside the gradient (Loshchilov & Hutter 2019, arXiv:1711.05101).

    Args:
        learning_rate: a number, or a function of the number of steps done so far.
        weight_decay: what part of a value is taken away each step, times the learning rate.
        beta_1: how slowly the mean of gradients forgets, at least 0 and below 1.
        beta_2: how slowly the mean of squared gradients forgets, at least 0 and below 1.
        epsilon: as for `Adam`.
        amsgrad: as for `Adam`.
        common: name, clipping and laziness, as for `Optimizer`.

    Raises:
        ValueError: an argument is out of range.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> v = hg.Variable(1.0)
    >>> optim.AdamW(0.1, weight_decay=0.5).apply_gradients([(hg.asarray(5.0), v)])
    >>> print(f"{v.numpy():.4f}")
    0.8500
    """

    def __init__(
        self,
        learning_rate: float | Callable[[Any], Any] = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Unpack[NameAndClipping],
    ) -> None:
        number("AdamW", "weight_decay", weight_decay, "[0, inf)")
        super().__init__(
            *(learning_rate, beta_1, beta_2, epsilon, amsgrad), weight_decay=weight_decay, **common
        )


class Lion(Optimizer):
    """Steps of one size, along the sign of a momentum (Chen et al. 2023, arXiv:2302.06675).

    Args:
        learning_rate: a number, or a function of the number of steps done so far; a third to a
            tenth of what Adam takes.
        beta_1: how much the momentum counts beside the gradient, at least 0 and below 1.
        beta_2: how slowly the momentum forgets, at least 0 and below 1.
        common: name, weight decay, clipping and laziness, as for `Optimizer`.

    Raises:
        ValueError: an argument is out of range.

    >>> import headgate as hg
    >>> from headgate import optim
    >>> v = hg.Variable(1.0)
    >>> optim.Lion(0.1).apply_gradients([(hg.asarray(5.0), v)])
    >>> print(f"{v.numpy():.4f}")
    0.9000
    """

    state_names = ("momentum",)

    def __init__(
        self,
        learning_rate: float | Callable[[Any], Any] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = number(type(self).__name__, "beta_1", beta_1, "[0, 1)")
        self.beta_2 = number(type(self).__name__, "beta_2", beta_2, "[0, 1)")

    def rule(self, xp: Any, rate: Any, step: Any, g: Array, x: Array, *state: Array) -> Any:
        """Move by the sign of the gradient and momentum together."""
        (m,) = state
        direction = xp.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        return x - rate * direction, self.beta_2 * m + (1 - self.beta_2) * g
