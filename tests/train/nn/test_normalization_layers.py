"""Normalization: values and gradients by other formulas, and the life of the moving statistics."""

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim
from headgate.flow.watch.headgate import Watch
from headgate.testing import check_gradient
from train.nn.agreement import agree, derivatives, fill, jax_derivatives, numbers


def built(layer, *shape):
    layer.build(shape)
    fill(layer)
    return layer


# -- values and gradients --------------------------------------------------------------------------


def by_jax(axis, epsilon):
    """Return a normalization over axes of the input, with scale and offset, in jax.numpy."""
    import jax.numpy as jnp

    def normalize(weights, x):
        gamma, beta = weights
        mean = jnp.mean(x, axis=axis, keepdims=True)
        variance = jnp.mean(x**2, axis=axis, keepdims=True) - mean**2
        shape = [1 if k in axis else size for k, size in enumerate(x.shape)]
        y = (x - mean) / jnp.sqrt(variance + epsilon)
        return y * jnp.reshape(gamma, shape) + jnp.reshape(beta, shape)

    return normalize


@pytest.mark.peers
@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_batch_normalization_in_training_agrees_with_jax(axis):
    x = 3 + 2 * numbers(4, 3, 5, 2)
    averaged = tuple(k for k in range(4) if k != axis % 4)
    layer = built(nn.BatchNormalization(axis, dtype="float64"), *x.shape)
    weights = layer.get_weights()[:2]
    found = derivatives(layer, [x], training=True)
    agree(found, jax_derivatives(by_jax(averaged, 1e-3), weights, [x]), 1e-9)


@pytest.mark.peers
def test_layer_normalization_agrees_with_jax():
    x = 3 + 2 * numbers(4, 3, 5)
    layer = built(nn.LayerNormalization(epsilon=0.1, dtype="float64"), *x.shape)

    def reference(weights, x):
        gamma, beta = weights
        apart = x - x.mean(-1, keepdims=True)
        return apart * gamma / (0.1 + (apart**2).mean(-1, keepdims=True)) ** 0.5 + beta

    expected = jax_derivatives(reference, layer.get_weights(), [x])
    agree(derivatives(layer, [x]), expected, 1e-9)


@pytest.mark.peers
@pytest.mark.parametrize("axis", [-1, 1])
def test_batch_normalization_by_moving_statistics_agrees_with_jax(axis):
    x = numbers(4, 3, 3)
    layer = built(nn.BatchNormalization(axis, dtype="float64"), *x.shape)
    *weights, mean, variance = layer.get_weights()

    def reference(weights, x):
        gamma, beta, m, v = (w if axis == -1 else w[:, None] for w in (*weights, mean, variance))
        return gamma * (x - m) / (v + 1e-3) ** 0.5 + beta

    agree(derivatives(layer, [x]), jax_derivatives(reference, weights, [x]), 1e-9)


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (nn.BatchNormalization(dtype="float64"), {"training": True}),
        (nn.BatchNormalization(axis=1, scale=False, dtype="float64"), {"training": True}),
        (nn.BatchNormalization(center=False, dtype="float64"), {}),
        (nn.LayerNormalization(axis=(1, 2), dtype="float64"), {}),
    ],
)
def test_derivatives_of_both_orders(layer, options):
    x = numbers(4, 3, 2)
    layer(x)
    fill(layer)
    check_gradient(lambda x: layer(x, **options), x)


def test_mean_is_0_and_variance_1_in_training():
    x = 7 + 3 * numbers(200, 4)
    y = nn.BatchNormalization(epsilon=0.0, dtype="float64")(x, training=True).numpy()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(0), 1)
    y = nn.LayerNormalization(epsilon=0.0, dtype="float64")(x).numpy()
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(1), 1)


def test_half_precision_is_computed_in_float32():
    x = (300 * numbers(64, 4)).astype(np.float16)  # its squares are too large for float16
    exact = x.astype(np.float64)
    for layer, axis in [(nn.BatchNormalization, 0), (nn.LayerNormalization, 1)]:
        options = {"training": True} if axis == 0 else {}
        y = layer(dtype="float16")(x, **options)
        assert y.dtype == "float16"
        expected = (exact - exact.mean(axis, keepdims=True)) / exact.std(axis, keepdims=True)
        np.testing.assert_allclose(y.numpy(), expected, atol=4e-3)


def test_integers_are_taken_as_floats():
    x = np.array([[1, 2], [3, 6]])
    y = nn.BatchNormalization(epsilon=0.0)(x, training=True)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y.numpy(), [[-1, -1], [1, 1]], rtol=1e-6)


# -- moving statistics -----------------------------------------------------------------------------


