"""The chain of sines and the mixture in HIPS autograd, the other Python tape over NumPy."""

from collections.abc import Callable
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np

from benchmarks.programs import Step, Variables
from benchmarks.workloads import (
    CHAIN_LENGTH,
    WISHART_DEGREES,
    WISHART_SCALE,
    mixture_constant,
)


def chain(variables: Variables) -> Step:
    """Differentiate a sum behind a chain of sines; nothing is updated."""

    def total(y: Any) -> Any:
        for _ in range(CHAIN_LENGTH):
            y = anp.sin(y)
        return anp.sum(y)

    value_and_gradient: Callable[..., tuple[Any, ...]] = autograd.value_and_grad(total)
    return lambda: value_and_gradient(variables["x"][0])


def log_sum_exp(x: Any) -> Any:
    """Return the logarithm of the sum of exponentials over the first axis."""
    largest = anp.max(x, axis=0)
    return largest + anp.log(anp.sum(anp.exp(x - largest), axis=0))


def gmm(variables: Variables) -> Step:
    """Differentiate the log likelihood of a mixture with its Wishart prior, per point."""

    def objective(mixture: Any, points: np.ndarray, places: np.ndarray) -> Any:
        alphas, means, factors = mixture
        count, size = points.shape
        diagonal, below = anp.exp(factors[:, :size]), factors[:, size:]
        log_determinants = anp.sum(factors[:, :size], axis=1)
        entries = anp.concatenate([diagonal, below, anp.zeros_like(diagonal[:, :1])], axis=1)
        centred = points - means[:, None]
        whitened = anp.matmul(centred, anp.swapaxes(entries[:, places], 1, 2))
        exponents = (alphas + log_determinants)[:, None] - 0.5 * anp.sum(whitened**2, axis=2)
        log_likelihood = anp.sum(log_sum_exp(exponents)) - count * log_sum_exp(alphas)
        prior = 0.5 * WISHART_SCALE**2 * (
            anp.sum(diagonal**2) + anp.sum(below**2)
        ) - WISHART_DEGREES * anp.sum(log_determinants)
        return (log_likelihood + prior + mixture_constant(count, len(alphas), size)) / count

    value_and_gradient: Callable[..., tuple[Any, Any]] = autograd.value_and_grad(objective)

    def step(points: np.ndarray, places: np.ndarray) -> tuple[Any, ...]:
        value, gradients = value_and_gradient(variables["mixture"], points, places)
        return value, *gradients

    return step
