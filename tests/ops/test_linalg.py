"""Linear algebra that a table cannot say: bases, degenerate and singular matrices, norms, einsum.

A basis (columns of Q, U, V, eigenvectors) is unique up to signs or phases, and rotations of what
completes it. So these are tested through functions that do not depend on the choice.
"""

import math

import numpy as np
import pytest

import headgate as hg
from headgate.core.namespace import NUMPY
from headgate.ops import linalg
from headgate.testing import OpCase, check_gradient, real, spd


def made(maker, letter="f"):
    return OpCase("", [maker]).make(letter)[0]


def adjoint(x):
    return hg.conj(x.mT)


def gradient(f, x):
    x = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x).value


WEIGHTS = np.random.default_rng(5).normal(size=(6, 6))


def weigh(x):
    """Return a matrix with every element weighted differently, so that none goes unchecked."""
    return x * WEIGHTS[: x.shape[-2], : x.shape[-1]]


# -- factorisations, by what does not depend on the basis -----------------------------------------


def spectral(x):
    w, v = linalg.eigh(x)
    return weigh((v * hg.exp(w / 3)[..., None, :]) @ adjoint(v))


def projector(x):
    _, v = linalg.eigh(x)
    return weigh(v[..., :2] @ adjoint(v[..., :2]))


def polar(x):
    u, s, vh = linalg.svd(x, full_matrices=False)
    return weigh(u @ vh), weigh(u[..., :1] @ vh[..., :1, :]), s


def column_spaces(x):
    """Return projectors on the spaces that singular vectors span, those that complete them too."""
    u, s, vh = linalg.svd(x)
    rank = s.shape[-1]
    parts = [u[..., :1], u[..., 1:], u[..., rank:], adjoint(vh)[..., :1], adjoint(vh)[..., rank:]]
    return [weigh(part @ adjoint(part)) for part in parts if part.shape[-1]]


def orthogonal(x):
    q, r = linalg.qr(x)
    return weigh(q[..., :2] @ adjoint(q[..., :2])), weigh(q @ hg.tanh(hg.abs(r))), hg.abs(r)


def complement(x):
    q, r = linalg.qr(x, mode="complete")
    rest = q[..., 2:]
    return weigh(rest @ adjoint(rest)), weigh(q @ r), hg.abs(r)


@pytest.mark.parametrize("letter", "fc")
@pytest.mark.parametrize(
    ("f", "maker"),
    [
        (spectral, spd(4)),
        (spectral, real(2, 3, 3)),
        (projector, spd(4)),
        (polar, real(3, 3)),
        (polar, real(5, 3)),
        (polar, real(2, 3, 5)),
        (column_spaces, real(3, 3)),
        (column_spaces, real(5, 3)),
        (column_spaces, real(3, 5)),
        (complement, real(5, 2)),
        (complement, real(2, 4, 2)),
        (lambda x: linalg.cholesky(x @ adjoint(x)), real(3, 4)),
        (lambda x: linalg.cholesky(x @ adjoint(x), upper=True), real(2, 3, 4)),
    ],
)
def test_invariant_functions_of_factorisations(f, maker, letter):
    check_gradient(f, made(maker, letter))


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 3)])
def test_invariant_functions_of_qr(shape):
    check_gradient(orthogonal, made(real(*shape)))


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)])
def test_qr_of_complex_matrices(shape):
    """|r| and projectors on the first columns of q do not depend on phases."""

    def invariant(x):
        q, r = linalg.qr(x)
        return weigh(q[..., :2] @ adjoint(q[..., :2])), hg.abs(r), weigh(q @ r)

    check_gradient(invariant, made(real(*shape), "c"))


