"""Functions of matrices: their values, and derivatives at equal eigenvalues and apart.

At the identity the derivative of any f is f'(1) times what the matrix changes by; elsewhere finite
differences say what it is, and JAX's own functions.
"""

import warnings

import numpy as np
import pytest

import headgate as hg
from headgate import linalg
from headgate.testing import check_gradient, spd
from ops.cases_linalg import turning
from ops.matrices import gradient, made, weigh

EQUAL = {
    "I": np.eye(3),
    "rank one": np.ones((3, 3)),
    "zero": np.zeros((3, 3)),
    "two equal": np.diag([1.0, 1.0, 3.0]),
    "stack": np.stack([np.eye(3), np.diag([3.0, 1.0, 2.0])]),
    "one": np.array([[2.0]]),
    "nearly": np.diag([1.0, 1.0 + 1e-9, 1.0 + 1e-5]),
}
APART = {
    "apart": made(spd(3)),
    "complex": made(spd(3), "c"),
    "complex stack": made(spd(2, 3), "c"),
}
SMOOTH = {
    "exp": hg.exp,
    "sin": hg.sin,
    "cube": lambda w: w**3,
    "constant": hg.ones_like,
    "phase": lambda w: hg.exp(1j * w),
}
POSITIVE = {"log": hg.log, "sqrt": hg.sqrt, "rsqrt": hg.rsqrt, "reciprocal": hg.reciprocal}


@pytest.mark.parametrize("letter", "fc")
@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 5, 8])
def test_matrix_power(n, letter):
    x = made(spd(2, 3), letter) / 3
    np.testing.assert_allclose(
        linalg.matrix_power(x, n).value, np.linalg.matrix_power(x, n), rtol=1e-10
    )
    if n:
        check_gradient(lambda x: linalg.matrix_power(x, n), x)


# -- primary functions ----------------------------------------------------------------------------

PRIMARY = {
    "expm": (linalg.expm, np.e),
    "sqrtm": (linalg.sqrtm, 0.5),
    "logm": (linalg.logm, 1.0),
}
GENERAL = {
    "I": np.eye(3),
    "two equal": np.diag([1.0, 1.0, 3.0]),
    "one": np.array([[2.0]]),
    "defective": np.array([[2.0, 1.0], [0.0, 2.0]]),
    "turning": made(turning(3)),
    "stack": made(turning(2, 3)),
    "complex": made(turning(3), "c"),
    "Hermitian": made(spd(3), "c"),
}


@pytest.mark.parametrize("x", GENERAL.values(), ids=GENERAL)
@pytest.mark.parametrize("name", PRIMARY)
def test_primary_functions(name, x):
    f, slope = PRIMARY[name]
    check_gradient(lambda x: weigh(f(x)), x)
    if x.ndim == 2 and (x == np.eye(len(x))).all():
        np.testing.assert_allclose(
            gradient(lambda x: weigh(f(x)), x), weigh(slope * np.ones_like(x))
        )


@pytest.mark.parametrize("x", GENERAL.values(), ids=GENERAL)
def test_primary_functions_undo_each_other(x):
    root = linalg.sqrtm(x)
    np.testing.assert_allclose((root @ root).value, x, atol=1e-13)
    np.testing.assert_allclose(linalg.expm(linalg.logm(x)).value, x, atol=1e-12)


def test_third_derivative_of_expm():
    check_gradient(lambda x: weigh(linalg.expm(x)), np.eye(2), order=3)


@pytest.mark.parametrize("name", PRIMARY)
def test_a_large_cotangent_does_not_spoil_a_gradient(name):
    f, x = PRIMARY[name][0], made(turning(3))
    one = gradient(lambda x: weigh(f(x)), x)
    for scale in (1e-30, 1e30, 0.0):
        np.testing.assert_allclose(
            gradient(lambda x, scale=scale: scale * weigh(f(x)), x), scale * one
        )


def test_exponentials_of_large_and_small_matrices():
    angle = 1000.0
    found = linalg.expm(angle * np.array([[0.0, 1.0], [-1.0, 0.0]])).value
    turned = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    np.testing.assert_allclose(found, turned, atol=1e-10)
    both = linalg.expm(np.stack([1e-9 * np.ones((2, 2)), 50 * np.eye(2)])).value
    np.testing.assert_allclose(both[0], np.eye(2) + np.expm1(2e-9) / 2, rtol=1e-15)
    np.testing.assert_allclose(both[1], np.exp(50) * np.eye(2), rtol=1e-13)


