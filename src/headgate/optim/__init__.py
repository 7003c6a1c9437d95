"""Optimizers, learning-rate schedules, clipping of gradients, and averages of variables."""

from headgate.optim import schedules
from headgate.optim.averages import ExponentialMovingAverage, hard_update, soft_update
from headgate.optim.clip import clip_by_global_norm, clip_by_norm, clip_by_value, global_norm
from headgate.optim.optimizer import Optimizer
from headgate.optim.rules import SGD, Adagrad, Adam, AdamW, Lion, RMSprop

__all__ = [
    "Optimizer",
    "SGD",
    "RMSprop",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "schedules",
    "clip_by_value",
    "clip_by_norm",
    "clip_by_global_norm",
    "global_norm",
    "ExponentialMovingAverage",
    "hard_update",
    "soft_update",
]
