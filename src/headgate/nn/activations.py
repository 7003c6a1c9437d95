"""Activation functions under Keras' names, with its arguments."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor, constant
from headgate.naming import find
from headgate.ops import activations, elementwise, functional

_logits: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}


def _remembers_logits(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let `logits_of` find the argument again, for as long as the result lives."""

    @functools.wraps(function)
    def activation(x: Any, *options: Any, **named: Any) -> Tensor:
        logits = as_tensor(x)
        result = function(logits, *options, **named)
        key = id(result)
        _logits[key] = weakref.ref(result, lambda _: _logits.pop(key, None)), logits
        return result

    activation.__module__ = __name__  # where a pickle finds it
    return activation


def logits_of(probabilities: Tensor) -> Tensor | None:
    """Return what a sigmoid or softmax of this module made these probabilities from.

    A cross entropy computed from probabilities has no gradient where they are rounded to 0 or 1;
    computed from logits it has. So a loss asks here first, as Keras does.
    """
    found = _logits.get(id(probabilities))
    return found[1] if found else None


def linear(x: Any) -> Any:
    """Return x."""
    return x


def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """Return x from `threshold` to `max_value`; `negative_slope * (x - threshold)` below.

    >>> from headgate.nn.activations import relu
    >>> relu([-2.0, 3.0, 9.0], negative_slope=0.5, max_value=6.0).numpy()
    array([-1.,  3.,  6.])
    """
    if threshold:
        x = as_tensor(x)
        above = constant(x.value >= threshold)  # not recorded: a mask is no way for gradient
        x = elementwise.where(above, x, negative_slope * (x - threshold))
    elif negative_slope:
        x = activations.leaky_relu(x, negative_slope)
    else:
        x = activations.relu(x)
    return x if max_value is None else elementwise.minimum(x, max_value)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """Return x where it is positive, `negative_slope * x` elsewhere."""
    return activations.leaky_relu(x, negative_slope)


sigmoid = _remembers_logits(activations.sigmoid)
softmax = _remembers_logits(functional.softmax)

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "relu": activations.relu,
    "relu6": activations.relu6,
    "leaky_relu": leaky_relu,
    "elu": activations.elu,
    "selu": activations.selu,
    "gelu": activations.gelu,
    "silu": activations.silu,
    "swish": activations.silu,
    "mish": activations.mish,
    "sigmoid": sigmoid,
    "hard_sigmoid": activations.hard_sigmoid,
    "log_sigmoid": activations.log_sigmoid,
    "tanh": elementwise.tanh,
    "hard_tanh": activations.hard_tanh,
    "softmax": softmax,
    "log_softmax": functional.log_softmax,
    "softplus": activations.softplus,
    "softsign": activations.softsign,
    "exponential": elementwise.exp,
}


def get_activation(identifier: str | Callable[..., Any] | None) -> Callable[..., Any]:
    """Return an activation function, given one, its name, or None for no activation."""
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return find("activation", ACTIVATIONS, identifier)
    if not callable(identifier):
        raise ValueError(
            f"an activation is a name such as 'relu' or a function, not {identifier!r}"
        )
    return identifier
