"""`why(..., magnitudes=True)`: norms along the path of a gradient, and where it becomes zero."""

import numpy as np
import pytest

import headgate as hg
from core.support import kinds_and_lines, line_of
from headgate.record.magnitude import norm


@pytest.fixture
def w():
    return hg.Variable([-1.0, 2.0], name="w")


def zeros(g):
    return g * 0.0


@hg.custom_gradient
def deaf(x):
    return x * 1.0, zeros


def test_norms_are_those_of_the_gradients(w):
    v = hg.Variable([[0.5, 1.0], [2.0, -3.0]], name="v")
    with hg.GradientTape() as tape:
        y = hg.sum(hg.tanh(v @ w) * w)
    report = tape.why(y, {"w": w, "v": v}, magnitudes=True)
    gradients = tape.gradient(y, {"w": w, "v": v})
    for key, gradient in gradients.items():
        assert report[key].verdict == "connected"
        assert report[key].norm == pytest.approx(np.linalg.norm(gradient.numpy()))


def test_the_path_goes_from_the_target_back_to_the_source(w):
    with hg.GradientTape() as tape:
        h = hg.exp(w)  # exp
        aside = hg.sin(w)
        y = hg.sum(h * 3.0)  # sum
    path = tape.why(y, w, magnitudes=True).path
    assert [step.op for step in path] == ["sum", "multiply", "exp"]
    assert [step.site.line for step in path] == [line_of("sum"), line_of("sum"), line_of("exp")]
    assert [step.norm for step in path] == pytest.approx([1.0, 2**0.5, 18**0.5])
    assert aside.shape == (2,)


def test_without_magnitudes_nothing_is_measured(w):
    with hg.GradientTape() as tape:
        y = hg.sum(w * 0.0)
    verdict = tape.why(y, w)
    assert (verdict.verdict, verdict.norm, verdict.path) == ("connected", None, ())


KILLERS = {
    "relu": ("zero_derivative", lambda w: hg.relu(-hg.abs(w) - 1.0)),
    "clip": ("zero_derivative", lambda w: hg.clip(w, 5.0, 6.0)),
    "where": ("mask", lambda w: hg.where(np.array([False, False]), w, 1.0)),
    "multiply": ("mask", lambda w: w * hg.zeros(2)),
    "index": ("mask", lambda w: hg.boolean_mask(w, np.array([False, False]))),
    "deaf": ("custom_gradient", lambda w: deaf(w)),
}


@pytest.mark.parametrize("op", KILLERS)
def test_the_op_that_makes_a_gradient_zero(w, op):
    kind, program = KILLERS[op]
    with hg.GradientTape() as tape:
        y = hg.sum(program(w) * 3.0)
    verdict = tape.why(y, w, magnitudes=True)
    assert (verdict.verdict, verdict.kind, verdict.norm) == ("zero", kind, 0.0)
    assert kinds_and_lines(verdict) == [(kind, program.__code__.co_firstlineno)]
    assert f"{op} lets 0 of 2 elements through" in verdict.detail
    assert verdict
    np.testing.assert_array_equal(tape.gradient(y, w), np.zeros(2))


def test_an_op_that_lets_some_elements_through_is_alive(w):
    with hg.GradientTape() as tape:
        y = hg.sum(hg.relu(w))
    verdict = tape.why(y, w, magnitudes=True)
    assert (verdict.verdict, verdict.norm) == ("connected", 1.0)


def test_elements_alive_where_what_came_was_zero_just_there(w):
    with hg.GradientTape() as tape:
        y = hg.relu(w)[0]  # of the two elements, relu lets only the other one through
    verdict = tape.why(y, w, magnitudes=True)
    assert (verdict.verdict, verdict.kind) == ("zero", "zero_derivative")
    assert "relu lets 1 of 2 elements through" in verdict.detail


def test_a_factor_that_is_all_zeros_is_named(w):
    u = hg.Variable([0.0, 0.0], name="u")
    with hg.GradientTape() as tape:
        y = hg.sum(w * u)
    of_w, of_u = tape.why(y, [w, u], magnitudes=True)
    assert (of_w.verdict, of_w.kind) == ("zero", "zero_derivative")
    assert "multiplies it with u, which is all zeros now" in of_w.detail
    assert (of_u.verdict, of_u.norm) == ("connected", pytest.approx(5**0.5))


