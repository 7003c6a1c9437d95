"""What weights and results add to the loss: formulas, which layers, and for how long."""

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate import nn, optim
from headgate.testing import check_gradient

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
W = np.random.default_rng(1).normal(size=(4, 3))


def unit(w, axis):
    return w / np.sqrt(np.sum(w * w, axis, keepdims=True))


def apart(products):
    return np.sum(np.abs(products)) - np.trace(np.abs(products))


FORMULAS = {
    "l1": (nn.L1(0.3), 0.3 * np.abs(W).sum()),
    "l2": (nn.L2(0.3), 0.3 * (W * W).sum()),
    "both": (nn.L1L2(0.1, 0.2), 0.1 * np.abs(W).sum() + 0.2 * (W * W).sum()),
    "rows": (nn.OrthogonalRegularizer(0.5), 0.25 * apart(unit(W, 1) @ unit(W, 1).T) / 6),
    "columns": (
        nn.OrthogonalRegularizer(0.5, mode="columns"),
        0.25 * apart(unit(W, 0).T @ unit(W, 0)) / 3,
    ),
}


@pytest.mark.parametrize("case", FORMULAS)
def test_formulas_and_gradients(case):
    regularizer, value = FORMULAS[case]
    np.testing.assert_allclose(regularizer(W).numpy(), value, rtol=1e-6)
    check_gradient(regularizer, W)


LAYERS = {  # the layer, its input, how many weights have the regularizer
    "dense": (lambda **o: nn.Dense(3, **o), X, ["kernel", "bias"]),
    "embedding": (lambda **o: nn.Embedding(9, 3, **o), X.astype(int) % 9, ["embeddings"]),
    "conv": (lambda **o: nn.Conv1D(3, 2, **o), X[:, :, None], ["kernel", "bias"]),
    "transposed": (lambda **o: nn.Conv1DTranspose(3, 2, **o), X[:, :, None], ["kernel"]),
    "norm": (nn.BatchNormalization, X, ["beta", "gamma"]),
    "layer norm": (nn.LayerNormalization, X, ["beta", "gamma"]),
    "lstm": (lambda **o: nn.LSTM(2, **o), X[:, :, None], ["kernel", "recurrent", "bias"]),
    "gru": (lambda **o: nn.GRU(2, **o), X[:, :, None], ["kernel", "recurrent", "bias"]),
}


@pytest.mark.parametrize("case", LAYERS)
def test_every_weight_with_an_initializer_takes_one(case):
    make, x, weights = LAYERS[case]
    layer = make(**{f"{name}_regularizer": nn.L2(k + 1.0) for k, name in enumerate(weights)})
    assert layer.losses == []  # nothing is built yet
    layer(x)
    found = sorted(float(loss) for loss in layer.losses)
    named = {variable.name.rpartition("/")[2]: variable for variable in layer.variables}
    expected = [
        (k + 1.0) * float(hg.sum(hg.square(named.get(name, named.get(f"{name}_kernel")))))
        for k, name in enumerate(weights)
    ]
    np.testing.assert_allclose(found, sorted(expected), rtol=1e-5)
    layer.trainable = False
    assert layer.losses == []


def test_attention_hands_it_to_its_projections():
    layer = nn.MultiHeadAttention(2, 3, kernel_regularizer="l2")
    layer(X[:, :, None], X[:, :, None])
    assert len(layer.losses) == 4


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: nn.Dense(3, kernal_regularizer="l2"), "kernal_regularizer"),
        (lambda: nn.Flatten(kernel_regularizer="l2"), "kernel_regularizer"),
        (lambda: nn.Dense(3, colour="red"), "colour"),
    ],
)
def test_what_a_layer_does_not_have_is_refused(make, name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        make()


def test_what_is_no_regularizer_is_refused():
    with pytest.raises(ValueError, match="unknown regularizer 'l3'"):
        nn.Dense(3, kernel_regularizer="l3")
    with pytest.raises(ValueError, match="a name such as 'l2' or a function"):
        nn.Dense(3, activity_regularizer=0.1)
    with pytest.raises(ValueError, match="l2"):
        nn.L2(-1.0)
    with pytest.raises(ValueError, match=r"takes a matrix.*\(3,\)"):
        nn.OrthogonalRegularizer()(np.ones(3))


class Adding(nn.Model):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Dense(3, activity_regularizer=nn.L2(0.1))

    def call(self, x):
        h = self.hidden(x)
        self.add_loss(hg.mean(h))
        return h


def test_what_a_call_adds_is_there_until_the_next_one():
    model, other = Adding(), Adding()
    h = model(X)
    other(X * 2)
    activity, mean = (float(loss) for loss in model.losses)
    assert activity == pytest.approx(0.1 * float(hg.sum(hg.square(h))), rel=1e-5)
    assert mean == pytest.approx(float(hg.mean(h)), abs=1e-6)
    assert [float(loss) for loss in model.hidden.losses] == [activity]
    model(X * 3)
    assert len(model.losses) == 2
    assert float(model.losses[1]) == pytest.approx(3 * mean, rel=1e-4, abs=1e-6)
    assert len(other.losses) == 2


def test_gradient_comes_through_what_was_added():
    model = Adding()
    with hg.GradientTape() as tape:
        model(X)
        loss = sum(model.losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(float(hg.sum(hg.abs(g))) > 0 for g in gradients)


@pytest.mark.parametrize("eagerly", [True, False], ids=["eager", "compiled"])
def test_fit_adds_all_of_it(eagerly):
    tf.random.set_seed(0)
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_regularizer="l2")])
    model.build((None, 4))
    kernel = model.get_weights()[0]
    model.compile(optim.SGD(0.0), "mse", run_eagerly=eagerly)
    y = X[:, :1]
    history = model.fit(X, y, epochs=1, verbose=0)
    expected = np.mean((X @ kernel - y) ** 2) + 0.01 * np.sum(kernel**2)
    assert history.history["loss"][0] == pytest.approx(float(expected), rel=1e-5)
    assert model.evaluate(X, y, verbose=0) == pytest.approx(float(expected), rel=1e-5)
    assert len(model.losses) == 1
    assert np.isfinite(float(model.losses[0]))
