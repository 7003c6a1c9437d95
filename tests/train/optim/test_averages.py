"""Target networks and averages: what moves, what is refused, and what no tape sees."""

import numpy as np
import pytest

import headgate as hg
from headgate import nn, optim


def model(units=3):
    made = nn.Sequential([nn.Dense(units), nn.BatchNormalization()])
    made.build((None, 2))
    return made


def values(thing):
    return [v.numpy() for v in thing.variables]


def variables(*arrays, prefix="v"):
    return [hg.Variable(x, name=f"{prefix}{k}") for k, x in enumerate(arrays)]


# -- hard and soft updates -------------------------------------------------------------------------


def test_hard_update_copies_all_variables_of_a_model():
    source, target = model(), model()
    for variable in source.variables:
        variable.assign(np.random.default_rng(0).random(variable.shape))
    assert len(source.variables) > len(source.trainable_variables)
    optim.hard_update(target, source)
    for a, b in zip(values(target), values(source), strict=True):
        np.testing.assert_array_equal(a, b)
    before = values(target)
    source.variables[0].assign_add(np.ones(source.variables[0].shape))
    np.testing.assert_array_equal(target.variables[0].numpy(), before[0])


def test_soft_update_moves_a_part_of_the_way():
    target, source = variables([0.0, 8.0], 3), variables([4.0, 0.0], 7, prefix="s")
    optim.soft_update(target, source, 0.25)
    assert target[0].numpy().tolist() == [1.0, 6.0]
    assert target[1].numpy() == 7  # integers are copied
    assert target[1].dtype == source[1].dtype
    optim.soft_update(target, source, 0)
    assert target[0].numpy().tolist() == [1.0, 6.0]
    optim.soft_update(target, source, 1)
    assert target[0].numpy().tolist() == [4.0, 0.0]
    assert source[0].numpy().tolist() == [4.0, 0.0]


def test_what_is_matched_may_be_nested_and_overlap():
    a, b, c = variables(1.0, 2.0, 3.0)
    optim.hard_update([a, (b,)], [b, [a]])
    assert (a.numpy(), b.numpy()) == (2.0, 1.0)
    optim.soft_update(a, c, 0.5)
    assert a.numpy() == 2.5
    dense = nn.Dense(2)
    dense.build((None, 1))
    other = nn.Dense(2)
    other.build((None, 1))
    optim.hard_update([dense], [other])
    np.testing.assert_array_equal(values(dense)[0], values(other)[0])


