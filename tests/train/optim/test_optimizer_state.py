"""What an optimizer saves: names, going back, what is kept for later, and what is refused."""

import json

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim

MAKE = {
    "sgd": lambda: optim.SGD(0.1),
    "momentum": lambda: optim.SGD(0.1, 0.9),
    "rmsprop": lambda: optim.RMSprop(0.1, momentum=0.5, centered=True),
    "adagrad": lambda: optim.Adagrad(0.1),
    "adam": lambda: optim.Adam(0.1, amsgrad=True),
    "adamw": lambda: optim.AdamW(optim.schedules.CosineDecay(0.1, 20)),
    "lion": lambda: optim.Lion(0.1),
}


def variables():
    random = np.random.default_rng(0)
    return [
        hg.Variable(random.standard_normal((2, 3)), name="kernel"),
        hg.Variable(random.standard_normal(3).astype(np.float32), name="bias"),
        hg.Variable(random.standard_normal(()), name="kernel"),
    ]


def run(optimizer, some, steps):
    for step in steps:
        random = np.random.default_rng(step)
        optimizer.apply([random.standard_normal(v.shape) for v in some], some)


@pytest.mark.parametrize("when", ["before", "built", "after"])
@pytest.mark.parametrize("name", MAKE)
def test_going_on_is_bit_for_bit_what_an_uninterrupted_run_does(name, when):
    whole, ours = variables(), MAKE[name]()
    run(ours, whole, range(10))
    state, values = ours.get_state(), [v.numpy() for v in whole]
    run(ours, whole, range(10, 20))

    again, other = variables(), MAKE[name]()
    if when == "built":
        other.build(again)
    elif when == "after":
        run(other, again, range(3))
    other.set_state(state)
    for variable, value in zip(again, values):
        variable.assign(value)
    run(other, again, range(10, 20))
    for a, b in zip(whole, again):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    ends = ours.get_state(), other.get_state()
    assert ends[0].keys() == ends[1].keys()
    for key, value in ends[0].items():
        np.testing.assert_array_equal(value, ends[1][key])
        assert np.asarray(value).dtype == np.asarray(ends[1][key]).dtype


def test_names_in_a_state():
    optimizer = optim.Adam()
    some = variables()
    assert optimizer.get_state().keys() == {"rule", "version", "iterations"}
    optimizer.build(some)
    state = optimizer.get_state()
    assert list(state) == [
        *("rule", "version", "iterations"),
        *("kernel/momentum", "kernel/velocity", "bias/momentum", "bias/velocity"),
        *("kernel#2/momentum", "kernel#2/velocity"),
    ]
    assert state["kernel/momentum"].shape == (2, 3)
    assert state["kernel#2/momentum"].shape == ()
    assert state["bias/velocity"].dtype == "float32"
    optimizer.build([hg.Variable(1.0, name="kernel#2")])
    assert "kernel#2#2/momentum" in optimizer.get_state()
    json.dumps({key: np.asarray(value).tolist() for key, value in state.items()})
    state["kernel/momentum"][:] = 7.0  # a copy
    assert not optimizer.get_state()["kernel/momentum"].any()


def test_state_of_variables_not_met_yet_is_kept():
    a, b = hg.Variable([1.0], name="a"), hg.Variable([1.0, 2.0], name="b")
    first = optim.SGD(0.1, 0.9)
    first.apply([np.ones(1), np.ones(2)], [a, b])
    state = first.get_state()
    second = optim.SGD(0.1, 0.9)
    second.set_state(state)
    state["b/momentum"][:] = 7.0
    second.apply([np.ones(1)], [a])
    kept = second.get_state()
    np.testing.assert_allclose(kept["a/momentum"], [-0.19])
    np.testing.assert_allclose(kept["b/momentum"], [-0.1, -0.1])
    second.apply([np.ones(2)], [b])
    np.testing.assert_allclose(second.get_state()["b/momentum"], [-0.19, -0.19])


