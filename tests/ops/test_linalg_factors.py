"""Factorisations, by what does not depend on the basis; triangles, dtypes and NaN.

A basis (columns of Q, U, V, eigenvectors) is unique up to signs or phases, and rotations of what
completes it. So these are tested through functions that do not depend on the choice.
"""

import numpy as np
import pytest

import headgate as hg
from headgate import linalg
from headgate.testing import check_gradient, real, spd
from ops.cases_linalg import lopsided
from ops.matrices import adjoint, as_tuple, gradient, made, weigh

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
        (spectral, lopsided(spd(4))),
        (spectral, real(2, 3, 3)),
        (projector, lopsided(spd(4))),
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


# -- triangles, dtypes, NaN -----------------------------------------------------------------------


@pytest.mark.parametrize("letter", "fc")
def test_one_triangle_is_read_and_the_gradient_is_that_of_the_function(letter):
    """NumPy's values on matrices that are not Hermitian, and finite differences on these."""
    x = made(spd(3), letter)
    x = x + np.triu(made(real(3, 3), letter), 1)
    for f, name in [
        (linalg.cholesky, "cholesky"),
        (linalg.eigvalsh, "eigvalsh"),
        (lambda x: linalg.eigh(x).eigenvalues, "eigvalsh"),
    ]:
        np.testing.assert_allclose(f(x).value, getattr(np.linalg, name)(x), rtol=1e-12)
        check_gradient(f, x)
    check_gradient(spectral, x)
    y = adjoint(hg.asarray(x)).value
    upper = linalg.cholesky(y, upper=True)
    np.testing.assert_allclose(upper.value, np.linalg.cholesky(y, upper=True), rtol=1e-12)
    check_gradient(lambda y: linalg.cholesky(y, upper=True), y)
    assert not np.triu(gradient(lambda x: hg.abs(linalg.cholesky(x)), x), 1).any()


@pytest.mark.parametrize("letter", "fc")
def test_the_gradient_of_a_hermitian_matrix_is_hermitian(letter):
    """By closed forms, and the second order along a Hermitian direction: that of tr x^3."""
    x, v = made(spd(3), letter), made(spd(3), letter)

    def logarithm(x):
        return 2 * hg.sum(hg.log(hg.real(linalg.diagonal(linalg.cholesky(x)))))

    def cubes(x):
        return hg.sum(linalg.eigvalsh(x) ** 3)

    def together(x):
        return hg.sum(linalg.eigh(x).eigenvalues ** 3)

    np.testing.assert_allclose(gradient(logarithm, x), np.linalg.inv(x), rtol=1e-12)
    for f in (cubes, together):
        np.testing.assert_allclose(gradient(f, x), 3 * x @ x, rtol=1e-12)
        product = hg.hvp(f, hg.asarray(x), hg.asarray(v))
        np.testing.assert_allclose(product.value, 3 * (x @ v + v @ x), rtol=1e-10)
        both = gradient(f, np.stack([x, x + np.triu(v, 1)]))
        np.testing.assert_allclose(both[0], 3 * x @ x, rtol=1e-12)
        assert not np.triu(both[1], 1).any()


FUNCTIONS = [
    "cholesky",
    "det",
    "eigh",
    "eigvalsh",
    "expm",
    "inv",
    "logm",
    "pinv",
    "qr",
    "slogdet",
    "sqrtm",
    "svd",
    "svdvals",
]


@pytest.mark.parametrize("name", [*FUNCTIONS, "matrix_rank"])
def test_what_no_library_computes_is_refused_by_name(name):
    import ml_dtypes

    f = getattr(linalg, name)
    with pytest.raises(ValueError, match=rf"{name}: x must be matrices.*its shape is \(3,\)"):
        f(np.ones(3))
    for dtype in (np.float16, ml_dtypes.bfloat16):
        with pytest.raises(TypeError, match=rf"{name}: there is no linear algebra in (b)?float16"):
            f(np.eye(2).astype(dtype))


@pytest.mark.peers
def test_odd_matrices_are_treated_alike_when_compiled():
    """Whole numbers and booleans count as float64; where there is no number, NaN comes out."""
    odd = {
        "whole": np.array([[2, 1], [1, 3]]),
        "boolean": np.eye(2, dtype=bool),
        "nan": np.array([[np.nan, 1.0], [1.0, 2.0]]),
        "nan below": np.array([[1.0, 0.0], [np.nan, 2.0]]),
        "nan above": np.array([[1.0, np.nan], [0.5, 2.0]]),
        "none": np.zeros((0, 2, 2)),
        "empty": np.zeros((0, 0)),
    }

    def values(odd):
        return {
            (name, kind): as_tuple(getattr(linalg, name)(x))
            for kind, x in odd.items()
            for name in FUNCTIONS
        }

    with np.errstate(invalid="ignore"):
        eager, compiled = values(odd), hg.function(values)(odd)
    for case, parts in eager.items():
        for mine, other in zip(compiled[case], parts, strict=True):
            assert mine.dtype == other.dtype, case
            np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-12, err_msg=str(case))
        if "nan" in case[1]:
            unread = case[1] == "nan above" and case[0] in ("eigh", "eigvalsh", "cholesky")
            assert any(np.isnan(part.value).any() for part in parts) != unread, case
    with pytest.raises(TypeError, match=r"det: there is no linear algebra in float16"):
        hg.function(linalg.det)(np.eye(2, dtype=np.float16))


@np.errstate(invalid="ignore")
def test_gradient_at_nan_is_nan():
    odd = np.array([[np.nan, 1.0], [1.0, 2.0]])
    assert np.isnan(gradient(linalg.det, odd)).all()
    with pytest.warns(hg.UndefinedGradientWarning, match="singular, or has NaN in it"):
        assert np.isnan(gradient(lambda x: linalg.slogdet(x).logabsdet, odd)).all()


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
        (spectral, "eigh", lopsided(spd(4))),
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
