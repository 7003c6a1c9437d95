"""What all optimizers have in common: weight decay, clipping, learning rates, refusals, `apply`."""

import math
import warnings

import numpy as np
import pytest

import headgate as hg
from headgate import optim

EVERY = [optim.SGD, optim.RMSprop, optim.Adagrad, optim.Adam, optim.AdamW, optim.Lion]


# -- weight decay ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (200, 100)])
@pytest.mark.parametrize("kind", EVERY)
def test_weights_decay_beside_the_rule(kind, shape):
    random = np.random.default_rng(0)
    v = hg.Variable(random.standard_normal(shape))
    plain = hg.Variable(v)
    without = {"weight_decay": 0.0} if kind is optim.AdamW else {}
    one, other = kind(0.1, weight_decay=0.5), kind(0.1, **without)
    for _ in range(3):
        g = random.standard_normal(shape)
        before = v.numpy()
        plain.assign(before)
        one.apply([g], [v])
        other.apply([g], [plain])
        np.testing.assert_allclose(v.numpy(), plain.numpy() - 0.05 * before, rtol=1e-9, atol=1e-12)


def test_variables_excluded_from_weight_decay():
    a, b, c = (hg.Variable(1.0, name=name) for name in ("dense/kernel", "dense/bias", "gain"))
    optimizer = optim.SGD(0.5, weight_decay=1.0)
    optimizer.exclude_from_weight_decay([c], ["bias", "gamma"])
    with pytest.warns(UserWarning, match="matches 'gamma'; their names are dense/kernel, dense/bi"):
        optimizer.apply([0.0, 0.0, 0.0], [a, b, c])
    assert (a.numpy(), b.numpy(), c.numpy()) == (0.5, 1.0, 1.0)
    optimizer.exclude_from_weight_decay(var_list=[a])
    optimizer.apply([0.0, 0.0, 0.0], [a, b, c])
    assert (a.numpy(), b.numpy(), c.numpy()) == (0.5, 0.5, 0.5)
    with pytest.raises(TypeError, match=r"list of texts; give \['bias'\]"):
        optimizer.exclude_from_weight_decay(var_names="bias")
    with pytest.raises(TypeError, match="list of variables, not of str"):
        optimizer.exclude_from_weight_decay(["bias"])


@pytest.mark.parametrize(
    ("pattern", "excluded"),
    [
        ("bias", ["model/dense/bias", "model/out/bias"]),
        ("*/bias", ["model/dense/bias", "model/out/bias"]),
        ("dense/*", ["model/dense/kernel", "model/dense/bias"]),
        ("model/out/?ias", ["model/out/bias"]),
        ("model/dense/kernel", ["model/dense/kernel"]),
        ("*", ["model/dense/kernel", "model/dense/bias", "model/out/bias"]),
        ("ker[n]el", ["model/dense/kernel"]),
    ],
)
def test_patterns_of_names_that_do_not_decay(pattern, excluded):
    names = ["model/dense/kernel", "model/dense/bias", "model/out/bias"]
    variables = [hg.Variable(1.0, name=name) for name in names]
    optimizer = optim.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=[pattern])
    optimizer.apply([0.0] * 3, variables)
    assert [v.name for v in variables if float(v) == 1.0] == excluded


@pytest.mark.parametrize("pattern", ["biases", "*/biases", "(bias|gamma)", "out/*"])
def test_a_pattern_that_matches_nothing_warns_once(pattern):
    v = hg.Variable(1.0, name="dense/bias")
    optimizer = optim.SGD(0.5, weight_decay=1.0)
    optimizer.exclude_from_weight_decay(var_names=["dense", pattern])
    with pytest.warns(UserWarning, match="no variable of this step matches .*dense/bias") as said:
        optimizer.apply([0.0], [v])
    assert len(said) == 1
    assert repr(pattern) in str(said[0].message)
    assert said[0].filename == __file__
    optimizer.apply_gradients([(0.0, v)])
    with pytest.raises(TypeError, match="list of texts, not of Variable"):
        optimizer.exclude_from_weight_decay(var_names=[v])