def test_a_variable_that_the_state_does_not_know_begins_anew():
    a, b = hg.Variable(1.0, name="a"), hg.Variable(1.0, name="b")
    optimizer = optim.Adagrad(0.1, 0.5)
    optimizer.apply([1.0], [a])
    state = optimizer.get_state()
    optimizer.apply([1.0, 1.0], [a, b])
    optimizer.set_state(state)
    assert optimizer.get_state()["b/accumulator"] == 0.5
    other = optim.Adagrad(0.1, 0.5)
    other.set_state(state)
    other.build([b, a])
    assert other.get_state()["b/accumulator"] == 0.5
    assert other.get_state()["a/accumulator"] == 1.5
    assert other.iterations.numpy() == 1


def test_other_names_are_refused():
    nn.reset_names()
    optimizer = optim.Adam()
    layers = [nn.Dense(2), nn.Dense(2)]
    for layer in layers:
        layer.build((None, 3))
    optimizer.build(layers[0].variables)
    state = optimizer.get_state()

    other = optim.Adam(0.5)
    other.set_state(state)
    before = [v.numpy() for v in layers[1].variables]
    message = (
        r"nothing for the variables \['dense_1/bias', 'dense_1/kernel'\], but for \['dense/bias', "
        r"'dense/kernel'\], which were not met.*reset_names"
    )
    for _ in range(2):  # the first error changes nothing
        with pytest.raises(ValueError, match=message):
            other.apply([np.ones((3, 2)), np.ones(2)], layers[1].variables)
        with pytest.raises(ValueError, match=message):
            other.build(layers[1].variables)
    for variable, value in zip(layers[1].variables, before):
        np.testing.assert_array_equal(variable.numpy(), value)
    other.apply([np.ones((3, 2)), np.ones(2)], layers[0].variables)

    met = optim.Adam()
    met.build(layers[1].variables)
    with pytest.raises(ValueError, match=message):
        met.set_state(state)


def test_kept_state_that_does_not_fit_is_refused_when_its_variable_is_met():
    optimizer = optim.SGD(0.1, 0.9)
    optimizer.set_state({"iterations": 3, "v/momentum": np.ones(3)})
    v = hg.Variable([1.0, 2.0], name="v")
    message = r"SGD: 'v/momentum' of the state has the shape \(3,\) and dtype float64; expected \(2"
    with pytest.raises(ValueError, match=message):
        optimizer.apply([np.ones(2)], [v])
    assert v.numpy().tolist() == [1.0, 2.0]
    assert optimizer.iterations.numpy() == 3
    fits = hg.Variable([1.0, 2.0, 3.0], name="v")
    optimizer.apply([np.zeros(3)], [fits])
    np.testing.assert_allclose(fits.numpy(), [1.9, 2.9, 3.9])


GOOD = {"iterations": np.int64(1), "v/momentum": np.ones(2), "v/velocity": np.ones(2)}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "Adam: a state is a dictionary .* not NoneType"),
        ({}, "'iterations' of the state must be the number of steps done, got None"),
        ({**GOOD, "iterations": -1}, "'iterations' .* got -1"),
        ({**GOOD, "iterations": 1.5}, "'iterations' .* got 1.5"),
        ({**GOOD, "iterations": np.ones(2, int)}, "'iterations' .* got array"),
        ({**GOOD, "v/accumulator": 1.0}, "'v/accumulator' .* unknown; expected .*'/momentum' and"),
        ({**GOOD, "momentum": 1.0}, "'momentum' of the state is unknown"),
        ({"iterations": 1, "v/momentum": np.ones(2)}, "'v/velocity' of the state is missing"),
        ({**GOOD, "v/momentum": np.ones(3)}, r"'v/momentum' .* shape \(3,\) .* expected \(2,\)"),
        (
            {**GOOD, "v/velocity": np.ones(2, np.float32)},
            "'v/velocity' .* dtype float32; expected .* float64",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state, message):
    v = hg.Variable([1.0, 2.0], name="v")
    optimizer = optim.Adam(0.1)
    optimizer.apply([np.ones(2)], [v])
    before = optimizer.get_state()
    with pytest.raises(ValueError, match=message):
        optimizer.set_state(state)
    after = optimizer.get_state()
    assert after.keys() == before.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value)
    optimizer.set_state(GOOD)
    assert optimizer.get_state()["v/momentum"].tolist() == [1.0, 1.0]