@pytest.mark.parametrize("name", ["eigh", "svd", "qr", "cholesky"])
@pytest.mark.parametrize("letter", "fc")
def test_factors_give_the_matrix_back(name, letter):
    x = made(spd(2, 3), letter)
    if name == "eigh":
        w, v = linalg.eigh(x)
        product = (v * w[..., None, :]) @ adjoint(v)
    elif name == "svd":
        u, s, vh = linalg.svd(x, full_matrices=False)
        product = (u * s[..., None, :]) @ vh
    elif name == "qr":
        q, r = linalg.qr(x)
        product = q @ r
    else:
        lower = linalg.cholesky(x)
        product = lower @ adjoint(lower)
    np.testing.assert_allclose(product.value, x, atol=1e-12)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: hg.sum(linalg.svdvals(x)), np.eye(3)),
        (lambda x: hg.sum(linalg.svd(x).S), np.eye(3)),
        (lambda x: hg.sum(linalg.eigvalsh(x) ** 2), 2 * np.eye(3)),
        (lambda x: hg.sum(linalg.eigh(x).eigenvalues ** 2), 2 * np.eye(3)),
        (lambda x: linalg.matrix_norm(x, ord="nuc"), np.eye(3)),
    ],
)
def test_equal_values_are_no_obstacle_to_functions_of_the_values(f, expected):
    np.testing.assert_allclose(gradient(f, np.eye(3)), expected, atol=1e-14)


def test_nuclear_norm_of_a_matrix_that_lacks_rank_is_finite():
    assert np.isfinite(gradient(lambda x: linalg.matrix_norm(x, ord="nuc"), np.ones((4, 3)))).all()


# -- determinants of singular matrices ------------------------------------------------------------


@pytest.mark.parametrize("letter", "fc")
def test_determinant_of_a_singular_matrix_has_a_gradient(letter):
    x = made(real(3, 3), letter)
    x[2] = x[0] + x[1]
    check_gradient(linalg.det, x, order=1)
    check_gradient(linalg.det, np.zeros((2, 2), x.dtype), order=1)


def test_slogdet_of_a_singular_matrix():
    sign, logarithm = linalg.slogdet(np.zeros((2, 2)))
    assert (sign.numpy(), logarithm.numpy()) == (0.0, -math.inf)


# -- norms ----------------------------------------------------------------------------------------


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


# -- compositions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", "fc")
@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 5, 8])
def test_matrix_power(n, letter):
    x = made(spd(2, 3), letter) / 3
    np.testing.assert_allclose(
        linalg.matrix_power(x, n).value, np.linalg.matrix_power(x, n), rtol=1e-10
    )
    if n:
        check_gradient(lambda x: linalg.matrix_power(x, n), x)


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
    assert linalg._matmul_y(g, NUMPY, x, (30, 20)).shape == (30, 20)


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "eigvalsh", "eigh", "qr", "svd"])
def test_stacks_of_no_matrices(name):
    def f(x):
        result = getattr(linalg, name)(x)
        return sum(hg.sum(part) for part in as_tuple(result))

    assert gradient(f, np.zeros((0, 2, 2))).shape == (0, 2, 2)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("ours", "theirs", "maker"),
    [
        (spectral, "eigh", spd(4)),
        (polar, "svd", real(5, 3)),
        (orthogonal, "qr", real(5, 3)),
        (linalg.cholesky, "cholesky", spd(4)),
        (linalg.pinv, "pinv", real(5, 3)),
        (linalg.det, "det", real(4, 4)),
        (lambda x: linalg.matrix_norm(x, ord=2), "norm", real(4, 3)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_gradient_is_jaxs(ours, theirs, maker):
    """The same program differentiated by JAX itself: rules of ours against rules of theirs."""
    import jax

    def program(x):
        results = ours(hg.asarray(x))
        results = results if isinstance(results, tuple) else (results,)
        return sum(hg.sum(result * result).value for result in results)

    x = made(maker)
    expected = jax.grad(program)(jax.numpy.asarray(x))
    found = gradient(lambda x: sum(hg.sum(r * r) for r in as_tuple(ours(x))), x)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)
