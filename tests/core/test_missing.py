"""The warning that a gradient is None: what it says, how often, and where else its text appears."""

import warnings

import pytest

import headgate as hg
from core.support import line_of
from headgate import optim


def asked(sources, loss):
    with hg.GradientTape() as tape:
        target = loss()
    return tape.gradient(target, sources)


def test_it_names_the_cut_and_comes_once_for_each_line():
    v, w = hg.Variable(1.0, name="v"), hg.Variable(2.0, name="w")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            with hg.GradientTape() as tape:
                loss = v * hg.stop_gradient(w)  # cut
            gradients = tape.gradient(loss, [v, w])  # asks
    assert gradients[1] is None
    (warning,) = caught
    assert warning.category is hg.MissingGradientWarning
    assert (warning.filename, warning.lineno) == (__file__, line_of("asks"))
    assert "None for 1 of 2 source(s):\nw: cut" in str(warning.message)
    assert f"test_missing.py:{line_of('cut')}: loss = v * hg.stop_gradient(w)" in str(
        warning.message
    )


@pytest.mark.filterwarnings("error::headgate.MissingGradientWarning")
def test_it_is_silent_where_nothing_is_missing_or_it_is_intended():
    v, frozen = hg.Variable(1.0), hg.Variable(2.0, trainable=False)
    with hg.GradientTape(persistent=True) as tape:
        loss = v * frozen
        stopped = hg.stop_gradient(v) * 1.0
    tape.gradient(loss, [v, frozen])
    tape.gradient(stopped, v, unconnected_gradients="zero")


def test_it_can_be_switched_off():
    v = hg.Variable(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hg.MissingGradientWarning)
        assert asked(v, lambda: hg.stop_gradient(v) * 1.0) is None


def test_an_optimizer_says_the_same():
    v, w = hg.Variable(1.0, name="v"), hg.Variable(2.0, name="w")
    with hg.GradientTape() as tape:
        loss = v * hg.round(w)  # cut
    gradients = tape.gradient(loss, [v, w])
    place = rf"w: cut(.|\n)*nondiff_op \[round\] at .*test_missing.py:{line_of('cut')}"
    with pytest.warns(UserWarning, match=place):
        optim.SGD(0.1).apply_gradients(zip(gradients, [v, w]))
    with pytest.raises(ValueError, match=place):
        optim.SGD(0.1).apply_gradients([(gradients[1], w)])


def test_a_variable_that_is_not_trained_although_gradient_arrives():
    from headgate import nn

    model = nn.Sequential([nn.Dense(1, name="dense")])
    model.build((None, 2))
    stray = hg.Variable(1.0, name="stray")
    optimizer = optim.SGD(0.1)
    kernel, bias = model.variables
    with hg.GradientTape(persistent=True) as tape:
        loss = hg.sum(model(hg.ones((3, 2)))) * stray
    sources = [kernel, bias, stray]
    whole = tape.why(loss, sources, model=model, optimizer=optimizer)
    assert [verdict.kind for verdict in whole] == [None, None, "not_registered"]
    optimizer.apply_gradients([(tape.gradient(loss, kernel), kernel)])
    after = tape.why(loss, sources, optimizer=optimizer)
    assert [verdict.kind for verdict in after] == [None, "optimizer_mask", "optimizer_mask"]
    assert "stray" in str(after[2])
    assert all(after)
