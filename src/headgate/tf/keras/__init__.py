"""Keras' names for `headgate.nn`, `headgate.optim`, `headgate.losses` and `headgate.fit`."""

from headgate import nn
from headgate.tf.keras import (
    activations,
    backend,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
)

Input = nn.Input
Model = models.Model
Sequential = models.Sequential

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "activations",
    "backend",
    "callbacks",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
]
