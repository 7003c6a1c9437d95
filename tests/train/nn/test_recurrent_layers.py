"""Recurrent layers: values and gradients by formulas written out step by step, masks, states."""

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim
from headgate.flow.watch.headgate import Watch
from headgate.testing import check_gradient
from train.nn.agreement import agree, derivatives, fill, jax_derivatives, numbers

SHAPE = BATCH, STEPS, SIZE = 3, 6, 4
UNITS = 5
MASK = np.array([[1, 1, 1, 0, 1, 0], [0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
KINDS = [nn.SimpleRNN, nn.LSTM, nn.GRU]


def built(layer, *shape):
    layer.build(shape or SHAPE)
    fill(layer)
    return layer


# -- the formulas, in jax.numpy --------------------------------------------------------------------


def sigmoid(x):
    import jax.numpy as jnp

    return 1 / (1 + jnp.exp(-x))


def rnn_step(weights, x, state):
    import jax.numpy as jnp

    kernel, recurrent, bias = weights
    return [jnp.tanh(x @ kernel + state[0] @ recurrent + bias)]


def lstm_step(weights, x, state):
    import jax.numpy as jnp

    kernel, recurrent, bias = weights
    hidden, memory = state
    i, f, c, o = jnp.split(x @ kernel + hidden @ recurrent + bias, 4, axis=1)
    memory = sigmoid(f) * memory + sigmoid(i) * jnp.tanh(c)
    return [sigmoid(o) * jnp.tanh(memory), memory]


def gru_step(weights, x, state):
    import jax.numpy as jnp

    kernel, recurrent, (input_bias, recurrent_bias) = weights
    xz, xr, xh = jnp.split(x @ kernel + input_bias, 3, axis=1)
    hz, hr, hh = jnp.split(state[0] @ recurrent + recurrent_bias, 3, axis=1)
    z = sigmoid(xz + hz)
    return [z * state[0] + (1 - z) * jnp.tanh(xh + sigmoid(xr + hr) * hh)]


def gru_step_reset_before(weights, x, state):
    import jax.numpy as jnp

    (kz, kr, kh), (uz, ur, uh), (bz, br, bh) = (jnp.split(w, 3, axis=-1) for w in weights)
    z = sigmoid(x @ kz + state[0] @ uz + bz)
    r = sigmoid(x @ kr + state[0] @ ur + br)
    return [z * state[0] + (1 - z) * jnp.tanh(x @ kh + (r * state[0]) @ uh + bh)]


def along(step, states, mask=None):
    """Return a function of weights and inputs that goes along the steps; its result has states."""
    import jax.numpy as jnp

    def reference(weights, x):
        state = [jnp.zeros((len(x), UNITS)) for _ in range(states)]
        result = state[0]
        results = []
        for time in range(x.shape[1]):
            new = step(weights, x[:, time], state)
            keep = True if mask is None else mask[:, time, None]
            result = jnp.where(keep, new[0], result)
            state = [jnp.where(keep, n, s) for n, s in zip(new, state)]
            results.append(result)
        return [jnp.stack(results, axis=1), *state]

    return reference


@pytest.mark.light
@pytest.mark.peers
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("kind", "step", "options"),
    [
        (nn.SimpleRNN, rnn_step, {}),
        (nn.LSTM, lstm_step, {}),
        (nn.LSTM, lstm_step, {"activation": lambda x: hg.tanh(x)}),  # not the short way
        (nn.GRU, gru_step, {}),
        (nn.GRU, gru_step_reset_before, {"reset_after": False}),
    ],
)
def test_agrees_with_jax(kind, step, options, masked):
    x = numbers(*SHAPE)
    layer = built(kind(UNITS, return_sequences=True, return_state=True, dtype="float64", **options))
    mask = MASK if masked else None
    reference = along(step, kind.states, mask)
    expected = jax_derivatives(reference, layer.get_weights(), [x])
    agree(derivatives(layer, [x], mask=mask), expected, 1e-9)


@pytest.mark.parametrize("options", [{}, {"activation": "softsign"}])
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_of_both_orders(kind, options):
    layer = built(kind(2, dtype="float64", **options), 2, 3, 2)
    check_gradient(lambda x, h: layer(x, [h] * kind.states), numbers(2, 3, 2), numbers(2, 2))


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_results_by_options(kind):
    x = numbers(*SHAPE, dtype=np.float32)
    layer = built(kind(UNITS, return_sequences=True, return_state=True))
    whole, *state = layer(x)
    assert whole.shape == (BATCH, STEPS, UNITS)
    assert [s.shape for s in state] == [(BATCH, UNITS)] * kind.states
    np.testing.assert_array_equal(whole.numpy()[:, -1], state[0].numpy())
    weights = layer.get_weights()

    def other(x, mask=None, **options):
        layer = built(kind(UNITS, **options))
        layer.set_weights(weights)
        return layer(x, mask=mask)

    np.testing.assert_array_equal(other(x).numpy(), state[0].numpy())
    np.testing.assert_array_equal(
        other(x, MASK, go_backwards=True).numpy(), other(x[:, ::-1].copy(), MASK[:, ::-1]).numpy()
    )
    found, *_ = other(x, return_state=True)
    np.testing.assert_array_equal(found.numpy(), state[0].numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_can_be_taken_in_two_parts(kind):
    x = numbers(*SHAPE, dtype=np.float32)
    layer = built(kind(UNITS, return_state=True))
    whole, *_ = layer(x)
    _, *state = layer(x[:, :2])
    rest, *_ = layer(x[:, 2:], initial_state=state)
    np.testing.assert_allclose(rest.numpy(), whole.numpy(), rtol=1e-6)
    _, *state = layer(x[:, :2].astype(np.float64))
    rest, *_ = layer(x[:, 2:], [np.asarray(s, np.float64) for s in state])
    assert rest.dtype == "float32"


def test_what_a_mask_leaves_out_has_no_influence():
    layer = built(nn.LSTM(UNITS, dtype="float64"))
    x = hg.Variable(numbers(*SHAPE))
    with hg.GradientTape() as tape:
        y = layer(x, mask=MASK)
    reached = np.any(tape.gradient(y, x).numpy() != 0, axis=-1)
    np.testing.assert_array_equal(reached, MASK)
    np.testing.assert_array_equal(y.numpy()[2], 0)
    np.testing.assert_array_equal(layer(x, mask=MASK.astype(int)).numpy(), y.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_drops_the_same_inputs_at_all_steps(kind):
    layer = built(kind(UNITS, dropout=0.5, seed=3, dtype="float64"))
    x = hg.Variable(numbers(*SHAPE))
    np.testing.assert_array_equal(layer(x).numpy(), layer(x, training=False).numpy())
    with hg.GradientTape() as tape:
        y = layer(x, training=True)
    reached = tape.gradient(y, x).numpy() != 0
    np.testing.assert_array_equal(reached, reached[:, :1].repeat(STEPS, axis=1))
    assert 0 < reached.mean() < 1
    assert np.any(layer(x, training=True).numpy() != y.numpy())


def test_weights_begin_as_in_keras():
    layer = nn.LSTM(UNITS)
    layer.build((None, None, SIZE))
    kernel, recurrent, bias = layer.get_weights()
    np.testing.assert_array_equal(bias, np.repeat([0, 1, 0, 0], UNITS))
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(UNITS), atol=1e-6)
    assert np.abs(kernel).max() <= np.sqrt(6 / (SIZE + 4 * UNITS))
    assert not np.any(nn.LSTM(1, unit_forget_bias=False)(numbers(1, 1, 1), None).numpy() == 1)
    plain = nn.LSTM(UNITS, unit_forget_bias=False)
    plain.build(SHAPE)
    assert not np.any(plain.bias.numpy())
    gru = nn.GRU(UNITS)
    gru.build(SHAPE)
    assert gru.bias.shape == (2, 3 * UNITS)
    assert [v.name.split("/")[-1] for v in gru.variables] == ["kernel", "recurrent_kernel", "bias"]
    bare = nn.GRU(UNITS, use_bias=False, reset_after=False)
    bare.build(SHAPE)
    assert len(bare.variables) == 2


# -- shapes, dtypes, mistakes ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_dtypes(kind):
    model = nn.Sequential([nn.Input((STEPS, SIZE)), kind(UNITS, return_sequences=True), kind(2)])
    assert model.output_shape == (None, 2)
    assert model(numbers(*SHAPE)).shape == (BATCH, 2)
    assert model(numbers(0, STEPS, SIZE)).shape == (0, 2)
    assert model(np.ones(SHAPE, int)).dtype == "float32"
    assert model(numbers(BATCH, 1, SIZE)).shape == (BATCH, 2)
    narrow, wide = (built(kind(UNITS, dtype=d)) for d in ("float16", "float64"))
    x = numbers(*SHAPE)
    y = narrow(x)
    assert y.dtype == "float16"
    np.testing.assert_allclose(y.numpy(), wide(x).numpy(), atol=2e-2)


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (r"needs inputs of shape \(N, T, C\), got \(3, 4\)", lambda: nn.LSTM(2)(numbers(3, 4))),
        (r"\(batch, steps, 4\).*\(3, 6, 5\)", lambda: built(nn.GRU(2))(numbers(3, 6, 5))),
        (r"one step at least.*\(3, 0, 4\)", lambda: built(nn.GRU(2))(numbers(3, 0, 4))),
        (r"needs to know the size", lambda: nn.GRU(2).build((None, 3, None))),
        (
            r"initial_state of 2 tensor\(s\) of shape \(3, 2\), got shapes \[\(3, 2\)\]",
            lambda: nn.LSTM(2)(numbers(*SHAPE), initial_state=numbers(3, 2)),
        ),
        (
            r"mask of shape \(batch, steps\), here \(3, 6\), got \(3, 5\)",
            lambda: nn.LSTM(2)(numbers(*SHAPE), mask=MASK[:, 1:]),
        ),
        (r"GRU: dropout must be from 0 to 1, got 2", lambda: nn.GRU(2, dropout=2)),
        (r"LSTM: units must be a positive", lambda: nn.LSTM(0)),
    ],
)
def test_mistakes_are_explained(message, action):
    with pytest.raises(ValueError, match=message):
        action()


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_step_has_no_finding(kind):
    model = nn.Sequential([kind(4, return_sequences=True), kind(3), nn.Dense(1)])
    optimizer = optim.SGD(0.1)
    x = numbers(*SHAPE, dtype=np.float32)
    with Watch() as watch:
        for _ in range(3):
            with hg.GradientTape() as tape:
                loss = hg.mean((model(x, training=True) - 1.0) ** 2)
            weights = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    assert [(f.parameter, f.kind) for f in watch.findings()] == []


@pytest.mark.peers
@pytest.mark.parametrize("kind", KINDS)
def test_traces_under_jax(kind):
    import jax

    layer = built(kind(UNITS))
    x = numbers(*SHAPE, dtype=np.float32)

    def gradient(x):
        x = hg.asarray(x)
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = hg.sum(layer(x, mask=MASK))
        return tape.gradient(y, x).value

    np.testing.assert_allclose(jax.jit(gradient)(x), gradient(x), rtol=1e-4, atol=1e-6)
