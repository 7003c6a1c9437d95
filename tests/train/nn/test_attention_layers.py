"""Multi-head attention: by the formula, with masks, and what it refuses."""

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim
from headgate.flow.watch.headgate import Watch
from headgate.testing import check_gradient
from train.nn.agreement import agree, derivatives, fill, jax_derivatives, numbers

BATCH, POSITIONS, OTHERS, SIZE = 2, 3, 4, 5
QUERY, VALUE, KEY = (
    numbers(BATCH, POSITIONS, SIZE, seed=1),
    numbers(BATCH, OTHERS, 6, seed=2),
    numbers(BATCH, OTHERS, 7, seed=3),
)
MASK = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 1, 1]], bool)


def built(layer, *inputs):
    layer(*inputs)
    fill(layer)
    return layer


def attention(weights, query, value, key=None, mask=None):
    """Compute the result and the weights with jax.numpy, head by head."""
    import jax.numpy as jnp

    key = value if key is None else key
    wq, bq, wk, bk, wv, bv, wo, bo = weights
    result, scores = bo, []
    for head in range(wq.shape[1]):
        q = query @ wq[:, head] + bq[head]
        k = key @ wk[:, head] + bk[head]
        v = value @ wv[:, head] + bv[head]
        logits = q @ jnp.swapaxes(k, 1, 2) / wq.shape[2] ** 0.5
        powers = jnp.exp(logits) if mask is None else jnp.where(mask, jnp.exp(logits), 0.0)
        scores.append(powers / powers.sum(-1, keepdims=True))
        result = result + jnp.tensordot(scores[-1] @ v, wo[head], 1)
    return result, jnp.stack(scores, axis=1)


@pytest.mark.peers
@pytest.mark.light
@pytest.mark.parametrize(
    ("inputs", "options", "mask", "output_shape"),
    [
        ([QUERY, VALUE, KEY], {}, None, None),
        ([QUERY, VALUE], {"attention_mask": MASK}, MASK, 4),
        ([QUERY, QUERY], {"use_causal_mask": True}, np.tri(3, dtype=bool), None),
        (
            [QUERY, VALUE],
            {"attention_mask": MASK[None].repeat(2, 0).astype(int), "use_causal_mask": True},
            MASK & np.tri(3, 4, dtype=bool),
            (2, 3),
        ),
    ],
)
def test_agrees_with_jax(inputs, options, mask, output_shape):
    layer = built(
        nn.MultiHeadAttention(2, 3, value_dim=4, output_shape=output_shape, dtype="float64"),
        *inputs,
    )
    weights = layer.get_weights()
    expected = jax_derivatives(lambda w, *i: attention(w, *i, mask=mask), weights, inputs)
    found = derivatives(layer, inputs, return_attention_scores=True, **options)
    agree(found, expected, 1e-9)


@pytest.mark.parametrize("options", [{}, {"attention_mask": MASK}, {"use_causal_mask": True}])
def test_derivatives_of_both_orders(options):
    layer = built(nn.MultiHeadAttention(2, 2, dtype="float64"), QUERY, VALUE)
    check_gradient(lambda q, v: layer(q, v, **options), QUERY, VALUE)


def test_nothing_comes_from_later_positions():
    layer = built(nn.MultiHeadAttention(2, 3, dtype="float64"), QUERY, QUERY)
    x = hg.Variable(QUERY)
    with hg.GradientTape() as tape:
        y = layer(x, x, use_causal_mask=True)[:, 1]
    reached = np.any(tape.gradient(y, x).numpy() != 0, axis=(0, 2))
    assert reached.tolist() == [True, True, False]


def test_a_row_that_is_masked_as_a_whole_is_finite():
    layer = built(nn.MultiHeadAttention(2, 3), QUERY, VALUE)
    x = hg.Variable(QUERY.astype(np.float32))
    with hg.GradientTape() as tape:
        y, scores = layer(x, VALUE, attention_mask=MASK & False, return_attention_scores=True)
    np.testing.assert_allclose(scores.numpy(), 1 / OTHERS)
    assert np.all(np.isfinite(y.numpy()))
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), 0)


def test_names_and_shapes_of_the_weights():
    shapes = {
        "query/kernel": (5, 2, 3),
        "query/bias": (2, 3),
        "key/kernel": (7, 2, 3),
        "key/bias": (2, 3),
        "value/kernel": (6, 2, 4),
        "value/bias": (2, 4),
        "attention_output/kernel": (2, 4, 5),
        "attention_output/bias": (5,),
    }
    called = nn.MultiHeadAttention(2, 3, value_dim=4, name="attention")
    called(QUERY, VALUE, KEY)
    explicit = nn.MultiHeadAttention(2, 3, value_dim=4, name="attention")
    explicit.build([(None, None, 5), (None, None, 6), (None, None, 7)])
    for layer in (called, explicit):
        found = {"/".join(v.name.split("/")[-2:]): v.shape for v in layer.variables}
        assert found == shapes
        assert list(found) == list(shapes)
    alone = nn.MultiHeadAttention(2, 3, use_bias=False)
    alone.build((None, None, 5))
    assert [v.shape for v in alone.variables] == [(5, 2, 3)] * 3 + [(2, 3, 5)]


