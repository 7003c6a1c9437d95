"""Dropout whose rate is a number, a tensor, a variable, or known only when a program runs."""

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate import nn

X = np.ones((50, 40), "f")


@pytest.mark.parametrize("rate", [0.25, np.float64(0.25), np.array(0.25), hg.asarray(0.25, "f")])
def test_a_rate_of_any_kind(rate):
    for draw in (
        lambda: nn.Dropout(rate, seed=3)(X, training=True),
        lambda: tf.nn.dropout(X, rate=rate, seed=3),
    ):
        found = draw().numpy()
        assert found.dtype == np.float32
        np.testing.assert_allclose(np.unique(found), [0.0, 1 / 0.75], rtol=1e-6)
        assert 0.7 < np.mean(found != 0) < 0.8


def test_the_same_mask_as_for_a_number():
    number = nn.Dropout(0.25, seed=3)(X, training=True)
    tensor = nn.Dropout(hg.asarray(0.25), seed=3)(X, training=True)
    np.testing.assert_allclose(number.numpy(), tensor.numpy(), rtol=1e-6)
    for rate, value in ((0.0, 1.0), (1.0, 0.0)):
        found = nn.Dropout(hg.asarray(rate))(X, training=True)
        np.testing.assert_array_equal(found.numpy(), np.full_like(X, value))
    np.testing.assert_array_equal(nn.Dropout(hg.asarray(0.5))(X).numpy(), X)


def test_a_rate_that_is_known_when_the_program_runs():
    pytest.importorskip("jax")

    @hg.function
    def functional(x, rate):
        return tf.nn.dropout(x, rate)

    for rate in (0.0, 0.5, 0.75):
        found = functional(X, np.float32(rate))
        assert found.dtype == "float32"
        assert abs(np.mean(found.numpy() == 0) - rate) < 0.05
        np.testing.assert_allclose(found.numpy().max(), 1 / (1 - rate), rtol=1e-6)

    rate = hg.Variable(np.float32(0.0), trainable=False)
    layer = nn.Dropout(rate)
    run = hg.function(lambda x: layer(x, training=True))
    np.testing.assert_array_equal(run(X).numpy(), X)
    rate.assign(0.5)
    assert 0.4 < np.mean(run(X).numpy() == 0) < 0.6


def test_gradients_of_input_and_rate():
    with hg.GradientTape() as tape:
        x, rate = hg.asarray(X.astype(float)), hg.asarray(0.5)
        tape.watch([x, rate])
        y = tf.nn.dropout(x, rate, seed=1)
    by_x, by_rate = tape.gradient(y, [x, rate])
    kept = y.numpy() != 0
    np.testing.assert_allclose(by_x.numpy(), 2.0 * kept)
    np.testing.assert_allclose(by_rate.numpy(), 4.0 * kept.sum())  # of 1 / (1 - rate)


@pytest.mark.parametrize("rate", [1.5, -0.5, "0.5", None, np.ones(2), hg.asarray(-0.5)])
def test_no_rate(rate):
    with pytest.raises(ValueError, match="Dropout: rate must be from 0 to 1, got "):
        nn.Dropout(rate)


def test_half_precision_stays():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for dtype in (np.float16, ml_dtypes.bfloat16):
        x = np.ones((3, 4), dtype)
        for layer in (
            nn.Dropout(0.25, dtype=dtype),
            nn.Dropout(hg.asarray(0.25), dtype=dtype),
            nn.GaussianNoise(0.25, dtype=dtype),
        ):
            assert layer(x, training=True).dtype == dtype
