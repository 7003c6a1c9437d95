"""Learning rates that depend on the number of steps done: pure functions of it, with Keras' names.

A schedule is given to an optimizer in place of a number. It can also be called by itself, with a
number or with an array of many, to draw it. The formulas are written against a namespace, so a step
that is being traced by JAX will do as well.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from headgate.core.checks import flag, number, numbers
from headgate.core.namespace import NUMPY, Array, owner
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable


class Schedule:
    """Base of all schedules; a subclass has a `rate`.

    >>> from headgate import optim
    >>> class Halving(optim.schedules.Schedule):
    ...     def rate(self, xp, step):
    ...         return 0.5**step
    >>> Halving()(3)
    0.125
    """

    def __call__(self, step: Any) -> Any:
        """Return the rate after so many steps: a float, or an array for an array of steps."""
        if type(step) is Tensor:
            step = step.value
        elif type(step) is Variable:
            step = step._value
        xp = owner[type(step)]
        if xp is NUMPY and not getattr(step, "ndim", 0):
            return float(self.rate(xp, float(step)))
        return self.rate(xp, step)

    def rate(self, xp: Any, step: Array) -> Array:
        """Return the learning rate after so many steps.

        Args:
            xp: namespace of the step.
            step: the number of steps done, or an array of such numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} must define rate(xp, step)")


def _take(schedule: Schedule, interval: str, *names: str) -> None:
    """Check arguments of a schedule, and keep them as Python's numbers."""
    for name in names:
        found = number(type(schedule).__name__, name, getattr(schedule, name), interval)
        object.__setattr__(schedule, name, found)


def _switch(schedule: Schedule, name: str) -> None:
    """Check an argument of a schedule that is True or False."""
    found = flag(type(schedule).__name__, name, getattr(schedule, name))
    object.__setattr__(schedule, name, found)


@dataclass(frozen=True, slots=True)
class Constant(Schedule):
    """Keep one rate.

    Args:
        learning_rate: the rate.

    Raises:
        ValueError: it is negative or not finite.

    >>> from headgate.optim import schedules
    >>> schedules.Constant(0.1)(1000)
    0.1
    """

    learning_rate: float

    def __post_init__(self) -> None:
        _take(self, "[0, inf)", "learning_rate")

    def rate(self, xp: Any, step: Array) -> Array:
        """Return the rate."""
        return self.learning_rate + 0.0 * step


@dataclass(frozen=True, slots=True)
class ExponentialDecay(Schedule):
    """Multiply the rate by a number every so many steps, smoothly or at once.

    Args:
        initial_learning_rate: the rate at first.
        decay_steps: after so many steps the rate has been multiplied by `decay_rate` once.
        decay_rate: a positive number.
        staircase: whether the rate stays the same in between.

    Raises:
        ValueError: an argument is out of range.

    >>> from headgate.optim import schedules
    >>> schedules.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        _switch(self, "staircase")
        _take(self, "[0, inf)", "initial_learning_rate")
        _take(self, "(0, inf)", "decay_steps", "decay_rate")

    def rate(self, xp: Any, step: Array) -> Array:
        """Return `initial * decay_rate ** (step / decay_steps)`."""
        done = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (
            xp.floor(done) if self.staircase else done
        )


@dataclass(frozen=True, slots=True)
class InverseTimeDecay(Schedule):
    """Divide the rate by a number that grows with the steps, smoothly or at once.

    Args:
        initial_learning_rate: the rate at first.
        decay_steps: the divisor grows by `decay_rate` in so many steps.
        decay_rate: 0 or a positive number.
        staircase: whether the rate stays the same in between.

    Raises:
        ValueError: an argument is out of range.

    >>> from headgate.optim import schedules
    >>> schedules.InverseTimeDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.05
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        _switch(self, "staircase")
        _take(self, "[0, inf)", "initial_learning_rate", "decay_rate")
        _take(self, "(0, inf)", "decay_steps")

    def rate(self, xp: Any, step: Array) -> Array:
        """Return `initial / (1 + decay_rate * step / decay_steps)`."""
        done = step / self.decay_steps
        done = xp.floor(done) if self.staircase else done
        return self.initial_learning_rate / (1 + self.decay_rate * done)


