"""Products: einsum, kron, and how large a matrix product becomes."""

import numpy as np
import pytest

import headgate as hg
from headgate import linalg
from headgate.core.namespace import NUMPY
from headgate.ops.linalg.products import _matmul_y
from headgate.testing import check_gradient, real
from ops.matrices import gradient, made


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda: linalg.norm(np.ones((2, 2, 2)), ord=2), "needs an axis"),
        (lambda: linalg.norm(np.ones((2, 2, 2)), ord=2, axis=(0, 1, 2)), "one number or two"),
        (lambda: linalg.matrix_norm(np.ones(3)), "must be matrices"),
        (lambda: linalg.matrix_norm(np.ones((3, 3)), ord=5), "ord must be"),
        (lambda: linalg.matrix_power(np.ones((2, 3)), 2), "square"),
        (lambda: hg.einsum("ij", np.ones(3)), r"does not fit an operand of 1(.|\n)*float64 \(3,\)"),
    ],
)
def test_bad_calls_of_composed_functions(call, pattern):
    with pytest.raises(ValueError, match=pattern):
        call()


def test_einsum_wants_its_subscripts_first():
    with pytest.raises(TypeError, match="subscripts first"):
        hg.einsum(np.ones((2, 2)), "ij->i")


@pytest.mark.parametrize(
    ("x_shape", "y_shape"), [((2, 3), (4, 5)), ((3,), (2, 2)), ((2, 3, 2), (4,)), ((), (3,))]
)
def test_kron(x_shape, y_shape):
    x, y = made(real(*x_shape)), made(real(*y_shape))
    np.testing.assert_allclose(linalg.kron(x, y).value, np.kron(x, y))
    check_gradient(linalg.kron, x, y)


def test_einsum_of_a_broadcast_axis():
    """NumPy lets an axis of size 1 meet any other of its letter; its gradient is summed."""
    x, y = made(real(1, 3)), made(real(4, 3))
    np.testing.assert_allclose(hg.einsum("ij,ij->i", x, y).value, np.einsum("ij,ij->i", x, y))
    check_gradient(lambda x, y: hg.einsum("ij,ij->i", x, y), x, y)
    check_gradient(lambda x, y: hg.einsum("ij,kj->ik", x, y), x[:, :1], y)


def test_einsum_with_the_same_operand_twice():
    check_gradient(lambda x: hg.einsum("ij,jk->ik", x, x), made(real(3, 3), "c"))


def test_einsum_with_constants_between():
    constant = np.arange(3.0)
    x = made(real(3))
    np.testing.assert_allclose(
        gradient(lambda x: hg.einsum("i,i,->", x, constant, 2.0), x), 2 * constant
    )


@pytest.mark.parametrize(
    "subscripts", ["ij, jk -> ik", "ij,jk", "IJ,JK->KI", "ab...,b...->...a", "ij,ij->", "ij,kj"]
)
def test_einsum_is_numpys(subscripts):
    x = made(real(3, 3))
    y = x[0] + 1 if "..." in subscripts else x + 1
    expected = np.einsum(subscripts, x, y)
    np.testing.assert_allclose(hg.einsum(subscripts, x, y).value, expected)


def test_gradient_of_a_shared_matrix_is_one_product():
    """No stack of products is built only to be summed."""
    x, g = np.ones((50, 4, 30)), np.ones((50, 4, 20))
    assert _matmul_y(g, NUMPY, x, (30, 20)).shape == (30, 20)


@pytest.mark.parametrize("dtype", ["int64", "float16"])
def test_tensordot_of_bfloat16_and_what_it_has_no_dtype_in_common_with(dtype):
    """NumPy would give an array of Python objects."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.ones((2, 3), ml_dtypes.bfloat16)
    with pytest.raises(TypeError, match=r"tensordot: The DType .*bfloat16"):
        hg.tensordot(x, np.ones((3, 2), dtype), 1)
