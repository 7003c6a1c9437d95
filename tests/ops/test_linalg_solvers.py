"""Determinants of singular matrices."""

import math

import numpy as np
import pytest

import headgate as hg
from headgate import linalg
from headgate.testing import check_gradient, real
from ops.matrices import made


@pytest.mark.parametrize("letter", "fc")
def test_determinant_of_a_singular_matrix_has_a_gradient(letter):
    x = made(real(3, 3), letter)
    x[2] = x[0] + x[1]
    check_gradient(linalg.det, x, order=1)
    check_gradient(linalg.det, np.zeros((2, 2), x.dtype), order=1)


def along(start, direction, orders):
    """Return the derivatives of det(start + t direction) at t = 0, from the first to the last."""
    found = []

    def f(t):
        return linalg.det(start + t * direction)

    for _ in range(orders):
        f = hg.grad(f)
        found.append(f(hg.asarray(0.0)))
    return found


def coefficients(start, direction):
    """Return the derivatives of the same polynomial by its values on the unit circle."""
    count = len(start) + 1
    points = np.exp(2j * np.pi * np.arange(count) / count)
    values = [np.linalg.det(start + t * direction) for t in points]
    return [c.real * math.factorial(k) for k, c in enumerate(np.fft.fft(values) / count)][1:]


@pytest.mark.parametrize(
    "values", [(2, 1, 0.5), (2, 1, 0), (2, 0, 0), (0, 0, 0), (1, 1, 1e-7, 1e-9), (3, 2, 1, 0, 0)]
)
def test_determinant_has_every_derivative_at_singular_matrices(values):
    rng = np.random.default_rng(3)
    size = len(values)
    u, v = (np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2))
    start, direction = u @ np.diag(values) @ v, rng.normal(size=(size, size))
    expected = coefficients(start, direction)[:3]
    np.testing.assert_allclose(
        [c.numpy() for c in along(start, direction, 3)], expected, rtol=1e-9, atol=1e-10
    )


@pytest.mark.peers
def test_determinant_has_derivatives_at_singular_matrices_when_compiled():
    start, direction = np.diag([1.0, 0.0, 0.0]), np.arange(9.0).reshape(3, 3) ** 2
    found = hg.function(lambda start: along(start, direction, 2))(start)
    expected = coefficients(start, direction)[:2]
    np.testing.assert_allclose([c.numpy() for c in found], expected, atol=1e-10)


def test_slogdet_of_a_singular_matrix():
    sign, logarithm = linalg.slogdet(np.zeros((2, 2)))
    assert (sign.numpy(), logarithm.numpy()) == (0.0, -math.inf)
