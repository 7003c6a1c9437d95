"""Optimizers: rules against formulas, None gradients, what a step leaves alone."""

import gc
import math

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim

# -- the rules, element by element, in plain Python ------------------------------------------------


def sgd(x, gradients, rate=0.01, momentum=0.0, nesterov=False):
    m = 0.0
    for g in gradients:
        m = momentum * m - rate * g
        x += momentum * m - rate * g if nesterov else m
    return x


def rmsprop(x, gradients, rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
    square = mean = change = 0.0
    for g in gradients:
        square = rho * square + (1 - rho) * g**2
        mean = rho * mean + (1 - rho) * g
        spread = square - mean**2 if centered else square
        change = momentum * change + rate * g / math.sqrt(spread + epsilon)
        x -= change
    return x


def adagrad(x, gradients, rate=0.001, start=0.1, epsilon=1e-7):
    total = start
    for g in gradients:
        total += g**2
        x -= rate * g / math.sqrt(total + epsilon)
    return x


def adam(x, gradients, rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, decay=0):
    m = v = largest = 0.0
    for t, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        largest = max(largest, v) if amsgrad else v
        alpha = rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        x -= alpha * m / (math.sqrt(largest) + epsilon) + rate * decay * x
    return x


def adamw(x, gradients, rate=0.001, decay=0.004, *others):
    return adam(x, gradients, rate, *(others or ADAM), decay=decay)


def lion(x, gradients, rate=0.001, beta_1=0.9, beta_2=0.99):
    m = 0.0
    for g in gradients:
        x -= rate * math.copysign(1.0, beta_1 * m + (1 - beta_1) * g)
        m = beta_2 * m + (1 - beta_2) * g
    return x


ADAM = (0.9, 0.999, 1e-7)


RULES = [
    (optim.SGD, sgd, ()),
    (optim.SGD, sgd, (0.1, 0.9)),
    (optim.SGD, sgd, (0.1, 0.9, True)),
    (optim.RMSprop, rmsprop, ()),
    (optim.RMSprop, rmsprop, (0.01, 0.8, 0.5, 1e-3)),
    (optim.RMSprop, rmsprop, (0.01, 0.8, 0.5, 1e-3, True)),
    (optim.RMSprop, rmsprop, (0.01, 0.8, 0.0, 1e-3, True)),
    (optim.Adam, adam, ()),
    (optim.Adam, adam, (0.1, 0.5, 0.9, 1e-3)),
    (optim.Adam, adam, (0.1, 0.5, 0.9, 1e-3, True)),
    (optim.Adagrad, adagrad, ()),
    (optim.Adagrad, adagrad, (0.1, 0.5, 1e-3)),
    (optim.AdamW, adamw, ()),
    (optim.AdamW, adamw, (0.1, 0.2, 0.5, 0.9, 1e-3, True)),
    (optim.Lion, lion, ()),
    (optim.Lion, lion, (0.1, 0.8, 0.9)),
]


@pytest.mark.parametrize(("kind", "formula", "options"), RULES)
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (130, 150)])
def test_rule(kind, formula, options, shape):
    random = np.random.default_rng(0)
    start, gradients = random.standard_normal(shape), random.standard_normal((50, *shape))
    v = hg.Variable(start)
    optimizer = kind(*options)
    for g in gradients:
        optimizer.apply_gradients([(hg.asarray(g), v)])
    flat, flat_gradients = np.reshape(start, -1), gradients.reshape(50, -1)
    some = range(0, flat.size, 997)
    expected = [formula(flat[k], flat_gradients[:, k], *options) for k in some]
    assert len(expected) or not flat.size
    np.testing.assert_allclose(v.numpy().reshape(-1)[::997], expected, rtol=1e-9)
    assert v.shape == shape
    assert optimizer.iterations.numpy() == 50


