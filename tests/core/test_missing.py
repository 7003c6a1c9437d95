"""The warning that a gradient is None: what it says, how often, and where else its text appears."""

import warnings

import pytest

import headgate as hg
from core.support import line_of
from headgate import optim
from headgate.core.tape import _explained


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


def shown(act):
    """Return the texts of the warnings that are shown while something runs, as by default."""
    _explained.clear()  # each line is told once
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    return [str(warning.message) for warning in caught]


def test_one_cut_is_one_paragraph_however_many_variables_it_severs():
    weights = [hg.Variable(float(k), name=f"w{k}") for k in range(60)]

    def ask():
        asked(weights, lambda: hg.stop_gradient(sum(weights, hg.asarray(0.0))))  # all cut

    (text,) = shown(ask)
    head, names, place = text.splitlines()
    assert head == "the gradient is None for 60 of 60 source(s):"
    assert names == "w0, w1, w2, w3, w4 and 55 more: cut"
    assert place.startswith("  stop_gradient at ")
    assert f":{line_of('all cut')}: " in place


@pytest.mark.parametrize(
    "use",
    [
        lambda weights: sum(hg.stop_gradient(w) for w in weights),
        lambda weights: sum(hg.round(w) for w in weights),
        lambda weights: sum(hg.Variable(w) for w in weights),
        lambda weights: sum(float(hg.sum(w)) for w in weights),
    ],
)
def test_a_line_that_is_passed_for_each_variable_is_one_paragraph(use):
    weights = [hg.Variable([float(k)] * (k + 1), name=f"w{k}") for k in range(7)]
    loss = lambda: hg.sum(use([hg.sum(w) for w in weights]))
    (text,) = shown(lambda: asked(weights, loss))
    assert len(text.splitlines()) <= 4
    assert "w0, w1, w2, w3, w4 and 2 more: cut" in text


def test_different_cuts_have_a_paragraph_each():
    a, b, c = (hg.Variable(1.0, name=name) for name in "abc")
    loss = lambda: hg.stop_gradient(a + b) * hg.round(c)
    (text,) = shown(lambda: asked([a, b, c], loss))
    assert [line for line in text.splitlines() if not line.startswith(" ")] == [
        "the gradient is None for 3 of 3 source(s):",
        "a, b: cut",
        "c: cut",
    ]


def test_unused_variables_are_counted_with_the_lines_that_made_them():
    weights = [hg.Variable(1.0, name=f"w{k}") for k in range(60)]  # made
    v = hg.Variable(1.0, name="v")
    (text,) = shown(lambda: asked(weights, lambda: v * 1.0))
    _, names, made = text.splitlines()
    assert names.startswith("w0, w1, w2, w3, w4 and 55 more: unused (unused_parameter); ")
    assert made.startswith("  created at ")
    assert f":{line_of('made')}: " in made


def test_what_a_warning_has_shown_an_optimizer_does_not_say_again():
    v, w = hg.Variable(1.0, name="v"), hg.Variable(2.0, name="w")

    def train():
        gradients = asked([v, w], lambda: v * hg.round(w))
        optim.SGD(0.1).apply_gradients(zip(gradients, [v, w]))

    first, second = shown(train)
    assert "nondiff_op" in first
    assert "nondiff_op" not in second
    assert "Gradients do not exist for variables ['w']" in second
    assert "test_missing.py:" in second.partition("the warning at ")[2]


def test_names_in_warnings_are_those_of_the_program():
    target = hg.Variable(1.0)
    params = {"rate": hg.Variable(2.0)}

    def train():
        sources = [target, params["rate"]]
        gradients = asked(sources, lambda: hg.stop_gradient(target) * hg.round(params["rate"]))
        del gradients

    (text,) = shown(train)
    assert "\ntarget: cut" in text
    assert "\nparams['rate']: cut" in text
    assert "variable_" not in text


def test_arguments_are_called_as_the_function_calls_them():
    def loss(meta, scale):
        return hg.stop_gradient(meta["log_rate"]["w0"]) * meta["w"] * hg.round(scale)

    meta = {"log_rate": {"w0": 1.0}, "w": 2.0}
    (text,) = shown(lambda: hg.grad(loss, argnums=(0, 1))(meta, 3.0))
    assert "the gradient of loss is zero by 2 of 3 arguments:" in text
    assert "\nmeta['log_rate']['w0']: cut" in text
    assert "\nscale: cut" in text
    (text,) = shown(lambda: hg.grad(lambda *values: hg.round(values[1]))(1.0, 2.0))
    assert "values[0]: unused" in text


def test_control_characters_do_not_reach_the_terminal():
    v = hg.Variable(1.0, name="v\x1b[31m\r")
    (text,) = shown(lambda: asked(v, lambda: hg.stop_gradient(v) * 1.0))
    assert not set("\x1b\r") & set(text)
    with pytest.raises(ValueError, match="Shape mismatch") as refused:
        v.assign([1.0, 2.0])
    assert not set("\x1b\r") & set(str(refused.value))
