"""Births: the line where the first value that is no number comes from, named by `why`."""

import numpy as np
import pytest

import headgate as hg
from core.support import kinds_and_lines, line_of
from headgate.core.birth import FINITE, INFINITE, NAN, state_of
from headgate.core.namespace import TENSORS
from headgate.flow.kinds import KINDS, NONFINITE, SAFE_CURES
from headgate.flow.watch.headgate import Watch

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")


@pytest.fixture
def w():
    return hg.Variable([1.0, 2.0, 3.0], name="w")


def differences(w):
    return hg.expand_dims(w, axis=1) - hg.expand_dims(w, axis=0)


HALF = np.full((3, 4), 30000, np.float16)
NO_ROW = np.zeros(3, bool)
BIRTHS = {
    "log": ("value", "log of 0 gives -inf", lambda w: hg.sum(hg.log(hg.softmax(w * 1e3)))),
    "sqrt": (
        "slope",
        "sqrt of 0 has no finite slope",
        lambda w: hg.sum(hg.sqrt(differences(w) ** 2)),
    ),
    "divide": ("value", "divide of 0 and 0 gives nan", lambda w: hg.sum((w - w) / (w - w))),
    "exp": ("value", "exp of 1000 gives inf", lambda w: hg.sum(hg.exp(w * 1e3) - hg.exp(w * 1e3))),
    "pow": ("value", "pow of -1 and 0.5 gives nan", lambda w: hg.sum((w - 2.0) ** 0.5)),
    "power of zero": ("slope", "pow of 0 and 0.5", lambda w: hg.sum((w - 1.0) ** 0.5)),
    "std": ("slope", "std", lambda w: hg.std(w * 0.0)),
    "acos": ("value", "acos of 1.5 gives nan", lambda w: hg.sum(hg.acos(w * 1.5))),
    "edge of acos": ("slope", "acos of 1 has no finite", lambda w: hg.sum(hg.acos(w / w))),
    "half": (
        "value",
        "matmul gives inf",
        lambda w: hg.sum(hg.softmax(hg.astype(w, "float16") @ HALF) ** 2),
    ),
    "masked row": (
        "value",
        "softmax gives nan",
        lambda w: hg.sum(hg.softmax(hg.where(NO_ROW, w, -np.inf))),
    ),
    "constant": ("data", "a constant is nan", lambda w: hg.sum(w * np.array([1.0, np.nan, 2.0]))),
    "only the loss": ("value", "gives inf", lambda w: hg.sum(hg.astype(w, "float16") * 60000)),
    "one by zero": (
        "value",
        "divide of 1 and 0 gives inf",
        lambda w: hg.sum(w / (w - w) * w),
    ),
}


def test_what_a_minimum_leaves_out_makes_nothing_infinite(w):
    with hg.GradientTape(persistent=True) as tape:
        y = hg.sum(hg.minimum(w / (w - w), 1.0) * w)
    assert tape.why(y, w).verdict == "connected"
    np.testing.assert_array_equal(tape.gradient(y, w), [1.0, 1.0, 1.0])


@pytest.mark.parametrize("magnitudes", [False, True])
@pytest.mark.parametrize("name", BIRTHS)
def test_the_line_of_the_first_value_that_is_not_finite(w, name, magnitudes):
    kind, text, program = BIRTHS[name]
    with hg.GradientTape() as tape:
        y = program(w)
        z = hg.sum(hg.identity(y) * 0.5)
    report = tape.why(z, w, magnitudes=magnitudes)
    assert (report.verdict, report.kind) == ("not finite", f"nonfinite_{kind}")
    assert kinds_and_lines(report) == [(report.kind, program.__code__.co_firstlineno)]
    assert text in report.detail
    assert report.connected
    assert (report.norm is not None) is magnitudes


def test_each_op_of_a_chain_stands_on_its_own_line(w):
    with hg.GradientTape(persistent=True) as tape:
        logits = w * 300.0
        logits = logits * 10.0
        powers = hg.exp(logits)  # born
        total = hg.sum(powers)
        shares = powers / total
        loss = hg.mean((shares - 0.5) ** 2)
    for _ in range(2):
        assert kinds_and_lines(tape.why(loss, w)) == [("nonfinite_value", line_of("born"))]
        assert np.isnan(tape.gradient(loss, w).numpy()).all()


FINE = {
    "plain": lambda w: hg.sum(w**2),
    "masked": lambda w: hg.sum(
        hg.softmax(hg.where(np.array([False, True, True]), w, -np.inf)) ** 2
    ),
    "where twice": lambda w: hg.sum(
        hg.where(w > 1.0, hg.sqrt(hg.where(w > 1.0, w - 1.0, 1.0)), 0.0)
    ),
    "infinite and not taken": lambda w: hg.sum(hg.minimum(w / (w - w), 1.0) * w),
    "infinite and dropped": lambda w: hg.sum(hg.minimum(1.0 / w, hg.asarray(np.inf))),
}


@pytest.mark.parametrize("name", FINE)
def test_finite_programs_are_connected(w, name):
    with hg.GradientTape() as tape:
        y = FINE[name](w)
    assert tape.why(y, w).verdict == "connected"
    assert tape.why(y, w, magnitudes=True).verdict == "connected"
    assert np.isfinite(tape.gradient(y, w).numpy()).all()
    assert tape.why(y, w).verdict == "connected"


def test_a_source_with_a_finite_gradient_is_connected_all_the_same(w):
    v = hg.Variable(2.0, name="v")
    with hg.GradientTape() as tape:
        y = hg.sum(hg.log(w - 1.0)) + v**2
    report = tape.why(y, {"w": w, "v": v})
    assert (report["w"].verdict, report["v"].verdict) == ("not finite", "connected")


