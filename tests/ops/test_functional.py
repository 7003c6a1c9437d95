"""What the table cannot say of softmax and cross entropies: extremes, masks, points with kinks."""

import numpy as np
import pytest

import headgate as hg

INF = np.inf


def gradient(function, x):
    x = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x).numpy()


@pytest.mark.parametrize(
    ("x", "expected", "slope"),
    [
        ([1000.0, 1000.0], 1000 + np.log(2), [0.5, 0.5]),
        ([-1000.0, -1000.0], -1000 + np.log(2), [0.5, 0.5]),
        ([-INF, 0.0], 0.0, [0.0, 1.0]),
        ([-INF, -INF], -INF, [0.0, 0.0]),
        ([[-INF, -INF], [-INF, 3.0]], 3.0, [[0.0, 0.0], [0.0, 1.0]]),
    ],
)
def test_logsumexp_far_out(x, expected, slope):
    np.testing.assert_allclose(hg.logsumexp(x).value, expected)
    np.testing.assert_allclose(gradient(hg.logsumexp, x), slope)


def test_logsumexp_beside_an_infinity():
    assert hg.logsumexp([INF, 1000.0]).item() == INF
    assert hg.logsumexp([[-INF, -INF], [0.0, -INF]], axis=1).tolist() == [-INF, 0.0]


def test_softmax_with_a_mask():
    x = [1000.0, -INF, 1000.0]
    weights = np.array([1.0, 2.0, 3.0])
    assert hg.softmax(x).tolist() == [0.5, 0.0, 0.5]
    assert gradient(lambda x: hg.sum(hg.softmax(x) * weights), x).tolist() == [-0.5, 0.0, 0.5]
    assert gradient(lambda x: hg.log_softmax(x)[0], x).tolist() == [0.5, 0.0, -0.5]


def test_cross_entropies_agree():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    dense = np.eye(4)[labels]
    np.testing.assert_allclose(
        hg.sparse_softmax_cross_entropy(logits, labels).value,
        hg.softmax_cross_entropy(logits, dense).value,
    )
    np.testing.assert_allclose(
        gradient(lambda x: hg.sparse_softmax_cross_entropy(x, labels), logits),
        gradient(lambda x: hg.softmax_cross_entropy(x, dense), logits),
    )


def test_cross_entropy_of_certain_and_masked_logits():
    logits = [[1000.0, 0.0, -INF]]
    assert hg.softmax_cross_entropy(logits, [[1.0, 0.0, 0.0]]).tolist() == [0.0]
    assert hg.softmax_cross_entropy(logits, [[0.0, 1.0, 0.0]]).tolist() == [1000.0]
    assert hg.sparse_softmax_cross_entropy(logits, [1]).tolist() == [1000.0]
    for slope in (
        gradient(lambda x: hg.softmax_cross_entropy(x, [[0.0, 1.0, 0.0]]), logits),
        gradient(lambda x: hg.sparse_softmax_cross_entropy(x, [1]), logits),
    ):
        assert slope.tolist() == [[1.0, -1.0, 0.0]]


def test_labels_that_do_not_add_up_to_one_weigh():
    logits, labels = np.array([[1.0, 2.0]]), np.array([[2.0, 1.0]])
    expected = 3 * hg.softmax(logits).value - labels
    found = gradient(lambda x: hg.softmax_cross_entropy(x, labels), logits)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8])
def test_labels_of_any_integer_dtype(dtype):
    labels = np.array([0, 1], dtype)
    found = hg.sparse_softmax_cross_entropy(np.zeros((2, 2), np.float32), labels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.value, np.log(2), rtol=1e-6)


def test_l2_normalize_of_zero():
    assert hg.l2_normalize([0.0, 0.0]).tolist() == [0.0, 0.0]
    np.testing.assert_allclose(gradient(hg.l2_normalize, [0.0, 0.0]), [1e6, 1e6])


def test_softmaxes_of_nothing():
    x = hg.Variable(np.zeros((2, 0)))
    with hg.GradientTape(persistent=True) as tape:
        total = hg.logsumexp(x, axis=1)
        shares = hg.softmax(x, axis=1)
        logarithms = hg.log_softmax(x)
    np.testing.assert_array_equal(total.numpy(), [-np.inf, -np.inf])
    assert hg.logsumexp(hg.zeros((0, 3)), axis=0, keepdims=True).shape == (1, 3)
    for result in (total, shares, logarithms):
        assert tape.gradient(result, x).shape == (2, 0)
