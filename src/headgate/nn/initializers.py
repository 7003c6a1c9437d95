"""Initializers: functions of a shape and a dtype that draw the first values of weights.

They have Keras' names and distributions. Without a seed they draw from `headgate.random`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from headgate import random
from headgate.core.checks import WrongType, choice, extents, number, optional, refused, whole
from headgate.core.tensor import Tensor, constant
from headgate.naming import default_dtype, find


def _generator(seed: int | None) -> np.random.Generator:
    return random.generator() if seed is None else np.random.default_rng(seed)


def _shape(initializer: Any, shape: Any) -> tuple[int, ...]:
    return extents(type(initializer).__name__, "shape", shape)


def _made(values: Any, dtype: Any) -> Tensor:
    """Return values as a tensor, of the default dtype if none was asked for."""
    return constant(np.array(values, default_dtype() if dtype is None else dtype))


class _Initializer:
    """What initializers share: their arguments are checked, and so is the shape they are given."""

    _intervals: ClassVar[dict[str, str]]

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for name, interval in self._intervals.items():
            object.__setattr__(self, name, number(kind, name, getattr(self, name), interval))
        optional(whole, kind, "seed", getattr(self, "seed", None), 0)


@dataclass(frozen=True)
class Constant:
    """Initializer that fills with one value.

    >>> from headgate import nn
    >>> nn.Constant(2.0)((2,)).numpy()
    array([2., 2.], dtype=float32)
    """

    value: Any = 0.0

    def __post_init__(self) -> None:
        if np.asarray(self.value).dtype.kind not in "biufcV":
            raise refused("Constant", "value", "a number or an array", self.value, WrongType)

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        return _made(np.broadcast_to(self.value, _shape(self, shape)), dtype)


def Zeros() -> Constant:
    """Fill with zeros."""
    return Constant(0.0)


def Ones() -> Constant:
    """Fill with ones."""
    return Constant(1.0)


@dataclass(frozen=True)
class RandomNormal(_Initializer):
    """Initializer that draws from a normal distribution; with a seed, the same each time.

    >>> from headgate import nn
    >>> nn.RandomNormal(stddev=0.02)((2, 3)).shape
    (2, 3)
    """

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    _intervals: ClassVar = {"mean": "(-inf, inf)", "stddev": "[0, inf)"}

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        drawn = _generator(self.seed).standard_normal(_shape(self, shape))
        return _made(self.mean + self.stddev * drawn, dtype)


@dataclass(frozen=True)
class TruncatedNormal(RandomNormal):
    """Initializer that draws from a normal distribution cut off at two standard deviations.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> bool(hg.all(hg.abs(nn.TruncatedNormal(stddev=1.0)((100,))) <= 2.0))
    True
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        drawn = random.standard_truncated_normal(_generator(self.seed), _shape(self, shape))
        return _made(self.mean + self.stddev * drawn, dtype)


@dataclass(frozen=True)
class RandomUniform(_Initializer):
    """Initializer that draws from a uniform distribution.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> bool(hg.all(hg.abs(nn.RandomUniform(-0.5, 0.5)((100,))) <= 0.5))
    True
    """

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    _intervals: ClassVar = {"minval": "(-inf, inf)", "maxval": "(-inf, inf)"}

    def __post_init__(self) -> None:
        super().__post_init__()
        number("RandomUniform", "maxval", self.maxval, f"[{self.minval!r}, inf)")

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        drawn = _generator(self.seed).uniform(self.minval, self.maxval, _shape(self, shape))
        return _made(drawn, dtype)


_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")

_NORMAL_CUT_AT_2 = 0.87962566103423978
"""The standard deviation that is left of a normal distribution cut off at two of them."""


@dataclass(frozen=True)
class VarianceScaling(_Initializer):
    """Initializer that draws with the variance `scale / n`, n the number of inputs or outputs.

    Args:
        scale: the numerator.
        mode: which n: "fan_in" (inputs), "fan_out" (outputs) or "fan_avg" (their mean).
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        seed: with one, the values are the same each time.

    >>> from headgate import nn
    >>> nn.VarianceScaling(2.0, mode="fan_in")((784, 10)).shape
    (784, 10)
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    _intervals: ClassVar = {"scale": "(0, inf)"}

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("VarianceScaling", "mode", self.mode, ("fan_in", "fan_out", "fan_avg"))
        choice("VarianceScaling", "distribution", self.distribution, _DISTRIBUTIONS)

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        shape = _shape(self, shape)
        inputs, outputs = _fans(shape)
        fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(1.0, fan))
        generator = _generator(self.seed)
        if self.distribution == "uniform":
            limit = math.sqrt(3) * deviation
            return _made(generator.uniform(-limit, limit, shape), dtype)
        if self.distribution == "untruncated_normal":
            return _made(deviation * generator.standard_normal(shape), dtype)
        drawn = random.standard_truncated_normal(generator, shape)
        return _made(deviation / _NORMAL_CUT_AT_2 * drawn, dtype)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many inputs and outputs a kernel of this shape connects."""
    if len(shape) < 2:
        return (math.prod(shape),) * 2
    receptive = math.prod(shape[:-2])
    return shape[-2] * receptive, shape[-1] * receptive


