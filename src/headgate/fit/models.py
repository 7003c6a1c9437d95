"""The models of `headgate.nn`, with a training loop of their own."""

from __future__ import annotations

from headgate import nn
from headgate.fit.trainer import Trainer


class Model(Trainer, nn.Model):
    """`headgate.nn.Model` with `compile`, `fit`, `evaluate` and `predict`.

    Args:
        inputs, outputs, options: those of `headgate.nn.Model`.

    >>> import numpy as np
    >>> from headgate import fit, nn
    >>> x = nn.Input((4,))
    >>> model = fit.Model(x, nn.Dense(1)(x))
    >>> model.compile("sgd", "mse", run_eagerly=True)
    >>> model.fit(np.ones((8, 4)), np.ones(8), epochs=2, verbose=0).epoch
    [0, 1]
    """


class Sequential(nn.Sequential, Model):
    """`headgate.nn.Sequential` with `compile`, `fit`, `evaluate` and `predict`.

    Args:
        layers, options: those of `headgate.nn.Sequential`.

    >>> import numpy as np
    >>> from headgate import fit, nn
    >>> model = fit.Sequential([nn.Dense(2)])
    >>> model.predict(np.ones((5, 4)), verbose=0).shape
    (5, 2)
    """