def test_settings_that_need_other_state():
    v = hg.Variable(1.0, name="v")
    optimizer = optim.SGD(0.1)
    optimizer.apply([1.0], [v])
    assert optimizer.get_state().keys() == {"rule", "version", "iterations"}
    optimizer.momentum = 0.5
    optimizer.set_state({"iterations": 4, "v/momentum": np.array(-1.0)})
    optimizer.apply([0.0], [v])
    np.testing.assert_allclose(v.numpy(), 0.9 - 0.5)
    optimizer.momentum = 0.0
    optimizer.set_state(optimizer.get_state())
    assert optimizer.iterations.numpy() == 5


@pytest.mark.peers
def test_state_of_jax_arrays():
    import jax.numpy as jnp

    v = hg.Variable(jnp.ones(3), name="v")
    optimizer = optim.Adam(0.1)
    optimizer.apply([jnp.ones(3)], [v])
    state = optimizer.get_state()
    assert (state.pop("rule"), state.pop("version")) == ("Adam", 1)
    assert all(type(value) is np.ndarray for value in state.values())
    other, again = optim.Adam(0.1), optim.Adam(0.1)
    other.set_state(state)
    again.build([v])
    again.set_state(state)
    for each in (other, again):
        each.build([v])
        assert type(each.variables[1]._value) is type(v._value)
        np.testing.assert_array_equal(each.get_state()["v/momentum"], state["v/momentum"])


RULES = {
    "SGD": lambda: optim.SGD(0.1, momentum=0.9),
    "RMSprop": lambda: optim.RMSprop(0.1, momentum=0.9),
    "Adagrad": lambda: optim.Adagrad(0.1),
    "Adam": lambda: optim.Adam(0.1),
    "AdamW": lambda: optim.AdamW(0.1),
    "Lion": lambda: optim.Lion(0.1),
}


@pytest.mark.parametrize("other", RULES)
@pytest.mark.parametrize("saved", RULES)
def test_the_state_of_another_rule_is_refused(saved, other):
    v = hg.Variable([1.0, 2.0], name="v")
    first, second = RULES[saved](), RULES[other]()
    first.apply([np.ones(2)], [v])
    second.build([v])
    before = second.get_state()
    if {saved, other} <= {"Adam", "AdamW"} or saved == other:  # AdamW has Adam's rule
        second.set_state(first.get_state())
        assert second.iterations.numpy() == 1
        return
    names = first.rule_name(), second.rule_name()
    message = rf"{other}: the state is of the rule '{names[0]}', version 1.*has '{names[1]}'"
    with pytest.raises(ValueError, match=message):
        second.set_state(first.get_state())
    for key, value in second.get_state().items():
        np.testing.assert_array_equal(value, before[key])


def test_a_rule_has_a_name_and_a_version():
    class Mine(optim.SGD):
        pass

    class Other(optim.SGD):
        rule_version = 2

        def rule(self, xp, rate, step, g, x, *state):
            return (x - rate * g, *state)

    assert (Mine.rule_name(), Other.rule_name()) == ("SGD", "Other")
    state = Other(0.1).get_state()
    with pytest.raises(ValueError, match=r"'Other', version 2, and this optimizer has 'SGD', ver"):
        Mine(0.1).set_state(state)
    with pytest.raises(ValueError, match="'Other', version 1, and this optimizer has 'Other', ver"):
        Other(0.1).set_state({**state, "version": 1})
    Mine(0.1).set_state({"iterations": 3})  # one that was made by hand


def test_a_variable_that_is_given_twice_is_moved_twice():
    v = hg.Variable([1.0, 1.0])
    optim.SGD(0.5).apply_gradients([(np.ones(2), v), (np.ones(2), v)])
    assert v.numpy().tolist() == [0.0, 0.0]