def test_a_loss_that_is_cut_off_is_cut_whatever_its_value(w):
    with hg.GradientTape() as tape:
        y = hg.stop_gradient(w) * np.inf  # cut
    for magnitudes in (False, True):
        verdict = tape.why(y, w, magnitudes=magnitudes)
        assert kinds_and_lines(verdict) == [("stop_gradient", line_of("cut"))]
    with Watch() as watch:
        with hg.GradientTape() as tape:
            y = hg.sum(hg.round(w)) * np.nan
        tape.gradient(y, w)
    assert [finding.kind for finding in watch.findings()] == ["nondiff_op"]


def test_what_was_given_as_an_argument_is_named(w):
    x = hg.asarray([1.0, np.nan])
    u = hg.Variable([np.inf, 1.0], name="u")
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = hg.sum(x * x * u)  # used
    of_x, of_u = tape.why(y, [x, u])
    assert kinds_and_lines(of_x) == [("nonfinite_data", line_of("used"))]
    assert kinds_and_lines(of_u) == [("nonfinite_data", line_of("used"))]
    with hg.GradientTape() as tape:
        y = hg.sum(u * 2.0) - hg.sum(u)
    assert "u is infinite already where multiply is given it" in tape.why(y, u).detail


def test_functions_that_are_one_node_are_named_by_the_line_of_their_call(w):
    @hg.custom_gradient
    def odd(x):
        return x * 1.0, lambda g: g / 0.0

    again = hg.recompute_grad(lambda x: hg.log(x - 1.0))
    with hg.GradientTape(persistent=True) as tape:
        y = hg.sum(odd(w))  # rule
        z = hg.sum(again(w))  # again
    assert kinds_and_lines(tape.why(y, w)) == [("nonfinite_slope", line_of("rule"))]
    assert "the rule of odd gives inf" in tape.why(y, w).detail
    (place,) = tape.why(z, w).cuts
    assert place.line == line_of("again")


@pytest.mark.peers
def test_compiled_functions_and_arrays_of_jax(w):
    import jax.numpy as jnp

    fast = hg.function(lambda x: hg.sum(hg.log(x - 1.0)))
    with hg.GradientTape() as tape:
        y = fast(w)  # call
    assert [place.line for place in tape.why(y, w).cuts] == [line_of("call")]
    x = hg.asarray(jnp.asarray([1.0, 4.0]))
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = hg.sum(hg.sqrt(x - 1.0))  # root
    assert kinds_and_lines(tape.why(y, x)) == [("nonfinite_slope", line_of("root"))]

    @hg.function
    def step(x):
        with hg.GradientTape() as tape:
            tape.watch(x)
            y = hg.sum(hg.log(x - x))
        assert tape.why(y, x).verdict == "connected"  # nothing is known while it is traced
        return tape.gradient(y, x)

    assert not np.isfinite(step(hg.ones(2)).numpy()).any()


def test_why_notes_nothing_and_frees_nothing(w):
    @hg.custom_gradient
    def deaf(x):
        return x * 1.0, lambda g: None

    with hg.GradientTape() as tape:
        y = hg.sum(deaf(w)) + hg.sum(w)
    assert tape.why(y, w).verdict == "connected"
    np.testing.assert_array_equal(tape.gradient(y, w), np.ones(3))


def trained(at, careful=False):
    """Train with a gradient that is infinite at one step; a careful program leaves that out."""
    w = hg.Variable([1.0, 4.0], name="w")
    with Watch() as watch:
        for step in range(at + 4):
            with hg.GradientTape() as tape:
                y = hg.sum(hg.sqrt(w - (1.0 if step == at else 0.5)))  # born
            g = tape.gradient(y, w)
            if not careful:
                w.assign_sub(g * 0.0)
    return watch, line_of("born")


@pytest.mark.parametrize("at", [0, 2, 40])
def test_a_watcher_finds_the_step_that_broke_the_training(at):
    watch, line = trained(at)
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind, finding.line) == ("w", "nonfinite_slope", line)
    assert "epsilon inside the root" in finding.cure


def test_a_step_that_the_program_left_out_is_no_finding():
    watch, line = trained(3, careful=True)
    assert watch.findings() == []
    (finding,) = watch.findings(step=3)
    assert (finding.kind, finding.line) == ("nonfinite_slope", line)


def test_every_kind_has_a_cure_and_every_cure_an_op():
    assert set(NONFINITE) <= set(KINDS)
    for op in SAFE_CURES:
        assert hasattr(TENSORS, op), op


def test_states():
    assert state_of([np.ones(2), np.array([np.inf])]) == INFINITE
    assert state_of((1.0, np.nan)) == NAN
    assert state_of(np.arange(3)) == state_of(()) == state_of(np.array(["a"])) == FINITE


def test_each_source_has_the_birth_of_its_own_gradient():
    """The loss is not finite either, for another reason than the slope that this source meets."""
    u, v = hg.Variable([0.0, 1.0]), hg.Variable([0.0, 1.0])
    with hg.GradientTape() as tape:
        of_value = hg.sum(hg.log(u))  # value
        of_slope = hg.sum(hg.sqrt(v))  # slope
        y = of_value + of_slope
    verdicts = tape.why(y, [u, v], magnitudes=True)
    assert [kinds_and_lines(verdict) for verdict in verdicts] == [
        [("nonfinite_value", line_of("value"))],
        [("nonfinite_slope", line_of("slope"))],
    ]
