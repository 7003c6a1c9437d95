"""The checker must fail on a wrong rule, or its passing means nothing."""

import numpy as np
import pytest

import headgate as hg
from headgate.core.namespace import TENSORS, implementations
from headgate.core.op import op
from headgate.testing import (
    OpCase,
    booleans,
    check_gradient,
    complexes,
    distinct,
    integers,
    positive,
    real,
    spd,
    unit,
)


@pytest.fixture
def row():
    """Make ops for one test, and forget them afterwards."""
    made = []

    def make(signature, *rules, impl):
        function = op(signature, "Compute something, for a test.", *rules, impl=impl)
        made.append(function.op.name)
        return function

    yield make
    for name in made:
        delattr(TENSORS, name)
        del implementations[name]


def square(xp, x):
    return x * x


def untracked(x):
    """Return the value of what may be a tensor: a mistake that only derivatives can show."""
    return getattr(x, "value", x)


def test_right_rule_passes(row):
    check_gradient(row("right(x)", lambda g, x: 2 * g * x, impl=square), [1.0, 2.0, -3.0])


def test_wrong_rule_fails(row):
    wrong = row("wrong(x)", lambda g, x: 2.001 * g * x, impl=square)
    with pytest.raises(AssertionError, match="order 1: finite differences say"):
        check_gradient(wrong, [1.0, 2.0, -3.0])


def test_rule_wrong_in_one_element_fails(row):
    wrong = row("wrong(x)", lambda g, xp, x: 2 * g * xp.where(x > 5, 0 * x, x), impl=square)
    with pytest.raises(AssertionError, match="order 1"):
        check_gradient(wrong, np.arange(7.0))


def test_rule_right_in_value_and_wrong_in_its_own_derivative_fails(row):
    wrong = row("wrong(x)", lambda g, x: 2 * g * untracked(x), impl=square)
    check_gradient(wrong, [1.0, 2.0], order=1)
    with pytest.raises(AssertionError, match="order 2: finite differences say"):
        check_gradient(wrong, [1.0, 2.0])


def test_rule_missing_fails(row):
    wrong = row("wrong(x, y)", lambda g, y: g * y, None, impl=lambda xp, x, y: x * y)
    check_gradient(wrong, [1.0, 2.0], [3.0, 4.0], wrt=[0])
    with pytest.raises(AssertionError, match="order 1"):
        check_gradient(wrong, [1.0, 2.0], [3.0, 4.0])


def test_rule_with_a_conjugate_fails_for_complex_values_only(row):
    wrong = row("wrong(x)", lambda g, xp, x: 2 * g * xp.conj(x), impl=square)
    check_gradient(wrong, [1.0, 2.0])
    with pytest.raises(AssertionError, match="order 1"):
        check_gradient(wrong, [1.0 + 2.0j])


def test_rule_that_is_not_linear_in_the_cotangent_fails_in_forward_mode(row):
    wrong = row("wrong(x)", lambda g, x: 2 * x * untracked(g), impl=square)
    check_gradient(wrong, [1.0, 2.0], order=1, forward=False)
    with pytest.raises(AssertionError, match="forward mode says"):
        check_gradient(wrong, [1.0, 2.0], order=1)


def test_nan_fails(row):
    wrong = row("wrong(x)", lambda g, x: g * x * float("nan"), impl=square)
    with pytest.raises(AssertionError, match="nan"):
        check_gradient(wrong, 2.0)


def test_several_arguments_and_results():
    check_gradient(
        lambda x, n, y: (x * y, [hg.sin(x), n]), [[1.0], [2.0]], np.arange(3), [0.5, 1.5]
    )


def test_nothing_to_check_is_an_error():
    with pytest.raises(ValueError, match="nothing to differentiate by"):
        check_gradient(lambda n: n, np.arange(3))
    with pytest.raises(ValueError, match="nothing of a floating dtype"):
        check_gradient(lambda x: hg.argmax(x), [1.0, 2.0])


@pytest.mark.parametrize(
    ("maker", "shape", "holds"),
    [
        (real(2, 3), (2, 3), lambda x: abs(x.real) <= 2),
        (positive(4), (4,), lambda x: x.real >= 0.5),
        (unit(5), (5,), lambda x: abs(x) < 1),
        (distinct(9), (9,), lambda x: np.min(np.diff(np.sort(x.real))) > 0.2),
        (complexes(3), (3,), lambda x: x.dtype.kind == "c"),
        (integers(5, low=2, high=4), (5,), lambda x: (x >= 2) & (x < 4)),
        (booleans(2), (2,), lambda x: x == [True, False]),
        (spd(2, 3), (2, 3, 3), lambda x: np.linalg.eigvalsh(x) > 0.9),
        (spd(3), (3, 3), lambda x: abs(x - x.conj().T) < 1e-6),
    ],
)
@pytest.mark.parametrize("letter", "fFc")
def test_makers(maker, shape, holds, letter):
    made = OpCase("", [maker]).make(letter)[0]
    assert isinstance(made, np.ndarray)
    assert made.shape == shape
    assert np.all(holds(made))
    if made.dtype.kind == "f":
        assert made.dtype == (np.float32 if letter == "F" else np.float64)