@pytest.mark.parametrize(("kind", "formula", "options"), RULES)
def test_rule_in_single_precision(kind, formula, options):
    random = np.random.default_rng(1)
    start = random.standard_normal(20, np.float32)
    gradients = random.standard_normal((50, 20), np.float32)
    v = hg.Variable(start)
    optimizer = kind(*options)
    for g in gradients:
        optimizer.apply([g], [v])
    expected = [
        formula(x, history, *options)
        for x, history in zip(start.astype(float), gradients.T.astype(float))
    ]
    np.testing.assert_allclose(v.numpy(), expected, rtol=1e-5, atol=1e-5)
    assert {cell.dtype.name for cell in [v, *optimizer.variables[1:]]} == {"float32"}


EVERY = [optim.SGD, optim.RMSprop, optim.Adagrad, optim.Adam, optim.AdamW, optim.Lion]


@pytest.mark.parametrize("kind", [optim.SGD, optim.RMSprop, optim.Adam])
def test_minimizes(kind):
    target = np.array([1.0, -2.0])
    v = hg.Variable(np.zeros(2), name="v")
    optimizer = kind(0.05)
    for _ in range(300):
        optimizer.minimize(lambda: hg.sum((v - target) ** 2), [v])
    np.testing.assert_allclose(v.numpy(), target, atol=0.05)


# -- hyper-parameters ------------------------------------------------------------------------------


def test_hyper_parameters_are_fields():
    v = hg.Variable(1.0)
    optimizer = optim.SGD(0.5)
    optimizer.learning_rate = 0.25
    optimizer.apply_gradients([(hg.asarray(1.0), v)])
    assert v.numpy() == 0.75
    optimizer.momentum = 0.5  # what the rule needs besides is made then
    optimizer.apply_gradients([(hg.asarray(1.0), v)])
    optimizer.apply_gradients([(hg.asarray(1.0), v)])
    assert v.numpy() == 0.75 - 0.25 - 0.375
    assert repr(optimizer) == f"<SGD name={optimizer.name}, learning_rate=0.25>"
    with pytest.raises(ValueError, match="momentum must be from 0 to 1, got 2"):
        optim.SGD(momentum=2)


def test_learning_rate_may_be_a_function_of_the_steps_done():
    seen = []
    v = hg.Variable(np.float32(0))
    optimizer = optim.SGD(lambda step: seen.append(step) or np.float64(10.0**-step))
    for _ in range(3):
        optimizer.apply_gradients([(hg.asarray(np.float32(1)), v)])
    assert seen == [0, 1, 2]
    np.testing.assert_allclose(v.numpy(), -1.11, rtol=1e-6)
    assert v.dtype == "float32"


@pytest.mark.parametrize(
    "rate", [0.1, np.float64(0.1), np.array(0.1), hg.asarray(0.1), hg.Variable(0.1)]
)
@pytest.mark.parametrize("shape", [(), (2,), (200, 200)])
def test_dtypes_stay(rate, shape):
    v = hg.Variable(np.ones(shape, np.float32))
    optimizer = optim.Adam(rate)
    for _ in range(2):
        optimizer.apply_gradients([(np.ones(shape), v)])
    assert [cell.dtype for cell in optimizer.variables] == ["int64", "float32", "float32"]
    assert v.dtype == "float32"
    np.testing.assert_allclose(v.numpy(), np.full(shape, 0.8), rtol=1e-5)


# -- gradients that are missing or wrong -----------------------------------------------------------


def test_no_gradient_at_all():
    v, w = hg.Variable(1.0, name="v"), hg.Variable(1.0, name="w")
    optimizer = optim.SGD()
    with pytest.raises(
        ValueError, match=r"No gradients provided for any variable.*\['v', 'w'\].*why"
    ):
        optimizer.apply_gradients([(None, v), (None, w)])
    with pytest.raises(
        ValueError, match="No gradients provided for any variable: the list is empty"
    ):
        optimizer.apply_gradients([])
    assert optimizer.iterations.numpy() == 0