@dataclass(frozen=True, slots=True)
class PolynomialDecay(Schedule):
    """Go from one rate to another along a power of the steps that are left.

    Args:
        initial_learning_rate: the rate at first.
        decay_steps: the number of steps that it takes.
        end_learning_rate: the rate at the end and from then on.
        power: 1 for a straight line.
        cycle: whether to rise again at the end, and fall in two, three and so on times as many
            steps, counted from the beginning.

    Raises:
        ValueError: an argument is out of range.

    >>> from headgate.optim import schedules
    >>> schedules.PolynomialDecay(1.0, decay_steps=4, end_learning_rate=0.0, power=2.0)(2)
    0.25
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False

    def __post_init__(self) -> None:
        _switch(self, "cycle")
        _take(self, "[0, inf)", "initial_learning_rate", "end_learning_rate")
        _take(self, "(0, inf)", "decay_steps", "power")

    def rate(self, xp: Any, step: Array) -> Array:
        """Return `(initial - end) * (1 - step / decay_steps) ** power + end`."""
        if self.cycle:
            rounds = xp.ceil(step / self.decay_steps)
            done = step / (self.decay_steps * xp.where(step == 0, 1.0, rounds))
        else:
            done = xp.minimum(step / self.decay_steps, 1.0)
        way = self.initial_learning_rate - self.end_learning_rate
        return way * (1 - done) ** self.power + self.end_learning_rate


@dataclass(frozen=True, slots=True)
class PiecewiseConstantDecay(Schedule):
    """Keep one rate up to a step, another one up to the next, and so on.

    Args:
        boundaries: steps, each larger than the one before. A rate holds up to its boundary, that
            step included.
        values: the rates; one more than boundaries.

    Raises:
        ValueError: the numbers do not match, or are out of range or order.

    >>> from headgate.optim import schedules
    >>> drops = schedules.PiecewiseConstantDecay([100, 200], [1.0, 0.5, 0.1])
    >>> drops(100), drops(101), drops(1000)
    (1.0, 0.5, 0.1)
    """

    boundaries: Sequence[float]
    values: Sequence[float]

    def __post_init__(self) -> None:
        kind = "PiecewiseConstantDecay"
        boundaries = numbers(kind, "boundaries", self.boundaries)
        values = numbers(kind, "values", self.values, "[0, inf)")
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"{kind}: {len(boundaries)} boundaries need {len(boundaries) + 1} values, got "
                f"{len(values)}"
            )
        for low, high in itertools.pairwise(boundaries):
            if not low < high:
                raise ValueError(
                    f"{kind}: each boundary must be larger than the one before, got {low!r} and "
                    f"then {high!r}"
                )
        object.__setattr__(self, "boundaries", boundaries)
        object.__setattr__(self, "values", values)

    def rate(self, xp: Any, step: Array) -> Array:
        """Return the value of the piece in which the step lies."""
        found = self.values[0] + 0.0 * step
        for boundary, value in zip(self.boundaries, self.values[1:]):
            found = xp.where(step > boundary, value, found)
        return found


@dataclass(frozen=True, slots=True)
class CosineDecay(Schedule):
    """Go down along half a wave, if asked for after a warm-up (Loshchilov & Hutter 2017).

    The paper is arXiv:1608.03983; the warm-up is that of Goyal et al. 2017, arXiv:1706.02677.

    Args:
        initial_learning_rate: the rate at first.
        decay_steps: the number of steps that the way down takes, after the warm-up.
        alpha: the rate at the end and from then on, as a part of the highest one.
        warmup_target: the highest rate, if there is a warm-up; else that is the initial one.
        warmup_steps: the number of steps from the initial rate up to the target.

    Raises:
        ValueError: an argument is out of range, or there are steps of a warm-up without a target.

    >>> from headgate.optim import schedules
    >>> warm = schedules.CosineDecay(0.0, 100, warmup_target=1.0, warmup_steps=10)
    >>> [round(warm(step), 9) for step in (0, 5, 10, 60, 110)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    _: KW_ONLY
    warmup_target: float | None = None
    warmup_steps: float = 0

    def __post_init__(self) -> None:
        _take(self, "[0, inf)", "initial_learning_rate", "alpha", "warmup_steps")
        _take(self, "(0, inf)", "decay_steps")
        if self.warmup_target is not None:
            _take(self, "[0, inf)", "warmup_target")
        elif self.warmup_steps:
            raise ValueError(
                f"CosineDecay: warmup_steps={self.warmup_steps!r} needs a warmup_target, the rate "
                "at the end of the warm-up"
            )

    def rate(self, xp: Any, step: Array) -> Array:
        """Return the part of the highest rate that half a wave has come down to."""
        first, target = self.initial_learning_rate, self.warmup_target
        if target is None:
            return first * self._part(xp, step)
        down = target * self._part(xp, xp.maximum(step - self.warmup_steps, 0.0))
        return _warmed_up(xp, step, self.warmup_steps, first, target, down)

    def _part(self, xp: Any, step: Array) -> Array:
        wave = 0.5 * (1 + xp.cos(math.pi * xp.minimum(step / self.decay_steps, 1.0)))
        return (1 - self.alpha) * wave + self.alpha


@dataclass(frozen=True, slots=True)
class CosineDecayRestarts(Schedule):
    """Go down along half a wave again and again (Loshchilov & Hutter 2017, arXiv:1608.03983).

    Args:
        initial_learning_rate: the rate at first.
        first_decay_steps: the number of steps of the first way down.
        t_mul: how many times as many steps each next one takes.
        m_mul: how many times as high each next one begins.
        alpha: the lowest rate, as a part of the initial one.

    Raises:
        ValueError: an argument is out of range.

    >>> from headgate.optim import schedules
    >>> restarts = schedules.CosineDecayRestarts(1.0, 10, t_mul=2.0, m_mul=0.5)
    >>> [round(restarts(step), 9) for step in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        _take(self, "[0, inf)", "initial_learning_rate", "m_mul", "alpha")
        _take(self, "(0, inf)", "first_decay_steps")
        _take(self, "[1, inf)", "t_mul")

    def rate(self, xp: Any, step: Array) -> Array:
        """Return the part of the first rate that the wave under way has come down to."""
        done = step / self.first_decay_steps  # in units of the first way down
        if self.t_mul == 1:
            restarts = xp.floor(done)
            done = done - restarts
        else:
            # The ways down before the n-th restart take (t_mul**n - 1) / (t_mul - 1) units. The
            # logarithm of a power can come out just below its whole number.
            grown = 1 + done * (self.t_mul - 1)
            restarts = xp.floor(xp.log(grown) / math.log(self.t_mul) + 1e-6)
            length = self.t_mul**restarts
            done = (done - (length - 1) / (self.t_mul - 1)) / length
        wave = 0.5 * self.m_mul**restarts * (1 + xp.cos(math.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * wave + self.alpha)


@dataclass(frozen=True, slots=True)
class LinearWarmup(Schedule):
    """Rise in a straight line to where another schedule begins, then follow that one.

    As in Goyal et al. 2017, arXiv:1706.02677.

    Args:
        schedule: a rate, or a function of the number of steps since the end of the warm-up.
        warmup_steps: the number of steps that the rise takes.
        initial_learning_rate: the rate at first.

    Raises:
        ValueError: an argument is out of range.

    >>> from headgate.optim import schedules
    >>> warm = schedules.LinearWarmup(schedules.ExponentialDecay(1.0, 10, 0.5), warmup_steps=4)
    >>> warm(0), warm(1), warm(4), warm(14)
    (0.0, 0.25, 1.0, 0.5)
    """

    schedule: Schedule | Callable[[Any], Any] | float
    warmup_steps: float
    initial_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.schedule):
            _take(self, "[0, inf)", "schedule")
        _take(self, "(0, inf)", "warmup_steps")
        _take(self, "[0, inf)", "initial_learning_rate")

    def rate(self, xp: Any, step: Array) -> Array:
        """Return the rate on the line, or the other schedule's."""
        then = self.schedule if callable(self.schedule) else Constant(self.schedule)
        after = then(xp.maximum(step - self.warmup_steps, 0.0))
        first = self.initial_learning_rate
        return _warmed_up(xp, step, self.warmup_steps, first, then(0), after)


def _warmed_up(
    xp: Any, step: Array, steps: float, first: float, target: float, after: Array
) -> Array:
    """Return the rate on a line from the first rate to a target, or what comes after the line."""
    line = first + (target - first) * (step / max(steps, 1))
    return xp.where(step < steps, line, after)