def test_moving_statistics_follow_the_batches():
    layer = nn.BatchNormalization(momentum=0.9, dtype="float64")
    mean, variance = 0.0, 1.0
    for seed in range(3):
        x = 5 + numbers(8, 6, 1, seed=seed)
        layer(x, training=True)
        mean, variance = 0.9 * mean + 0.1 * x.mean(), 0.9 * variance + 0.1 * x.var()
    np.testing.assert_allclose(layer.moving_mean.numpy(), [mean])
    np.testing.assert_allclose(layer.moving_variance.numpy(), [variance])
    before = layer.moving_mean.numpy()
    y = layer(x)
    np.testing.assert_allclose(y.numpy(), (x - mean) / np.sqrt(variance + 1e-3))
    np.testing.assert_array_equal(layer.moving_mean.numpy(), before)


def test_names_and_which_are_trained():
    layer = nn.BatchNormalization(name="norm")
    layer.build((None, 4))
    ends = [v.name.split("/")[-1] for v in layer.variables]
    assert ends == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert layer.trainable_variables == [layer.gamma, layer.beta]
    bare = nn.BatchNormalization(center=False, scale=False)
    bare.build((None, 4))
    assert bare.trainable_variables == []


def test_training_is_handed_down_and_a_frozen_layer_does_not_move():
    model = nn.Sequential([nn.Dense(3), nn.BatchNormalization()])
    x = numbers(8, 2, dtype=np.float32)
    norm = model.layers[1]
    model(x)
    before = norm.moving_mean.numpy()
    np.testing.assert_array_equal(before, 0)
    model(x, training=True)
    after = norm.moving_mean.numpy()
    assert np.all(after != before)
    norm.trainable = False
    frozen = model(x, training=True)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), after)
    np.testing.assert_array_equal(frozen.numpy(), model(x).numpy())


def test_no_way_leads_through_the_moving_statistics():
    layer = nn.BatchNormalization()
    x = hg.Variable(numbers(8, 2, dtype=np.float32))
    with hg.GradientTape() as tape:
        layer(x, training=True)
        later = hg.sum(layer(numbers(3, 2)))
    assert tape.gradient(later, x) is None


def test_a_training_step_has_no_finding():
    model = nn.Sequential(
        [nn.Dense(4), nn.BatchNormalization(), nn.ReLU(), nn.LayerNormalization()]
    )
    optimizer = optim.SGD(0.1)
    x = numbers(16, 3, dtype=np.float32)
    with Watch() as watch:
        for _ in range(3):
            with hg.GradientTape() as tape:
                loss = hg.mean((model(x, training=True) - 1.0) ** 2)
            weights = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    assert [(f.parameter, f.kind) for f in watch.findings()] == []
    assert len(watch.calls) == 3


# -- shapes ----------------------------------------------------------------------------------------


def test_an_unknown_batch_is_no_obstacle():
    model = nn.Sequential([nn.Input((5, 4)), nn.BatchNormalization(), nn.LayerNormalization()])
    assert [v.shape for v in model.variables] == [(4,)] * 6
    assert model(numbers(3, 5, 4)).shape == (3, 5, 4)
    layer = nn.BatchNormalization()
    layer.build((None, None, 4))
    assert layer(numbers(3, 5, 4), training=True).shape == (3, 5, 4)


def test_an_empty_batch_is_refused_only_in_training():
    layer = nn.BatchNormalization()
    assert layer(np.ones((0, 3))).shape == (0, 3)
    assert nn.LayerNormalization()(np.ones((0, 3))).shape == (0, 3)
    with pytest.raises(ValueError, match=r"'batch_norm.*\(0, 3\).*leave empty batches out"):
        layer(np.ones((0, 3)), training=True)
    assert np.all(np.isfinite(layer.moving_mean.numpy()))


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (r"axis=3.*\(2, 3\)", lambda: nn.BatchNormalization(3)(np.ones((2, 3)))),
        (r"axis=0.*without the batch", lambda: nn.LayerNormalization(0)(np.ones((2, 3)))),
        (r"known size", lambda: nn.LayerNormalization().build((None, None))),
        (r"momentum.*got 1.5", lambda: nn.BatchNormalization(momentum=1.5)),
    ],
)
def test_mistakes_are_explained(message, action):
    with pytest.raises(ValueError, match=message):
        action()


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 3), (3,)])
def test_an_input_of_another_shape_is_refused(shape):
    for kind in (nn.BatchNormalization, nn.LayerNormalization):
        layer = kind(name="norm")
        layer.build((None, 3))
        with pytest.raises(ValueError, match=r"'norm' was built for 2 axes, \(batch, 3\)"):
            layer(np.ones(shape))
        layer = kind(name="norm")
        layer.build((None, 1))
        with pytest.raises(ValueError, match=r"'norm' was built for 2 axes, \(batch, 1\)"):
            layer(np.ones((2, 3)))


def test_layer_normalization_is_over_the_last_axis_alone():
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("f")
    layer = nn.LayerNormalization()
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    np.testing.assert_allclose(layer(x), (x - mean) / np.sqrt(variance + 1e-3), atol=1e-5)
    assert layer.gamma.shape == (3,)
