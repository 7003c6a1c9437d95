"""The chain of sines in HIPS autograd, the other Python tape over NumPy."""

from collections.abc import Callable
from typing import Any

import autograd
import autograd.numpy as anp

from benchmarks.programs import Step, Variables
from benchmarks.workloads import CHAIN_LENGTH


def chain(variables: Variables) -> Step:
    """Differentiate a sum behind a chain of sines; nothing is updated."""

    def total(y: Any) -> Any:
        for _ in range(CHAIN_LENGTH):
            y = anp.sin(y)
        return anp.sum(y)

    value_and_gradient: Callable[..., tuple[Any, ...]] = autograd.value_and_grad(total)
    return lambda: value_and_gradient(variables["x"][0])
