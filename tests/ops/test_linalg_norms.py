"""Norms: at zero, at ties, and every order against NumPy."""

import math

import numpy as np
import pytest

from headgate import linalg
from headgate.testing import check_gradient, real
from ops.matrices import gradient, made


def test_gradient_of_a_norm_at_zero():
    """As TensorFlow has it: NaN where the derivative does not exist."""
    zero = np.zeros(3)
    assert np.isnan(gradient(linalg.norm, zero)).all()
    assert np.isnan(gradient(lambda x: linalg.vector_norm(x, ord=3), zero)).all()
    np.testing.assert_array_equal(gradient(lambda x: linalg.vector_norm(x, ord=1), zero), zero)
    np.testing.assert_array_equal(
        gradient(lambda x: linalg.vector_norm(x, ord=math.inf), zero), zero
    )


def test_largest_elements_share_the_gradient():
    shared = gradient(lambda x: linalg.vector_norm(x, ord=math.inf), [1.0, -3.0, 3.0])
    np.testing.assert_array_equal(shared, [0.0, -0.5, 0.5])


@pytest.mark.parametrize("letter", "fc")
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_matrix_norms(ord, keepdims, letter):
    x = made(real(2, 3, 4), letter)
    found = linalg.matrix_norm(x, ord=ord, keepdims=keepdims)
    expected = np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims)
    np.testing.assert_allclose(found.value, expected)
    check_gradient(lambda x: linalg.matrix_norm(x, ord=ord), x)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3,), {}),
        ((3, 4), {}),
        ((2, 3, 4), {}),
        ((3,), {"ord": 1}),
        ((3, 4), {"ord": 1}),
        ((3, 4), {"ord": "fro"}),
        ((3, 4), {"axis": 0}),
        ((3, 4), {"axis": (1,), "ord": 3}),
        ((2, 3, 4), {"axis": (0, 1)}),
        ((2, 3, 4), {"axis": (0, 2), "ord": "nuc", "keepdims": True}),
        ((2, 3, 4), {"axis": (-1, 0), "ord": 1}),
        ((2, 3, 4), {"axis": 1, "ord": math.inf, "keepdims": True}),
    ],
)
def test_norm_is_numpys(shape, options):
    x = made(real(*shape))
    numpys = options | ({"axis": options["axis"][0]} if options.get("axis") == (1,) else {})
    np.testing.assert_allclose(linalg.norm(x, **options).value, np.linalg.norm(x, **numpys))
    check_gradient(lambda x: linalg.norm(x, **options), x)
