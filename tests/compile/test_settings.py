"""What is set after the first compiled call has effect; what costs no new program costs none."""

import warnings

import numpy as np
import pytest

import headgate as hg
from headgate import losses, metrics, nn, optim
from headgate.core.settings import changes

pytest.importorskip("jax")

X = np.random.default_rng(0).normal(size=(64, 4)).astype("f")


def same(compiled, eager):
    np.testing.assert_allclose(np.asarray(compiled), np.asarray(eager), rtol=1e-4, atol=1e-5)


def test_mode():
    model = nn.Sequential([nn.Dense(8), nn.BatchNormalization(), nn.Dropout(0.5)])
    model(X)
    forward = hg.function(lambda x: model(x))
    model.train()
    forward(X)
    model.eval()
    same(forward(X), model(X))
    assert len(forward.signatures) == 2
    statistics = model.non_trainable_variables[0]
    before = statistics.numpy()
    model.train()
    assert np.mean(forward(X).numpy() == 0) > 0.3
    assert np.any(statistics.numpy() != before)
    model.eval()
    same(forward(X), model(X))
    assert len(forward.signatures) == 2  # both are remembered


def test_mode_of_a_layer_inside():
    model = nn.Sequential([nn.Dense(8), nn.Dropout(1.0)])
    forward = hg.function(lambda x: model(x, training=True))
    assert not forward(X).numpy().any()
    assert not forward(X).numpy().any()
    model.layers[1].eval()
    same(forward(X), model(X, training=True))


def test_mode_that_a_calling_layer_hands_down():
    drop = nn.Dropout(1.0)

    class Outer(nn.Layer):
        def __init__(self):
            super().__init__()
            self.inner = hg.function(lambda x: drop(x))

        def call(self, x, training=None):
            return self.inner(x)

    outer = Outer()
    for training in (False, True, False, True):
        assert outer(X, training=training).numpy().any() == (not training)
    assert len(outer.inner.signatures) == 2


def test_the_gradient_is_that_of_the_mode_of_the_call():
    drop = nn.Dropout(1.0)
    forward = hg.function(lambda x: hg.sum(drop(x)))
    x = hg.asarray(X)
    for mode in (False, True, False, True):
        drop.train(mode)
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = forward(x)
        drop.train(not mode)
        assert tape.gradient(y, x).numpy().any() == (not mode)


def trained(net, optimizer):
    @hg.function
    def step(x):
        with hg.GradientTape() as tape:
            loss = hg.mean(net(x) ** 2)
        optimizer.apply(tape.gradient(loss, net.trainable_variables), net.trainable_variables)
        return loss

    return step


@pytest.mark.parametrize("how", ["freeze", "trainable"])
def test_freezing(how):
    net = nn.Sequential([nn.Dense(3, name="a"), nn.Dense(1, name="b")])
    net(X)
    step = trained(net, optim.SGD(0.1))

    def moved():
        before = [v.numpy() for v in net.variables]
        step(X)
        return [bool(np.any(v.numpy() != old)) for v, old in zip(net.variables, before)]

    assert all(moved())
    for _ in range(2):
        if how == "freeze":
            net.freeze("a/*")
        else:
            net.layers[0].trainable = False
        assert moved() == [False, False, True, True]
        if how == "freeze":
            net.unfreeze("a/*")
        else:
            net.layers[0].trainable = True
        assert all(moved())
    assert len(step.signatures) == 2


def test_attributes_of_layers():
    class Scale(nn.Layer):
        def __init__(self):
            super().__init__()
            self.rate = 2.0
            self.steps = 0

        def call(self, x):
            return x * self.rate

    layer = Scale()
    f = hg.function(lambda x: layer(x))
    same(f(X), 2 * X)
    layer.rate = 0.1
    same(f(X), np.float32(0.1) * X)
    layer.rate = 2.0
    for layer.steps in range(5):  # nobody read it
        same(f(X), 2 * X)
    assert len(f.signatures) == 2


def test_layers_that_come_and_go():
    model = nn.Sequential([nn.Dense(2)])
    f = hg.function(lambda x: model(x))
    f(X)
    model.add(nn.Activation("relu"))
    same(f(X), model(X))
    model.pop()
    same(f(X), model(X))


def test_what_a_call_sets_itself_is_no_setting():
    class Counts(nn.Layer):
        calls = 0

        def call(self, x):
            self.calls = self.calls + 1
            return x

    layer = Counts()
    f = hg.function(lambda x: layer(x))
    for _ in range(5):
        f(X)
        layer(X)
    assert len(f.signatures) == 1


def test_what_layers_and_optimizers_note_of_themselves_is_no_setting():
    """Names, shapes and the like, though a trace reads them."""
    model, optimizer = nn.Sequential([nn.Dense(2, name="a"), nn.Dense(1)]), optim.SGD(0.1)
    model(X)
    step = trained(model, optimizer)
    step(X)
    model.layers[0].output_shape = model.output_shape = None
    model.layers[0].name, optimizer.name = "b", "other"
    step(X)
    assert len(step.signatures) == 1
    assert model.layers[0].name == "b"


def test_what_no_trace_has_read_costs_no_look():
    model = nn.Sequential([nn.Dense(2)])
    f = hg.function(lambda x: model(x))
    f(X)
    other = nn.Dense(2)
    before = changes.count
    other.notes, other.activation = ["a list"], hg.tanh
    optim.SGD(0.1).momentum = 0.5
    assert changes.count == before
    model.layers[0].activation = hg.tanh
    assert changes.count > before


