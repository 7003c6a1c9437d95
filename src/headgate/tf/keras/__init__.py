"""Keras' names for `headgate.nn`, `headgate.optim` and `headgate.losses`: tables without logic."""

from headgate import nn
from headgate.tf.keras import (
    activations,
    backend,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
)

Input = nn.Input
Model = nn.Model
Sequential = nn.Sequential

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "activations",
    "backend",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
]