def test_some_gradients_missing_warns_once_for_the_same_variables():
    v, w = hg.Variable(1.0, name="v"), hg.Variable(1.0, name="w")
    optimizer = optim.SGD(0.5)
    pairs = [(hg.asarray(1.0), v), (None, w)]
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables \['w'\]") as caught:
        optimizer.apply_gradients(pairs)
    assert caught[0].filename == __file__
    optimizer.apply_gradients(pairs)
    assert (v.numpy(), w.numpy()) == (0.0, 1.0)
    with pytest.warns(UserWarning, match=r"\['v'\]"):
        optimizer.apply_gradients([(None, v), (hg.asarray(1.0), w)])


def test_what_does_not_fit_is_refused_before_anything_changes():
    v, w = hg.Variable([1.0, 2.0], name="v"), hg.Variable(1.0, name="w")
    optimizer = optim.Adam(0.5)
    g = hg.asarray([1.0, 1.0])
    for exception, message, pairs in [
        (ValueError, r"'w' has the shape \(2,\) and the variable \(\)", [(g, v), (g, w)]),
        (TypeError, r"pairs.*not \(Variable, Tensor\)", [(g, v), (v, g)]),
        (TypeError, "pairs.*not Tensor", [g, v]),
    ]:
        with pytest.raises(exception, match=message):
            optimizer.apply_gradients(pairs)
    assert v.numpy().tolist() == [1.0, 2.0]
    assert optimizer.iterations.numpy() == 0


def test_minimize_says_why_no_gradient_arrives():
    v, w = hg.Variable(1.0, name="v"), hg.Variable(1.0, name="w")
    with pytest.raises(
        ValueError, match=r"(?s)No gradients.*v: cut.*stop_gradient.*test_optim.*w: "
    ):
        optim.SGD().minimize(lambda: hg.stop_gradient(v * 2.0), [v, w])
    with hg.GradientTape() as tape:
        loss = v * v
    optim.SGD(0.25).minimize(loss, [v], tape)
    assert v.numpy() == 0.5
    with pytest.raises(ValueError, match="the tape it was computed under"):
        optim.SGD().minimize(loss, [v])


# -- what a step leaves alone ----------------------------------------------------------------------


def test_state_is_named_and_not_trainable():
    nn.reset_names()
    dense = nn.Dense(2)
    dense.build((None, 3))
    optimizer = optim.Adam()
    assert [v.name for v in optimizer.variables] == ["adam/iteration"]
    optimizer.build(dense.variables)
    assert [v.name for v in optimizer.variables] == [
        "adam/iteration",
        "adam/dense/kernel/momentum",
        "adam/dense/kernel/velocity",
        "adam/dense/bias/momentum",
        "adam/dense/bias/velocity",
    ]
    assert not any(v.trainable for v in optimizer.variables)
    assert optim.Adam().name == "adam_1"
    assert optim.SGD(name="mine").name == "mine"
    assert optim.RMSprop(momentum=0.1, centered=True).state_names == (
        *("velocity", "average_gradient", "momentum"),
    )


def test_a_step_is_not_recorded():
    v = hg.Variable([1.0, 2.0], name="v")
    optimizer = optim.Adam(0.5)
    with hg.GradientTape(persistent=True) as tape:
        y = hg.sum(v * v)
        with tape.stop_recording():
            g = tape.gradient(y, v)
        optimizer.apply_gradients([(g, v)])
        z = hg.sum(v * v)
    assert [w.name for w in tape.watched_variables()] == ["v"]
    np.testing.assert_allclose(tape.gradient(y, v).numpy(), [2.0, 4.0])
    np.testing.assert_allclose(tape.gradient(z, v).numpy(), 2 * v.numpy())
    assert tape.why(z, v).connected
    assert not tape.why(z, v).cuts