VIEWS = {
    "identity": lambda u: hg.identity(u),
    "reshape": lambda u: hg.reshape(u, (1, 2)),
    "permute_dims": lambda u: hg.permute_dims(u, (1, 0)),
    "matrix_transpose": lambda u: hg.matrix_transpose(u),
    "astype": lambda u: hg.astype(u, "float32"),
    "broadcast_to": lambda u: hg.broadcast_to(u, (2, 2)),
    "several": lambda u: hg.reshape(hg.permute_dims(hg.astype(u, "float32"), (1, 0)), (2, 1)),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_factor_of_zeros_is_named_through_views(w, view):
    u = hg.Variable([[0.0], [0.0]], name="u")
    with hg.GradientTape() as tape:
        y = hg.sum(w * VIEWS[view](u))
    verdict = tape.why(y, w, magnitudes=True)
    assert (verdict.verdict, verdict.kind) == ("zero", "zero_derivative")
    assert "multiplies it with u, which is all zeros now" in verdict.detail


def test_a_part_or_a_sum_of_a_variable_is_not_that_variable(w):
    u = hg.Variable([[0.0], [0.0]], name="u")
    for seen in (lambda: u[:, 0], lambda: u + u):
        with hg.GradientTape() as tape:
            y = hg.sum(w * seen())
        verdict = tape.why(y, w, magnitudes=True)
        assert "multiplies it with zeros, made by" in verdict.detail


def test_where_the_zeros_of_a_factor_were_made(w):
    u = hg.Variable([-1.0, -2.0])
    with hg.GradientTape() as tape:
        gate = hg.relu(u)  # made
        y = hg.sum(w * gate)
    verdict = tape.why(y, w, magnitudes=True)
    assert kinds_and_lines(verdict) == [("zero_derivative", line_of("made"))]
    assert "made by relu" in verdict.detail


def test_the_graph_must_be_there(w):
    with hg.GradientTape() as tape:
        y = hg.sum(w * 2.0)
    tape.gradient(y, w)
    assert tape.why(y, w).connected
    with pytest.raises(RuntimeError, match=r"before gradient.*persistent=True"):
        tape.why(y, w, magnitudes=True)


def test_a_persistent_tape_can_be_asked_again_and_again(w):
    with hg.GradientTape(persistent=True) as tape:
        y = hg.sum(w * w)
    first = tape.why(y, w, magnitudes=True)
    np.testing.assert_array_equal(tape.gradient(y, w), [-2.0, 4.0])
    assert tape.why(y, w, magnitudes=True) == first
    np.testing.assert_array_equal(tape.gradient(y, w), [-2.0, 4.0])


def test_a_measurement_is_not_recorded(w):
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = hg.sum(w * w * w)
        report = inner.why(y, w, magnitudes=True)
        g = inner.gradient(y, w)
    assert report.norm == pytest.approx(153**0.5)
    np.testing.assert_array_equal(outer.gradient(g, w), [-6.0, 12.0])


def test_both_of_two_nested_tapes_can_measure(w):
    with hg.GradientTape() as outer, hg.GradientTape() as inner:
        y = hg.sum(w * 2.0)
    assert inner.why(y, w, magnitudes=True).norm == pytest.approx(8**0.5)
    assert outer.why(y, w, magnitudes=True).norm == pytest.approx(8**0.5)
    np.testing.assert_array_equal(inner.gradient(y, w), [2.0, 2.0])
    np.testing.assert_array_equal(outer.gradient(y, w), [2.0, 2.0])


def test_a_cut_or_unused_source_has_no_norm(w):
    v = hg.Variable(1.0)
    with hg.GradientTape() as tape:
        y = hg.sum(hg.stop_gradient(w))
    report = tape.why(y, [w, v], magnitudes=True)
    assert [verdict.verdict for verdict in report] == ["cut", "unused"]
    assert [verdict.norm for verdict in report] == [None, None]


def test_the_target_itself_and_a_result_in_the_middle(w):
    with hg.GradientTape() as tape:
        h = w * 2.0
        y = hg.sum(h * 3.0)
    assert tape.why(w, w, magnitudes=True).verdict == "connected"
    assert tape.why(y, h, magnitudes=True).norm == pytest.approx(18**0.5)


@pytest.mark.parametrize(
    ("array", "size"),
    [
        (np.array([3.0, 4.0], np.float32), 5.0),
        (np.array([3.0, 4.0], np.float16), 5.0),
        (np.array([3.0 + 4.0j, 12.0j]), 13.0),
        (np.array(-2.0), 2.0),
        (np.zeros((0, 3)), 0.0),
        (np.array([3e300, 4e300]), 5e300),
        (np.array([3e-30, 4e-30], np.float32), 5e-30),
        (np.array([1.0, np.inf]), np.inf),
    ],
)
def test_norm(array, size):
    assert norm(array) == pytest.approx(size, rel=1e-6)


def test_the_norm_of_what_is_no_number_is_none_either():
    assert np.isnan(norm(np.array([1.0, np.nan])))


def test_a_source_without_elements_is_connected():
    empty = hg.Variable(np.zeros((0, 2)), name="empty")
    with hg.GradientTape() as tape:
        y = hg.sum(empty * 2.0)
    verdict = tape.why(y, empty, magnitudes=True)
    assert (verdict.verdict, verdict.norm) == ("connected", 0.0)
