"""Clipping: formulas, None, values that are not finite, and gradients through it."""

import numpy as np
import pytest

import headgate as hg
import headgate.tf as tf
from headgate import optim
from headgate.testing import check_gradient


def test_by_value():
    clipped = optim.clip_by_value(np.float32([-3.0, 0.5, 2.0, np.nan, np.inf]), -1.0, 1.0)
    np.testing.assert_array_equal(clipped.numpy(), np.float32([-1.0, 0.5, 1.0, np.nan, 1.0]))
    assert clipped.dtype == "float32"
    assert optim.clip_by_value(None, -1.0, 1.0) is None


def test_by_norm():
    x = np.array([[3.0, 4.0], [0.3, 0.4]])
    np.testing.assert_allclose(optim.clip_by_norm(x, 1.0).numpy(), x / np.linalg.norm(x))
    np.testing.assert_allclose(optim.clip_by_norm(x, 1.0, axis=1).numpy(), [[0.6, 0.8], [0.3, 0.4]])
    np.testing.assert_array_equal(optim.clip_by_norm(x, 100.0).numpy(), x)
    assert optim.clip_by_norm(None, 1.0) is None


def test_by_global_norm():
    gradients = [np.float32([3.0]), None, np.array([[4.0]])]
    (a, none, b), norm = optim.clip_by_global_norm(gradients, 1.0)
    assert none is None
    assert (a.dtype, b.dtype) == ("float32", "float64")
    np.testing.assert_allclose([a.numpy()[0], b.numpy()[0, 0], norm.numpy()], [0.6, 0.8, 5.0])
    same, _ = optim.clip_by_global_norm(gradients, 5.0)
    assert same[0].numpy() == 3.0
    assert optim.global_norm([None]).numpy() == 0.0
    assert optim.clip_by_global_norm([None], 1.0)[0] == [None]


@pytest.mark.parametrize("norm", [0.0, -1.0, float("nan"), "1"])
def test_norm_out_of_range(norm):
    for clip in (optim.clip_by_norm, lambda g, n: optim.clip_by_global_norm([g], n)):
        with pytest.raises(ValueError, match="norm must be a positive number"):
            clip(np.ones(2), norm)


# What TensorFlow 2.21 returns, from a run of it.
AS_TENSORFLOW = [
    ([3.0, 4.0], [0.6, 0.8], [0.6, 0.8], 5.0),
    ([0.0, 0.0], [0.0, 0.0], [0.0, 0.0], 0.0),
    ([np.inf, 1.0], [np.nan, 0.0], [np.nan, np.nan], np.inf),
    ([np.nan, 1.0], [np.nan, np.nan], [np.nan, np.nan], np.nan),
    ([1e30, 1.0], [0.0, 0.0], [np.nan, np.nan], np.inf),
]


@pytest.mark.parametrize(("x", "by_norm", "by_global_norm", "length"), AS_TENSORFLOW)
def test_values_that_are_not_finite(x, by_norm, by_global_norm, length):
    x = np.float32(x)
    for module, name in ((optim, "clip"), (tf, "tf")):
        np.testing.assert_allclose(module.clip_by_norm(x, 1.0).numpy(), by_norm, err_msg=name)
        (clipped, _), norm = module.clip_by_global_norm([x, None], 1.0)
        np.testing.assert_allclose(clipped.numpy(), by_global_norm, err_msg=name)
        np.testing.assert_allclose(norm.numpy(), length, err_msg=name)
    for options, expected in (
        ({"clipnorm": 1.0}, by_norm),
        ({"global_clipnorm": 1.0}, by_global_norm),
    ):
        v = hg.Variable(np.zeros(2, np.float32))
        optim.SGD(1.0, **options).apply([x], [v])
        np.testing.assert_allclose(-v.numpy(), expected)


def test_gradient_flows_through_clipping():
    check_gradient(lambda x: optim.clip_by_norm(x, 1.0), np.array([3.0, 4.0, -1.0]))
    check_gradient(
        lambda x: hg.concat(optim.clip_by_global_norm([x[:2], x[2:]], 1.0)[0]),
        np.array([3.0, 4.0, -1.0]),
    )
    with hg.GradientTape() as tape:
        x = hg.zeros(2)
        tape.watch(x)
        y = hg.sum(optim.clip_by_norm(x, 1.0))
    np.testing.assert_array_equal(tape.gradient(y, x).numpy(), [1.0, 1.0])


@pytest.mark.parametrize("module", [optim, tf], ids=["optim", "tf"])
def test_gradients_of_zeros(module):
    """The norm has no derivative at zero, and scales nothing there."""
    zeros = np.zeros(3, "f"), np.zeros((2, 1), "f")
    with hg.GradientTape(persistent=True) as tape:
        a, b = map(hg.asarray, zeros)
        tape.watch([a, b])
        (one, other), norm = module.clip_by_global_norm([a, b], 1.0)
        alone = module.clip_by_norm(a, 1.0)
        by_rows = module.clip_by_norm(b, 1.0, 1)
    for result, x in ((one, a), (other, b), (alone, a), (by_rows, b)):
        np.testing.assert_array_equal(result.numpy(), x.numpy())
        np.testing.assert_array_equal(tape.gradient(result, x).numpy(), np.ones(x.shape))
    for x in (a, b):
        np.testing.assert_array_equal(tape.gradient(norm, x).numpy(), np.zeros(x.shape))
    assert norm.numpy() == 0.0