# -- clipping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(
    ("option", "clip"),
    [
        ("clipnorm", lambda gradients: [optim.clip_by_norm(g, 0.5) for g in gradients]),
        ("clipvalue", lambda gradients: [optim.clip_by_value(g, -0.5, 0.5) for g in gradients]),
        ("global_clipnorm", lambda gradients: optim.clip_by_global_norm(gradients, 0.5)[0]),
    ],
)
def test_gradients_are_clipped(kind, option, clip):
    gradients = [np.float32([3.0, -4.0]), None, np.array(0.1)]
    start = [np.float32([1.0, 2.0]), 1.0, 2.0]
    ours, others = ([hg.Variable(x) for x in start] for _ in range(2))
    one, other = kind(0.1, **{option: 0.5}), kind(0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the second one has no gradient
        for _ in range(3):
            one.apply(gradients, ours)
            other.apply(clip(gradients), others)
    for a, b, x in zip(ours, others, start):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert a.dtype == np.asarray(x).dtype


def test_one_way_of_clipping():
    with pytest.raises(ValueError, match=r"Adam: .*one way only, got clipnorm and global_clipnorm"):
        optim.Adam(clipnorm=1.0, global_clipnorm=1.0)


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, np.float32(-1), np.array(-1.0)])
def test_learning_rate_out_of_range(rate):
    with pytest.raises(ValueError, match="Lion: learning_rate must be 0 or a positive number, got"):
        optim.Lion(rate)
    optimizer = optim.Lion(0.1)
    with pytest.raises(ValueError, match="learning_rate must be 0 or a positive"):
        optimizer.learning_rate = rate
    assert optimizer.learning_rate == 0.1
    v = hg.Variable(1.0, name="v")
    optimizer.learning_rate = lambda step: rate
    with pytest.raises(ValueError, match="learning_rate must be 0 or a positive"):
        optimizer.apply([1.0], [v])
    assert v.numpy() == 1.0
    assert optimizer.iterations.numpy() == 0
    assert optimizer.get_state().keys() == {"rule", "version", "iterations"}


@pytest.mark.parametrize("rate", [None, "0.1", [0.1]])
def test_learning_rate_that_is_no_number(rate):
    with pytest.raises(TypeError, match="SGD: learning_rate must be a number or a function"):
        optim.SGD(rate)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (optim.SGD, {"momentum": -0.1}, "SGD: momentum must be from 0 to 1, got -0.1"),
        (optim.RMSprop, {"rho": 1.0}, "RMSprop: rho must be at least 0 and below 1, got 1.0"),
        (optim.RMSprop, {"momentum": 1.1}, "RMSprop: momentum must be from 0 to 1"),
        (optim.RMSprop, {"epsilon": -1e-7}, "RMSprop: epsilon must be 0 or a positive"),
        (optim.Adagrad, {"initial_accumulator_value": -1.0}, "initial_accumulator_value"),
        (optim.Adagrad, {"epsilon": math.nan}, "Adagrad: epsilon"),
        (optim.Adam, {"beta_1": 1.0}, "Adam: beta_1 must be at least 0 and below 1, got 1.0"),
        (optim.Adam, {"beta_2": -0.1}, "Adam: beta_2"),
        (optim.Adam, {"beta_2": "0.9"}, "Adam: beta_2 .* got '0.9'"),
        (optim.Adam, {"epsilon": -1.0}, "Adam: epsilon"),
        (optim.AdamW, {"beta_1": 2}, "AdamW: beta_1"),
        (optim.AdamW, {"weight_decay": None}, "AdamW: weight_decay .* got None"),
        (optim.Lion, {"beta_1": -1}, "Lion: beta_1"),
        (optim.Lion, {"beta_2": 1}, "Lion: beta_2"),
        *((kind, {"weight_decay": -1.0}, "weight_decay must be 0 or a positive") for kind in EVERY),
        *((kind, {"clipnorm": 0.0}, "clipnorm must be a positive") for kind in EVERY),
        (optim.SGD, {"clipvalue": math.nan}, "clipvalue must be a positive"),
        (optim.SGD, {"global_clipnorm": -1}, "global_clipnorm must be a positive"),
    ],
)
def test_out_of_range(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_unknown_arguments():
    with pytest.raises(TypeError, match="lr"):
        optim.Adam(lr=0.1)


def test_apply():
    a, b = hg.Variable(1.0, name="a"), hg.Variable([1.0, 2.0], name="b")
    optimizer = optim.SGD(0.5)
    optimizer.apply(iter([1.0, np.ones(2)]), iter([a, b]))
    assert (a.numpy(), b.numpy().tolist()) == (0.5, [0.5, 1.5])
    with pytest.raises(ValueError, match="apply: 1 gradients for 2 variables"):
        optimizer.apply([1.0], [a, b])
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables \['b'\]") as caught:
        optimizer.apply([1.0, None], [a, b])
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match=r"No gradients provided.*\['a', 'b'\]"):
        optimizer.apply([None, None], [a, b])
    with pytest.raises(ValueError, match=r"'b' has the shape \(\) and the variable \(2,\)"):
        optimizer.apply([1.0, 1.0], [a, b])
    assert (a.numpy(), b.numpy().tolist()) == (0.0, [0.5, 1.5])
    assert optimizer.iterations.numpy() == 2


def test_names_of_keras():
    import headgate.tf as tf

    v = tf.Variable(1.0)
    rate = tf.keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    for name in ("SGD", "RMSprop", "Adagrad", "Adam", "AdamW", "Lion"):
        optimizer = getattr(tf.keras.optimizers, name)(learning_rate=rate, clipnorm=1.0)
        before = v.numpy()
        optimizer.apply_gradients([(tf.constant(1.0), v)])
        assert v.numpy() < before