@pytest.mark.parametrize(
    ("target", "source", "error", "message"),
    [
        (
            variables([1.0], [1.0, 2.0]),
            variables([1.0], [[1.0]], prefix="s"),
            ValueError,
            r"target's variable 'v1' has the shape \(2,\) and dtype float64, and the source's "
            r"'s1' \(1, 1\) and float64",
        ),
        (
            variables([1.0], np.float32([1.0])),
            variables([1.0], [1.0], prefix="s"),
            ValueError,
            "'v1' has the shape .* and dtype float32, and the source's 's1' .* float64",
        ),
        (
            variables([1.0]),
            variables([1.0], [2.0], prefix="s"),
            ValueError,
            "target has 1 variables and the source 2; the source's 's1' has no counterpart",
        ),
        (
            variables([1.0], [2.0]),
            variables([1.0], prefix="s"),
            ValueError,
            "the target's 'v1' has no counterpart",
        ),
        (variables(1.0), nn.Dense(2), ValueError, "the source has no variables.*build"),
        (variables(1.0), [1.0], TypeError, "the source must be a model, .* not float"),
        (np.ones(2), variables(1.0), TypeError, "the target must be a model, .* not ndarray"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_changes(target, source, error, message):
    before = [v.numpy() for v in target] if isinstance(target, list) else []
    for update in (optim.hard_update, lambda t, s: optim.soft_update(t, s, 0.5)):
        with pytest.raises(error, match=message):
            update(target, source)
    for variable, value in zip(target if before else [], before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("tau", [-0.1, 1.5, float("nan"), "0.5", True, None])
def test_tau_out_of_range(tau):
    with pytest.raises(ValueError, match="soft_update: tau must be from 0 to 1, got"):
        optim.soft_update(variables(1.0), variables(2.0), tau)


def test_an_update_is_not_recorded():
    online, target = hg.Variable([1.0, 2.0], name="online"), hg.Variable([3.0, 4.0], name="target")
    average = optim.ExponentialMovingAverage([online], 0.5)
    with hg.GradientTape(persistent=True) as tape:
        before = hg.sum(online * target)
        optim.soft_update(target, online, 0.5)
        optim.hard_update([target], [online])
        average.update()
        with average.applied():
            pass
        after = hg.sum(online * target)
    assert [v.name for v in tape.watched_variables()] == ["online", "target"]
    np.testing.assert_array_equal(tape.gradient(before, online).numpy(), [3.0, 4.0])
    np.testing.assert_array_equal(tape.gradient(after, online).numpy(), [1.0, 2.0])
    for each in (before, after):
        for verdict in tape.why(each, [online, target]):
            assert verdict.connected
            assert not verdict.cuts
    with hg.GradientTape() as tape:
        optim.hard_update([target], [online])
        loss = hg.sum(online * hg.stop_gradient(target))
    assert tape.watched_variables()[0].name == "online"
    assert not tape.why(loss, online).cuts


# -- averages --------------------------------------------------------------------------------------


def test_average_is_that_of_the_formula():
    w = hg.Variable(np.float32([2.0, -1.0]))
    average = optim.ExponentialMovingAverage([w], 0.9)
    expected = w.numpy()
    for step in range(20):
        w.assign(np.float32([step, step**2]))
        average.update()
        expected = 0.9 * expected + 0.1 * w.numpy()
    with average.applied():
        np.testing.assert_allclose(w.numpy(), expected, rtol=1e-6)
    assert w.numpy().tolist() == [19.0, 361.0]
    assert average.averages[0].dtype == "float32"
    assert not average.averages[0].trainable


def test_averages_are_taken_out_after_an_error():
    w = hg.Variable(1.0)
    average = optim.ExponentialMovingAverage(w, 0.5)
    w.assign(3.0)
    seen = []
    with pytest.raises(KeyError), average.applied():
        {}[seen.append(w.numpy())]
    assert seen == [1.0]
    assert w.numpy() == 3.0


def test_what_needs_the_variables_own_values_is_refused_while_averages_are_in_them():
    w = hg.Variable(1.0)
    average = optim.ExponentialMovingAverage([w], 0.5)
    state = average.get_state()
    average.swap()
    for use in (
        average.update,
        average.get_state,
        lambda: average.set_state(state),
        average.applied().__enter__,
    ):
        with pytest.raises(RuntimeError, match="averages are in the variables just now"):
            use()
    average.swap()
    average.update()


def test_state_of_averages():
    ours = variables([1.0, 2.0], 3.0)
    ours.append(hg.Variable(5.0, name="v1"))
    average = optim.ExponentialMovingAverage(ours, 0.5)
    ours[0].assign([5.0, 6.0])
    average.update()
    state = average.get_state()
    assert {key: value.tolist() for key, value in state.items()} == {
        "v0": [3.0, 4.0],
        "v1": 3.0,
        "v1#2": 5.0,
    }
    other = optim.ExponentialMovingAverage(ours, 0.5)
    other.set_state(state)
    state["v0"][:] = 0  # the averages have copies
    with other.applied():
        assert ours[0].numpy().tolist() == [3.0, 4.0]
    for wrong, message in [
        ({"v0": state["v0"]}, r"missing: \['v1', 'v1#2'\], unknown: \[\]"),
        ({**state, "w": 1.0}, r"unknown: \['w'\]"),
        ({**state, "v0": np.ones(3)}, r"'v0' of the state has the shape \(3,\) .* expected \(2,\)"),
        ({**state, "v1": np.float32(1)}, "'v1' .* dtype float32; expected .* float64"),
        ([1.0], "dictionary .* not list"),
    ]:
        with pytest.raises(ValueError, match=message):
            other.set_state(wrong)
    with other.applied():
        assert ours[0].numpy().tolist() == [3.0, 4.0]


def test_average_of_nothing():
    with pytest.raises(ValueError, match="has no variables"):
        optim.ExponentialMovingAverage(nn.Dense(2))
    with pytest.raises(ValueError, match="decay must be from 0 to 1, got"):
        optim.ExponentialMovingAverage(variables(1.0), decay=1.5)