def GlorotUniform(seed: int | None = None) -> VarianceScaling:
    """Draw uniformly, with the variance 2 / (inputs + outputs)."""
    return VarianceScaling(1.0, "fan_avg", "uniform", seed)


def GlorotNormal(seed: int | None = None) -> VarianceScaling:
    """Draw from a cut-off normal distribution, with the variance 2 / (inputs + outputs)."""
    return VarianceScaling(1.0, "fan_avg", "truncated_normal", seed)


def HeUniform(seed: int | None = None) -> VarianceScaling:
    """Draw uniformly, with the variance 2 / inputs."""
    return VarianceScaling(2.0, "fan_in", "uniform", seed)


def HeNormal(seed: int | None = None) -> VarianceScaling:
    """Draw from a cut-off normal distribution, with the variance 2 / inputs."""
    return VarianceScaling(2.0, "fan_in", "truncated_normal", seed)


def LecunUniform(seed: int | None = None) -> VarianceScaling:
    """Draw uniformly, with the variance 1 / inputs."""
    return VarianceScaling(1.0, "fan_in", "uniform", seed)


def LecunNormal(seed: int | None = None) -> VarianceScaling:
    """Draw from a cut-off normal distribution, with the variance 1 / inputs."""
    return VarianceScaling(1.0, "fan_in", "truncated_normal", seed)


@dataclass(frozen=True)
class Orthogonal(_Initializer):
    """Initializer that draws a matrix with orthonormal rows or columns, whichever are shorter.

    Of a shape with more than two axes, all but the last count as rows.

    Args:
        gain: a factor for all elements.
        seed: with one, the values are the same each time.

    Raises:
        ValueError: a shape with fewer than two axes.

    >>> from headgate import nn
    >>> q = nn.Orthogonal(seed=0)((2, 2), "float64")
    >>> abs((q @ q.T).numpy()).round(6).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    gain: float = 1.0
    seed: int | None = None

    _intervals: ClassVar = {"gain": "(-inf, inf)"}

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        shape = _shape(self, shape)
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape of two axes or more, got {tuple(shape)}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = _generator(self.seed).standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(drawn)
        q = q * np.sign(np.diagonal(r))  # otherwise some rotations would be likelier than others
        return _made(self.gain * (q if rows >= columns else q.T).reshape(shape), dtype)


@dataclass(frozen=True)
class Identity(_Initializer):
    """Initializer that makes an identity matrix; one that is not square is cut off or filled up.

    Args:
        gain: what stands on the diagonal.

    Raises:
        ValueError: a shape that is not one of a matrix.

    >>> from headgate import nn
    >>> nn.Identity()((2, 3)).numpy().tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    gain: float = 1.0

    _intervals: ClassVar = {"gain": "(-inf, inf)"}

    def __call__(self, shape: Any, dtype: Any = None) -> Tensor:
        shape = _shape(self, shape)
        if len(shape) != 2:
            raise ValueError(f"Identity needs the shape of a matrix, got {tuple(shape)}")
        return _made(self.gain * np.eye(*shape), dtype)


INITIALIZERS: dict[str, Callable[..., Any]] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "random_normal": RandomNormal,
    "normal": RandomNormal,
    "random_uniform": RandomUniform,
    "uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal,
    "identity": Identity,
}


def get_initializer(identifier: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return an initializer, a function of shape and dtype, given one or its name."""
    if isinstance(identifier, str):
        identifier = find("initializer", INITIALIZERS, identifier)
    if identifier in INITIALIZERS.values():
        made: Callable[..., Any] = identifier()
        return made
    if not callable(identifier):
        raise ValueError(
            f"an initializer is a name such as 'glorot_uniform' or a function of shape and dtype, "
            f"not {identifier!r}"
        )
    return identifier
