"""Schedules: the formulas in plain Python, steps of all sorts, and what is refused."""

import math
import types

import numpy as np
import pytest

import headgate as hg
from headgate import optim
from headgate.optim import schedules


def restarts(step, first, length, t_mul, m_mul, alpha):
    """Count the ways down one by one."""
    high = 1.0
    while step >= length:
        step, length, high = step - length, length * t_mul, high * m_mul
    wave = high * (1 + math.cos(math.pi * step / length)) / 2
    return first * ((1 - alpha) * wave + alpha)


def named(value):
    """Return what a schedule is called in the list of tests."""
    return None if isinstance(value, types.FunctionType) else repr(value)


FORMULAS = [
    (schedules.Constant(0.3), lambda n: 0.3),
    (schedules.ExponentialDecay(0.1, 7, 0.8), lambda n: 0.1 * 0.8 ** (n / 7)),
    (schedules.ExponentialDecay(0.1, 7, 0.8, True), lambda n: 0.1 * 0.8 ** (n // 7)),
    (schedules.InverseTimeDecay(0.1, 7, 0.8), lambda n: 0.1 / (1 + 0.8 * n / 7)),
    (schedules.InverseTimeDecay(0.1, 7, 0.8, True), lambda n: 0.1 / (1 + 0.8 * (n // 7))),
    (
        schedules.PolynomialDecay(0.1, 20, 0.01, 2.0),
        lambda n: 0.09 * (1 - min(n, 20) / 20) ** 2 + 0.01,
    ),
    (
        schedules.PolynomialDecay(0.1, 20, 0.01, cycle=True),
        lambda n: 0.09 * (1 - n / (20 * max(1, math.ceil(n / 20)))) + 0.01,
    ),
    (
        schedules.PiecewiseConstantDecay([3, 10], [0.5, 0.25, 0.1]),
        lambda n: 0.5 if n <= 3 else 0.25 if n <= 10 else 0.1,
    ),
    (
        schedules.CosineDecay(0.1, 40, 0.2),
        lambda n: 0.1 * (0.8 * (1 + math.cos(math.pi * min(n, 40) / 40)) / 2 + 0.2),
    ),
    (
        schedules.CosineDecay(0.01, 40, 0.2, warmup_target=0.1, warmup_steps=8),
        lambda n: (
            0.01 + 0.09 * n / 8
            if n < 8
            else 0.1 * (0.8 * (1 + math.cos(math.pi * min(n - 8, 40) / 40)) / 2 + 0.2)
        ),
    ),
    (
        schedules.CosineDecayRestarts(0.1, 10, 2.0, 0.9, 0.1),
        lambda n: restarts(n, 0.1, 10, 2, 0.9, 0.1),
    ),
    (schedules.CosineDecayRestarts(0.1, 3, 3.0), lambda n: restarts(n, 0.1, 3, 3, 1, 0)),
    (schedules.CosineDecayRestarts(0.1, 10, 1.0), lambda n: restarts(n, 0.1, 10, 1, 1, 0)),
    (
        schedules.LinearWarmup(schedules.ExponentialDecay(0.1, 7, 0.8), 4, 0.02),
        lambda n: 0.02 + 0.08 * n / 4 if n < 4 else 0.1 * 0.8 ** ((n - 4) / 7),
    ),
    (schedules.LinearWarmup(0.1, 4), lambda n: 0.1 * min(n, 4) / 4),
]


@pytest.mark.parametrize(
    ("schedule", "formula"),
    FORMULAS,
    ids=lambda x: None if isinstance(x, types.FunctionType) else repr(x),
)
def test_formula(schedule, formula):
    expected = [formula(step) for step in range(150)]
    found = [schedule(step) for step in range(150)]
    assert all(type(rate) is float for rate in found)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(schedule(np.arange(150)), expected, rtol=1e-10, atol=1e-12)
    for step in (hg.asarray(9), hg.Variable(9), np.int64(9), np.array(9)):
        assert schedule(step) == pytest.approx(expected[9])


def test_warm_up_before_a_cosine_is_that_of_the_cosine():
    one = schedules.CosineDecay(0.01, 40, 0.2, warmup_target=0.1, warmup_steps=8)
    other = schedules.LinearWarmup(schedules.CosineDecay(0.1, 40, 0.2), 8, 0.01)
    steps = np.arange(60)
    np.testing.assert_allclose(one(steps), other(steps), rtol=1e-12)
    none = schedules.CosineDecay(0.01, 40, warmup_target=0.1)
    np.testing.assert_allclose(none(steps), schedules.CosineDecay(0.1, 40)(steps), rtol=1e-12)


def test_schedules_are_values():
    one = schedules.PiecewiseConstantDecay([3], [0.5, 0.25])
    assert one == schedules.PiecewiseConstantDecay((3,), (0.5, 0.25))
    assert hash(one) == hash(schedules.PiecewiseConstantDecay((3,), (0.5, 0.25)))
    with pytest.raises(AttributeError):
        one.values = (1.0, 2.0)


def test_optimizer_follows_a_schedule():
    v = hg.Variable(0.0)
    optimizer = optim.SGD(schedules.PiecewiseConstantDecay([1], [1.0, 0.25]))
    for _ in range(3):
        optimizer.apply([1.0], [v])
    assert v.numpy() == -2.25
    optimizer.learning_rate = schedules.Constant(0.5)
    optimizer.apply([1.0], [v])
    assert v.numpy() == -2.75
    optimizer.learning_rate = 0.25
    optimizer.apply([1.0], [v])
    assert v.numpy() == -3.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.Constant(-1.0), "Constant: learning_rate must be 0 or a positive"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "decay_steps must be a positive"),
        (lambda: schedules.ExponentialDecay(0.1, 5, 0.0), "decay_rate must be a positive"),
        (lambda: schedules.ExponentialDecay(math.nan, 5, 1.0), "initial_learning_rate .* got nan"),
        (lambda: schedules.InverseTimeDecay(0.1, -5, 0.5), "decay_steps must be a positive"),
        (lambda: schedules.InverseTimeDecay(0.1, 5, -0.5), "decay_rate must be 0 or a positive"),
        (lambda: schedules.PolynomialDecay(0.1, "5"), "decay_steps must be .* got '5'"),
        (lambda: schedules.PolynomialDecay(0.1, 5, -1.0), "end_learning_rate"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), "1 boundaries need 2 values, got 1"),
        (lambda: schedules.PiecewiseConstantDecay([2, 2], [1, 1, 1]), "larger than the one before"),
        (
            lambda: schedules.PiecewiseConstantDecay([2], [1, -1]),
            r"values\[1\] must be 0 or a posit",
        ),
        (lambda: schedules.CosineDecay(0.1, 0), "decay_steps must be a positive"),
        (lambda: schedules.CosineDecay(0.1, 5, warmup_steps=3), "needs a warmup_target"),
        (lambda: schedules.CosineDecayRestarts(0.1, 0), "first_decay_steps must be a positive"),
        (lambda: schedules.CosineDecayRestarts(0.1, 5, 0.5), "t_mul must be at least 1, got 0.5"),
        (lambda: schedules.LinearWarmup(0.1, 0), "warmup_steps must be a positive"),
        (lambda: schedules.LinearWarmup("0.1", 3), "schedule must be 0 or a positive"),
    ],
)
def test_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
