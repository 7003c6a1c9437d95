"""Section 2.11: what an optimizer does with gradients that are None."""

import warnings

import numpy as np
import pytest

OPTIMIZERS = ["SGD", "RMSprop", "Adam"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_none(tf, name):
    """All-None: ValueError "No gradients provided for any variable."."""
    v = tf.Variable(1.0)
    with pytest.raises(ValueError, match="No gradients provided for any variable"):
        getattr(tf.keras.optimizers, name)(0.1).apply_gradients([(None, v)])
    assert v.numpy() == 1.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_some_none(tf, name):
    """some None: those variables skipped, others updated (0.9, 1.0). Keras warns besides."""
    v, w = tf.Variable(1.0), tf.Variable(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(tf.keras.optimizers, name)(0.1).apply_gradients([(tf.constant(1.0), v), (None, w)])
    assert v.numpy() < 1.0
    if name == "SGD":
        assert v.numpy() == np.float32(0.9)
    assert w.numpy() == 1.0
