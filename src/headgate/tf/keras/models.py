"""`tf.keras.models`: the models of `headgate.nn`, with a training loop of their own."""

from __future__ import annotations

from headgate import nn as _nn
from headgate.fit import Trainer as _Trainer


class Model(_Trainer, _nn.Model):
    """`headgate.nn.Model` with `compile`, `fit`, `evaluate` and `predict`."""


class Sequential(_nn.Sequential, Model):
    """`headgate.nn.Sequential` with `compile`, `fit`, `evaluate` and `predict`."""