def test_roots_and_logarithms_that_do_not_exist():
    np.testing.assert_allclose(linalg.sqrtm(np.ones((3, 3))).value, np.ones((3, 3)) / np.sqrt(3))
    assert np.isnan(linalg.sqrtm(np.diag([-1.0, 1.0])).value).any()
    assert np.isnan(linalg.sqrtm(np.array([[-1.0, 1.0], [0.0, 2.0]])).value).all()
    np.testing.assert_allclose(linalg.sqrtm(np.diag([-4.0 + 0j, 1.0])).value, np.diag([2j, 1.0]))
    np.testing.assert_allclose(
        linalg.logm(np.diag([-1.0 + 0j, 1.0])).value, np.diag([np.pi * 1j, 0.0]), atol=1e-15
    )
    assert not np.isfinite(linalg.logm(np.ones((2, 2))).value).any()
    with pytest.warns(hg.UndefinedGradientWarning, match="gradient of sqrtm is NaN: an eigenvalue"):
        assert np.isnan(gradient(linalg.sqrtm, np.diag([1.0, 0.0]))).any()


@pytest.mark.parametrize(
    "f", [linalg.expm, linalg.sqrtm, linalg.logm, lambda x: linalg.funm(x, hg.exp)]
)
@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0), (0, 2, 2)])
def test_matrices_of_nothing(f, shape):
    assert f(np.zeros(shape)).shape == shape
    assert gradient(f, np.zeros(shape)).shape == shape


@pytest.mark.peers
@pytest.mark.parametrize("letter", "fFc")
def test_primary_functions_are_scipys_and_jaxs(letter):
    import jax
    import scipy.linalg

    x = made(turning(4), letter)
    tolerance = 1e-4 if letter == "F" else 1e-10
    for name in PRIMARY:
        expected = getattr(scipy.linalg, name)(x.astype(complex))
        found = PRIMARY[name][0](x)
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found.value, expected, rtol=tolerance, atol=tolerance)
    theirs = jax.grad(lambda x: jax.numpy.sum(weigh(jax.scipy.linalg.expm(x).real)))(x)
    ours = gradient(lambda x: hg.real(weigh(linalg.expm(x))), x)
    np.testing.assert_allclose(ours, np.conj(theirs), rtol=tolerance)


# -- functions of eigenvalues ---------------------------------------------------------------------


def symmetric(x):
    return (x + hg.conj(x.mT)) / 2


@pytest.mark.parametrize("x", [*EQUAL.values(), *APART.values()], ids=[*EQUAL, *APART])
@pytest.mark.parametrize("f", SMOOTH.values(), ids=SMOOTH)
def test_funm(f, x):
    w, v = np.linalg.eigh(x)
    expected = (v * f(hg.asarray(w)).value[..., None, :]) @ np.conj(v.mT)
    np.testing.assert_allclose(linalg.funm(x, f).value, expected, atol=1e-12)
    check_gradient(lambda x: weigh(linalg.funm(symmetric(x), f)), x)


@pytest.mark.parametrize("f", POSITIVE.values(), ids=POSITIVE)
def test_funm_of_positive_matrices(f):
    for x in (np.eye(3), made(spd(3)), made(spd(3), "c"), np.diag([1.0, 1.0, 3.0])):
        check_gradient(lambda x: weigh(linalg.funm(symmetric(x), f)), x)


def test_funm_at_the_identity_where_eigh_cannot_tell():
    """Reports of peers: whitening, logarithms and exponentials at I."""
    c = np.random.default_rng(1).normal(size=(3, 3))
    for f, slope in [(hg.exp, np.e), (hg.log, 1.0), (hg.rsqrt, -0.5), (lambda w: w, 1.0)]:
        found = gradient(lambda x, f=f: linalg.funm(x, f) * c, np.eye(3))
        np.testing.assert_allclose(found, slope * (c + c.T) / 2, atol=1e-14)


@pytest.mark.peers
def test_funm_at_the_identity_when_compiled():
    c = np.random.default_rng(1).normal(size=(3, 3))
    for f, slope in [(hg.exp, np.e), (hg.log, 1.0), (hg.rsqrt, -0.5), (lambda w: w, 1.0)]:
        found = hg.function(hg.grad(lambda x, f=f: hg.sum(linalg.funm(x, f) * c)))(np.eye(3))
        np.testing.assert_allclose(found.value, slope * (c + c.T) / 2, atol=1e-14)


def test_what_is_no_function_of_tensors_is_refused():
    with pytest.raises(TypeError, match=r"funm: f must compute with headgate's functions.*ndarray"):
        linalg.funm(np.eye(2), lambda w: w.numpy())


