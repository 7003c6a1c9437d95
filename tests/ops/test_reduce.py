"""What the table cannot say of reductions: ties, zeros, empty arrays, NaN, indices."""

import numpy as np
import pytest

import headgate as hg
from headgate.testing import check_gradient

INF, NAN = np.inf, np.nan


def gradient(function, x):
    x = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x).numpy()


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (hg.max, [3.0, 3.0], [0.5, 0.5]),
        (hg.min, [3.0, 3.0, 4.0], [0.5, 0.5, 0.0]),
        (
            lambda x: hg.max(x, axis=1),
            [[2.0, 1.0, 2.0], [0.0, 5.0, 0.0]],
            [[0.5, 0, 0.5], [0, 1, 0]],
        ),
        (
            lambda x: hg.max(x, axis=(0, 1), keepdims=True),
            [[1.0, 1.0], [1.0, 1.0]],
            [[0.25] * 2] * 2,
        ),
        (hg.max, [-INF, -INF], [0.5, 0.5]),
        (hg.max, [INF, 1.0], [1.0, 0.0]),
    ],
)
def test_ties_share_evenly(function, x, expected):
    np.testing.assert_array_equal(gradient(function, x), expected)


def test_sort_and_top_k_keep_equal_elements_in_order():
    x = hg.asarray([1.0, 3.0, 3.0, 2.0])
    values, indices = hg.top_k(x, 2)
    assert values.tolist() == [3.0, 3.0]
    assert indices.tolist() == [1, 2]
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    assert gradient(lambda x: hg.sum(hg.sort(x) * weights), x).tolist() == [1.0, 3.0, 4.0, 2.0]
    assert hg.argsort(x, descending=True).tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize("x", [[0.0, 2.0, 3.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0]])
def test_products_are_exact_at_zeros_at_any_order(x):
    check_gradient(hg.prod, x, order=3)
    check_gradient(hg.cumulative_prod, x, order=3)
    check_gradient(lambda x: hg.cumulative_prod(x, include_initial=True), x, order=3)


@pytest.mark.parametrize("product", [hg.prod, lambda x: hg.cumulative_prod(x)[2]])
def test_hessian_of_a_product_with_zeros(product):
    hessian = hg.hessian(product)(hg.asarray([0.0, 0.0, 5.0]))
    assert hessian.tolist() == [[0.0, 5.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33])
def test_cumulative_product_of_any_length(count):
    check_gradient(hg.cumulative_prod, np.linspace(-1.5, 1.5, count), order=2)


@pytest.mark.parametrize("function", [hg.sum, hg.mean, hg.prod])
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
def test_gradient_of_an_empty_array_is_empty(function):
    assert gradient(function, np.zeros((0, 3))).shape == (0, 3)
    assert hg.sum(np.zeros((0, 3))).item() == 0.0


def test_float32_stays():
    x = hg.asarray(np.ones((2, 3), np.float32))
    for function in (hg.sum, hg.mean, hg.prod, hg.var, hg.std, hg.max, hg.min, hg.logsumexp):
        assert function(x).dtype == np.float32
    assert hg.mean(np.full(4, 60000, np.float16)).item() == 60000


def test_python_numbers_and_lists():
    assert hg.sum(2.0).item() == 2.0
    assert hg.mean(2.0).item() == 2.0
    assert hg.max([1, 3, 2]).item() == 3
    assert hg.sum([[1.0, 2.0], [3.0, 4.0]], 1).tolist() == [3.0, 7.0]


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_nan():
    assert np.isnan(hg.max([1.0, NAN]).item())
    assert np.isnan(gradient(hg.std, [2.0, 2.0])).all()  # 0 / 0, as TensorFlow's
    assert gradient(hg.var, [2.0, 2.0]).tolist() == [0.0, 0.0]
    assert np.isnan(hg.var([1.0], correction=1).item())


def test_indices_of_top_k_are_a_cut():
    x = hg.asarray([1.0, 3.0, 2.0])
    with hg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        values, indices = hg.top_k(x, 2)
        value, index = hg.sum(values), hg.sum(hg.astype(indices, np.float64))
    assert tape.gradient(value, x).tolist() == [0.0, 1.0, 1.0]
    assert tape.gradient(index, x) is None
    assert "nondiff_op" in str(tape.why(index, x))


def test_unique_results_are_named():
    result = hg.unique_all(np.array([3.0, 1.0, 3.0]))
    assert result.values.tolist() == [1.0, 3.0]
    assert result.indices.tolist() == [1, 0]
    assert result.inverse_indices.tolist() == [1, 0, 1]
    assert hg.unique_values([NAN, NAN, 1.0]).shape == (3,)