def second_step(make, change, compiled):
    v, optimizer = hg.Variable(1.0), make()

    def step():
        optimizer.apply([hg.asarray(1.0)], [v])

    step = hg.function(step) if compiled else step
    step()
    change(optimizer)
    before = float(v)
    step()
    return float(v) - before, step


CHANGES = {
    "learning_rate": (lambda o: setattr(o, "learning_rate", 0.5), 1),
    "assign": (lambda o: o.learning_rate.assign(0.5), 1),
    "in place": (lambda o: setattr(o, "learning_rate", o.learning_rate * 5), 1),
    "schedule": (lambda o: setattr(o, "learning_rate", optim.schedules.Constant(0.5)), 2),
    "clipvalue": (lambda o: setattr(o, "clipvalue", 0.1), 2),
    "clipnorm": (lambda o: setattr(o, "clipnorm", 0.1), 2),
    "global_clipnorm": (lambda o: setattr(o, "global_clipnorm", 0.1), 2),
    "weight_decay": (lambda o: setattr(o, "weight_decay", 0.5), 2),
}
OPTIMIZERS = {
    "SGD": lambda: optim.SGD(0.1),
    "momentum": lambda: optim.SGD(0.1, momentum=0.9),
    "Adam": lambda: optim.Adam(0.1),
    "RMSprop": lambda: optim.RMSprop(0.1),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_hyper_parameters(rule, change):
    change, signatures = CHANGES[change]
    eager, _ = second_step(OPTIMIZERS[rule], change, compiled=False)
    compiled, step = second_step(OPTIMIZERS[rule], change, compiled=True)
    assert compiled == pytest.approx(eager, rel=1e-6)
    assert len(step.signatures) == signatures


def test_momentum():
    def change(optimizer):
        optimizer.momentum = 0.0

    compiled, _ = second_step(OPTIMIZERS["momentum"], change, compiled=True)
    assert compiled == pytest.approx(-0.1)


def test_exclusion_from_decay():
    def change(optimizer):
        optimizer.weight_decay = 0.5
        optimizer.exclude_from_weight_decay(var_names=["variable"])

    compiled, _ = second_step(OPTIMIZERS["SGD"], change, compiled=True)
    assert compiled == pytest.approx(-0.1)


def test_a_rate_is_state_of_the_program():
    v, optimizer = hg.Variable(0.0), optim.SGD(1.0)
    step = hg.function(lambda: optimizer.apply([hg.asarray(1.0)], [v]))
    total = 0.0
    for rate in np.linspace(1.0, 0.1, 10):
        optimizer.learning_rate = rate
        step()
        total -= rate
    assert float(v) == pytest.approx(total)
    assert len(step.signatures) == 1
    assert optimizer.learning_rate == pytest.approx(0.1)
    assert "learning_rate" not in "".join(optimizer.get_state())


def test_a_rate_that_the_program_sets():
    v, optimizer = hg.Variable(0.0), optim.SGD(1.0)

    @hg.function
    def step():
        optimizer.apply([hg.asarray(1.0)], [v])
        optimizer.learning_rate = optimizer.learning_rate * 0.5

    for _ in range(3):
        step()
    assert float(v) == -1.75
    assert optimizer.learning_rate == 0.125
    with pytest.raises(ValueError, match="learning_rate"):
        optimizer.learning_rate.assign(-1.0)
    assert optimizer.learning_rate == 0.125


def test_options_of_losses_and_metrics():
    loss = losses.BinaryCrossentropy()
    accuracy = metrics.BinaryAccuracy(threshold=0.5)
    y, p = np.array([[0.0], [1.0]]), np.array([[0.4], [0.3]])
    f = hg.function(lambda y, p: loss(y, p))
    g = hg.function(lambda y, p: accuracy.update_state(y, p))
    f(y, p), g(y, p)
    loss.label_smoothing = 0.5
    accuracy.threshold = 0.1
    same(f(y, p), loss(y, p))
    g(y, p)
    assert accuracy.result().numpy() == 0.5


def test_settings_that_change_all_the_time_are_named():
    layer = nn.Dropout(0.1, name="drop")
    f = hg.function(lambda x: layer(x, training=True))
    for k in range(6):
        layer.rate = 0.1 + k / 100
        f(X)
    layer.rate = 0.5
    with pytest.warns(hg.RecompileWarning, match=r"drop.rate"):
        f(X)


# -- what comes from outside -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 5000])
def test_value_and_gradient_have_the_same_constants(size):
    """The gradient is traced later than the program, with what is there by then."""
    data, factors, v = np.ones(size), [2.0], hg.Variable(np.ones(size))
    f = hg.function(lambda: hg.sum(v * data * factors[0]))
    assert float(f()) == 2 * size
    data[:], factors[0] = 50.0, 7.0
    for _ in range(2):
        with hg.GradientTape() as tape:
            y = f()
        assert float(y) == 350.0 * size
        assert set(tape.gradient(y, v).numpy()) == {350.0}
        factors[0] = 9.0  # too late: both keep it
    assert len(f.signatures) == 1


def test_a_number_that_changed_is_named():
    rate = 2.0
    f = hg.function(lambda x: x * rate)
    f(X), f(X)
    rate = float("2.0")  # another object, the same value
    f(X)
    rate = 3.0
    with pytest.warns(UserWarning, match="takes 'rate' from outside") as caught:
        same(f(X), 2 * X)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(X)  # it is said once


def test_an_array_that_changed_is_named():
    table = np.ones(4, "f")
    f = hg.function(lambda x: x * table)
    f(X)
    table = table * 2
    with pytest.warns(UserWarning, match="'table'"):
        f(X)