@pytest.mark.parametrize("n", [2.5, "2", None])
def test_matrix_power_of_no_whole_number_is_refused(n):
    with pytest.raises(TypeError, match="matrix_power: n must be an integer"):
        linalg.matrix_power(np.eye(2), n)


def test_funm_reads_one_triangle_as_eigh_does():
    x = made(spd(3)) + np.triu(np.ones((3, 3)), 1)
    check_gradient(lambda x: weigh(linalg.funm(x, hg.exp)), x)
    assert not np.triu(gradient(lambda x: linalg.funm(x, hg.exp), x), 1).any()


def test_funm_with_variables_in_the_function():
    """Derivatives by what the function uses, and by both together."""
    for x in (np.diag([1.0, 1.0, 2.0]), np.eye(3)):
        check_gradient(
            lambda x, p: weigh(linalg.funm(symmetric(x), lambda w: hg.exp(p * w))), x, np.array(0.7)
        )
    p = hg.Variable(2.0)
    with hg.GradientTape() as tape:
        y = hg.sum(linalg.funm(np.diag([2.0, 3.0]), lambda w: w**p))
    np.testing.assert_allclose(tape.gradient(y, p), 4 * np.log(2) + 9 * np.log(3))


def test_funm_of_whole_numbers_and_float32():
    assert linalg.funm([[2, 1], [1, 2]], hg.exp).dtype == np.float64
    x = made(spd(3), "F")
    found = linalg.funm(x, hg.exp)
    assert found.dtype == np.float32
    assert gradient(lambda x: linalg.funm(x, hg.exp), x).dtype == np.float32
    np.testing.assert_allclose(
        gradient(lambda x: weigh(linalg.funm(x, hg.exp)), np.eye(3, dtype=np.float32)),
        gradient(lambda x: weigh(linalg.funm(x, hg.exp)), np.eye(3)),
        rtol=1e-5,
    )


def test_no_gradient_of_funm_follows_a_slope_that_nothing_uses():
    """At an eigenvalue of zero the root has an infinite slope, which the others do not meet."""

    def upper(x):
        return hg.sum(linalg.funm(x, hg.sqrt)[:2, :2])

    found = gradient(upper, np.diag([1.0, 4.0, 0.0]))
    np.testing.assert_allclose(np.diag(found)[:2], [0.5, 0.25])
    assert np.isfinite(found).all()


def third(x):
    def first(x):
        return hg.sum(weigh(linalg.funm(x, hg.exp)))

    second = hg.grad(lambda x: hg.sum(hg.grad(first)(x) ** 2))
    return hg.grad(lambda x: hg.sum(second(x)))(x)


def test_a_third_derivative_of_funm_is_nan_and_says_why():
    with pytest.warns(hg.UndefinedGradientWarning, match="funm is NaN: it is a third derivative"):
        assert np.isnan(third(made(spd(3))).value).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hg.hvp(lambda x: hg.sum(linalg.funm(x, hg.exp)), (np.eye(3),), (np.ones((3, 3)),))
        hg.hessian(lambda x: hg.sum(linalg.funm(x, hg.exp)))(np.eye(3))


@pytest.mark.parametrize(
    ("x", "f", "pattern"),
    [
        (np.ones((2, 3)), hg.exp, r"funm: x must be square matrices; its shape is \(2, 3\)"),
        (np.eye(3), hg.sum, r"funm: f is an elementwise function; .* \(3,\) it made \(\)"),
        (np.ones(3), hg.exp, r"funm: x must be matrices"),
    ],
)
def test_bad_calls_of_funm(x, f, pattern):
    with pytest.raises(ValueError, match=pattern):
        linalg.funm(x, f)


@pytest.mark.light
@pytest.mark.peers
def test_functions_of_matrices_when_compiled():
    """Values and derivatives as one program, some of them of the second order."""
    functions = [
        (linalg.expm, np.eye(3), 2),
        (linalg.sqrtm, np.diag([1.0, 1.0, 3.0]), 1),
        (linalg.logm, np.stack([np.eye(3), made(turning(3))]), 1),
        (lambda x: linalg.funm(symmetric(x), hg.log), np.eye(3), 2),
        (lambda x: linalg.funm(symmetric(x), hg.exp), made(spd(2, 3), "c"), 1),
    ]

    def program(given):
        found = []
        for (f, _, order), x in zip(functions, given, strict=True):

            def loss(x, f=f):
                return hg.sum(hg.real(weigh(f(x))))

            found += [f(x), hg.grad(loss)(x)]
            if order == 2:
                found.append(hg.hvp(loss, x, hg.ones_like(x)))
        return found

    given = [hg.asarray(x) for _, x, _ in functions]
    for mine, other in zip(hg.function(program)(given), program(given), strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-9)
