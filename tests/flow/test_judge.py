"""All cuts of a parameter, the one to look at first being first; and ways that no op shows."""

import warnings

import numpy as np
import pytest

import headgate as hg
from core.support import line_of
from headgate.flow.judge import facts_of, judge, noticed
from headgate.flow.watch.headgate import Watch


@pytest.fixture
def w():
    return hg.Variable([1.0, 2.0], name="w")


@pytest.fixture
def v():
    return hg.Variable([1.0, 1.0], name="v")


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def found(watch):
    """Return what is found by the masks; the trace must say the same."""
    said = [(f.parameter, f.kind, f.line) for f in watch.findings()]
    told = [*watch.told(), *noticed(watch.trace)]
    neutral = [(f.parameter, f.kind, f.line) for f in judge(facts_of(watch.trace), told)]
    assert said == neutral
    return said


def test_a_stop_that_was_meant_does_not_hide_another_cut(w, v):
    with Watch() as watch, hg.GradientTape() as tape:
        base = hg.stop_gradient(hg.mean(w))  # meant
        out = np.asarray(w * w)  # not meant
        loss = hg.sum((out - base) * v)
    with watch:
        tape.gradient(loss, [w, v])
    assert found(watch) == [
        ("w", "host_round_trip", line_of("not meant")),
        ("w", "stop_gradient", line_of("meant")),
    ]


def test_the_further_cuts_come_after_all_first_ones(w, v):
    with Watch() as watch, hg.GradientTape() as tape:
        out = np.asarray(w * w)  # leaves
        loss = hg.sum(out * hg.stop_gradient(w))  # stops
        loss = loss + hg.sum(hg.round(v))  # rounds
    with watch:
        tape.gradient(loss, [w, v])
    kinds = [(f.parameter, f.kind, f.further) for f in watch.findings()]
    assert kinds == [
        ("v", "nondiff_op", False),
        ("w", "host_round_trip", False),
        ("w", "stop_gradient", True),
    ]


def test_two_calls_with_two_stops_are_two_findings(w):
    with Watch() as watch:
        with hg.GradientTape() as tape:
            loss = hg.sum(hg.stop_gradient(w))  # one
        tape.gradient(loss, w)
        with hg.GradientTape() as tape:
            loss = hg.sum(hg.stop_gradient(w) ** 2)  # two
        tape.gradient(loss, w)
    lines = [(f.kind, f.line) for f in watch.findings()]
    assert lines == [("stop_gradient", line_of("one")), ("stop_gradient", line_of("two"))]


def test_an_index_is_no_cut_beside_another_one(w, v):
    with Watch() as watch, hg.GradientTape() as tape:
        chosen = hg.one_hot(hg.argmax(w), 2)
        loss = hg.sum(chosen * hg.stop_gradient(w) * v)  # stops here
    with watch:
        tape.gradient(loss, [w, v])
    assert found(watch) == [("w", "stop_gradient", line_of("stops here"))]


def test_a_gradient_that_was_taken_outside_of_the_outer_tape(w):
    a = hg.Variable(0.5, name="a")
    with Watch() as watch:
        with hg.GradientTape() as inner:
            y = hg.sum(a * w * w)
        g = inner.gradient(y, w)  # outside
        with hg.GradientTape() as outer:
            loss = hg.sum((w - g) ** 2)
        outer.gradient(loss, [w, a])
    assert found(watch) == [("a", "outside_tape", line_of("outside"))]


def test_a_gradient_that_the_outer_tape_followed_is_silent(w):
    a = hg.Variable(0.3, name="a")
    with Watch() as watch:
        with hg.GradientTape() as outer:
            with hg.GradientTape() as inner:
                y = hg.sum(a * w * w)
            g = inner.gradient(y, w)
            loss = hg.sum((w - g) ** 2)
        outer.gradient(loss, [w, a])
    assert found(watch) == []


def test_where_an_initial_value_came_from_is_no_way_out():
    k = hg.Variable([1.0, 2.0], trainable=False, name="k")
    d = hg.Variable(k, name="d")
    with Watch() as watch:
        with hg.GradientTape() as tape:
            k.assign(2.0 * d)  # is written
            loss = hg.sum(k * k)
        verdict = tape.why(loss, d)
        tape.gradient(loss, d)
    assert (verdict.kind, verdict.cuts[0].line) == ("stateful_write", line_of("is written"))
    assert [f.line for f in watch.findings()] == [line_of("is written")]


@pytest.mark.parametrize("weight", [0, 0.0, np.float32(0.0)])
def test_a_factor_of_exactly_zero_is_told_as_that(w, v, weight):
    with Watch() as watch, hg.GradientTape() as tape:
        loss = hg.sum(v * v) + weight * hg.sum(w * w)  # weighs nothing
    with watch:
        tape.gradient(loss, [w, v])
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind) == ("w", "zero_derivative")
    assert (finding.label, finding.line) == ("a factor of 0", line_of("weighs nothing"))
    assert "1 // 3" in finding.cure


def test_cures_that_are_right_for_the_case_at_hand(w):
    def rule(x):
        return x * 1.0, lambda g: g * 0.0

    gate = hg.custom_gradient(rule)
    said = {}
    for name, f in {"softmax": lambda x: hg.softmax(x[:, None]), "rule": gate}.items():
        with Watch() as watch, hg.GradientTape() as tape:
            loss = hg.sum(f(w))
        with watch:
            tape.gradient(loss, w)
        (finding,) = watch.findings()
        said[name] = finding.cure
    assert "softmax over one element is always 1" in said["softmax"]
    assert "gives zeros for the values" in said["rule"]


def test_a_second_derivative_of_straight_pieces_is_told_as_that():
    x, w = hg.asarray([0.3, 0.7]), hg.Variable([1.0, 2.0], name="w")
    with Watch() as watch, hg.GradientTape() as second:
        second.watch(x)
        with hg.GradientTape() as first:
            first.watch(x)
            total = hg.sum(hg.relu(x * w))
        slope = first.gradient(total, x)
        second.gradient(slope, x)
    (finding,) = watch.findings()
    assert (finding.kind, finding.label) == ("zero_derivative", "level")
    assert "hg.softplus" in finding.cure