def test_arguments_by_name_and_symbols():
    layer = built(nn.MultiHeadAttention(2, 3), QUERY, VALUE)
    y = layer(QUERY, VALUE)
    np.testing.assert_array_equal(layer(query=QUERY, value=VALUE).numpy(), y.numpy())
    np.testing.assert_array_equal(layer(QUERY, value=VALUE, key=VALUE).numpy(), y.numpy())
    query, value = nn.Input((POSITIONS, SIZE)), nn.Input((OTHERS, 6))
    model = nn.Model([query, value], layer(query, value))
    assert model.output_shape == (None, POSITIONS, SIZE)
    np.testing.assert_array_equal(model([QUERY, VALUE]).numpy(), y.numpy())


def test_shapes_and_dtypes():
    layer = built(nn.MultiHeadAttention(2, 3), QUERY, VALUE)
    assert layer(QUERY[:, :1], VALUE).shape == (BATCH, 1, SIZE)
    assert layer(QUERY[:0], VALUE[:0]).shape == (0, POSITIONS, SIZE)
    narrow = nn.MultiHeadAttention(2, 3, dtype="float16")
    narrow(QUERY, VALUE)
    narrow.set_weights(layer.get_weights())
    y = narrow(QUERY, VALUE, attention_mask=MASK)
    assert y.dtype == "float16"
    expected = layer(QUERY, VALUE, attention_mask=MASK).numpy()
    np.testing.assert_allclose(y.numpy(), expected, atol=2e-2)


def test_dropout_drops_weights_in_training():
    layer = built(nn.MultiHeadAttention(1, 2, dropout=0.5, seed=1), QUERY, VALUE)
    still, y = layer(QUERY, VALUE), layer(QUERY, VALUE, training=True)
    assert np.any(y.numpy() != still.numpy())
    np.testing.assert_array_equal(layer(QUERY, VALUE, training=False).numpy(), still.numpy())
    many = [layer(QUERY, VALUE, training=True).numpy() for _ in range(400)]
    deviation = np.std(many, axis=0) / 20  # of their mean
    assert np.all(np.abs(np.mean(many, axis=0) - still.numpy()) < 5 * deviation)


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (r"needs inputs of shape \(N, T, C\), got \(2, 3\)", lambda m: m(QUERY[..., 0], VALUE)),
        (r"\(2, 3, 5\) \(query\), \(1, 4, 6\) \(value\)", lambda m: m(QUERY, VALUE[:1])),
        (r"as many keys as values.*\(2, 3, 7\) \(key\)", lambda m: m(QUERY, VALUE, KEY[:, 1:])),
        (
            r"attention_mask of shape \(batch, positions, others\), here \(2, 3, 4\), got \(4, 3\)",
            lambda m: m(QUERY, VALUE, attention_mask=MASK.T),
        ),
        (r"num_heads must be a positive", lambda m: nn.MultiHeadAttention(0, 2)),
        (
            r"dropout must be from 0 to 1, got -1.0",
            lambda m: nn.MultiHeadAttention(1, 2, dropout=-1.0),
        ),
        (r"output_shape must be a positive", lambda m: nn.MultiHeadAttention(1, 2, output_shape=0)),
    ],
)
def test_mistakes_are_explained(message, action):
    with pytest.raises(ValueError, match=message):
        action(nn.MultiHeadAttention(2, 3))


class Block(nn.Model):
    def __init__(self):
        super().__init__()
        self.attend = nn.MultiHeadAttention(2, 3)
        self.norm = nn.LayerNormalization()

    def call(self, x):
        return self.norm(x + self.attend(x, x, use_causal_mask=True))


def test_a_training_step_has_no_finding():
    """The bias of the keys included: without influence, its gradient is rounding, not nothing."""
    model, optimizer = Block(), optim.SGD(0.1)
    x, target = (numbers(4, POSITIONS, SIZE, seed=k, dtype=np.float32) for k in range(2))
    with Watch() as watch:
        for _ in range(3):
            with hg.GradientTape() as tape:
                loss = hg.mean((model(x, training=True) - target) ** 2)
            weights = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    assert [(f.parameter, f.kind) for f in watch.findings()] == []
    assert len(weights) == 10