def test_a_step_that_breaks_a_gradient_of_higher_order_is_a_cut():
    v, w = hg.Variable(1.0, name="v"), hg.Variable(3.0, name="w")
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            loss = w * v * v
        optim.SGD(0.1).apply_gradients([(inner.gradient(loss, v), v)])
        after = v * v
    verdict = outer.why(after, w)
    assert verdict.kind == "stateful_write"
    assert "apply_gradients" in verdict.cuts[-1].text
    assert outer.gradient(after, w) is None


LARGE = (200, 100)  # goes through the rule in parts


@pytest.mark.parametrize("shape", [(3,), LARGE])
@pytest.mark.parametrize("kind", EVERY)
def test_values_that_somebody_holds_are_not_written_over(kind, shape):
    v = hg.Variable(np.ones(shape))
    optimizer = kind(0.5)

    def step():
        optimizer.apply_gradients([(np.ones(shape), v)])

    step()
    before = v.numpy()
    held = v.read_value()
    view = np.asarray(v.read_value())[..., 1:]
    with hg.GradientTape() as tape:
        y = hg.sum(v * v)
    state = [cell.read_value() for cell in optimizer.variables]
    state_before = [s.numpy() for s in state]
    for _ in range(2):
        step()
    assert np.any(v.numpy() != before)
    np.testing.assert_array_equal(held.numpy(), before)
    np.testing.assert_array_equal(view, before[..., 1:])
    np.testing.assert_array_equal(tape.gradient(y, v).numpy(), 2 * before)
    for tensor, value in zip(state, state_before, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), value)


def test_a_gradient_that_is_the_value_itself():
    v = hg.Variable(np.ones(LARGE))
    optimizer = optim.SGD(0.5)
    for _ in range(2):
        optimizer.apply_gradients([(v, v)])
    np.testing.assert_array_equal(v.numpy(), np.full(LARGE, 0.25))


def test_memory_that_nobody_else_holds_is_used_again():
    v = hg.Variable(np.ones(LARGE))
    optimizer = optim.Adam(0.5)
    g = np.asfortranarray(np.ones(LARGE))
    optimizer.apply_gradients([(g, v)])
    addresses = [cell._value.ctypes.data for cell in (v, *optimizer.variables[1:])]
    gc.collect()
    optimizer.apply_gradients([(g, v)])
    assert [cell._value.ctypes.data for cell in (v, *optimizer.variables[1:])] == addresses


def test_parts_give_what_the_whole_gives():
    random = np.random.default_rng(0)
    start, gradients = random.standard_normal((130, 151)), random.standard_normal((5, 130, 151))
    whole, parts = hg.Variable(start), hg.Variable(start)
    one, other = optim.Adam(0.1), optim.Adam(0.1)
    for g in gradients:
        one.apply_gradients([(g, parts)])
        (state,) = other._cells([whole])
        step = int(other.iterations.numpy()) + 1
        results = other.rule(np, 0.1, step, g, *(cell.numpy() for cell in state))
        for cell, result in zip(state, results, strict=True):
            cell.assign(result)
        other.iterations.assign_add(1)
    np.testing.assert_array_equal(whole.numpy(), parts.numpy())


@pytest.mark.peers
@pytest.mark.parametrize("kind", EVERY)
def test_arrays_of_jax(kind):
    import jax.numpy as jnp

    for start in (np.ones(3, np.float32), jnp.ones(3, jnp.float32)):
        v = hg.Variable(start)
        same = hg.Variable(np.ones(3, np.float32))
        optimizer, other = kind(0.1), kind(0.1)
        for _ in range(3):
            optimizer.apply_gradients([(hg.asarray(jnp.ones(3, jnp.float32)), v)])
            other.apply_gradients([(np.ones(3), same)])
        assert type(v._value) is type(jnp.ones(3))
        assert v.dtype == "float32"
        np.testing.assert_allclose(np.asarray(v.numpy()), same.numpy(), rtol=1e-6)
