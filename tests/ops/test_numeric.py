"""Functions that are put together of rows: NumPy's values, gradients, compiled as eager.

All of them are one compiled function, with their gradients; derivatives are checked by differences.
"""

import numpy as np
import pytest
from scipy import integrate, linalg

import headgate as hg
from headgate.testing import check_gradient

RNG = np.random.default_rng(5)
X = RNG.uniform(-2.0, 2.0, (3, 4))
Y = RNG.uniform(0.5, 2.0, (3, 4))
Z = X + 1j * Y
POINTS = np.asarray([0.0, 0.5, 2.0, 3.0])
LOWER = np.tril(RNG.uniform(0.5, 1.0, (3, 3)))

CASES = {
    "diff": (lambda hg, x: hg.diff(x), [X]),
    "diff twice": (lambda hg, x: hg.diff(x, 2, axis=0), [X]),
    "diff with ends": (lambda hg, x, y: hg.diff(x, prepend=y, append=y, axis=1), [X, Y]),
    "diff with a number": (lambda hg, x: hg.diff(x, prepend=0.0), [Z]),
    "trapezoid": (lambda hg, y: hg.trapezoid(y, dx=0.5), [Y]),
    "trapezoid at": (lambda hg, y, x: hg.trapezoid(y, x, axis=0), [X, np.asarray([0.0, 1, 3])]),
    "interp": (lambda hg, x, p, v: hg.interp(x, p, v), [X, POINTS, Y[0]]),
    "interp outside": (lambda hg, x, p: hg.interp(x, p, p**2, left=-1.0, right=9.0), [X, POINTS]),
    "interp in circles": (lambda hg, x, v: hg.interp(x, POINTS, v, period=3.5), [X, Y[0]]),
    "interp of a point": (lambda hg, x: hg.interp(x, [1.0], [2.0]) + x, [X]),
    "dot of vectors": (lambda hg, x, y: hg.dot(x, y), [X[0], Y[0]]),
    "dot of more": (lambda hg, x, y: hg.dot(x, y), [X[None], Y.T[None]]),
    "dot by a number": (lambda hg, x: hg.dot(x, 2.0), [X]),
    "vdot": (lambda hg, x, y: hg.vdot(x, y), [Z, Z + 1]),
    "inner": (lambda hg, x, y: hg.inner(x, y), [X, Y]),
    "convolve": (lambda hg, x, y: hg.convolve(x, y), [X[0], Y[0, :3]]),
    "convolve valid": (lambda hg, x, y: hg.convolve(x, y, "valid"), [X[0, :2], Y[0]]),
    "convolve same": (lambda hg, x, y: hg.convolve(x, y, "same"), [X[0], Y[0, :2]]),
    "convolve the same": (lambda hg, x, y: hg.convolve(x, y, "same"), [X[0, :3], Y[0]]),
    "correlate": (lambda hg, x, y: hg.correlate(x, y), [Z[0], Z[1, :2]]),
    "quantile": (lambda hg, x: hg.quantile(x, 0.3), [X]),
    "quantiles": (lambda hg, x: hg.quantile(x, [0.1, 0.8], axis=1, keepdims=True), [X]),
    "percentile": (lambda hg, x: hg.percentile(x, 60, axis=(0, 1)), [X]),
    "median": (lambda hg, x: hg.median(x, axis=1), [X]),
    "median of odd": (lambda hg, x: hg.median(x, axis=0, keepdims=True), [X]),
    "nan_to_num": (lambda hg, x: hg.nan_to_num(x, 1.0, 2.0, 3.0), [X]),
    "diag": (lambda hg, x: hg.diag(x, -1), [X[0]]),
    "diag of a matrix": (lambda hg, x: hg.diag(x, 1), [X]),
    "swapaxes": (lambda hg, x: hg.swapaxes(x, 0, -1), [X]),
    "logspace": (lambda hg, x: hg.logspace(x, 1.0, 3), [X[0, 0]]),
}
PIECEWISE = {"interp", "interp outside", "interp in circles", "quantile", "nan_to_num"}


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name):
    call, arrays = CASES[name]
    found, expected = call(hg, *arrays), np.asarray(call(np, *arrays))
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.value, expected, rtol=1e-12, atol=1e-12)
    check_gradient(lambda *x: call(hg, *x), *arrays, order=1 if name in PIECEWISE else 2)


@pytest.mark.peers
@pytest.mark.light
def test_compiled():
    def program(arrays):
        found = {}
        for name, (call, _) in CASES.items():
            sources = [hg.asarray(x) for x in arrays[name]]
            with hg.GradientTape() as tape:
                tape.watch(sources)
                y = call(hg, *sources)
                loss = hg.sum(hg.abs(y) ** 2)
            found[name] = [y, *tape.gradient(loss, sources)]
        return found

    arrays = {name: given for name, (_, given) in CASES.items()}
    expected = program(arrays)
    for name, ours in hg.function(program)(arrays).items():
        for mine, other in zip(ours, expected[name], strict=True):
            assert mine.dtype == other.dtype, name
            np.testing.assert_allclose(mine.value, other.value, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_methods_of_quantiles(method):
    x = np.asarray([3.0, 1.0, 2.0, 10.0])
    for q in (0.0, 1.0, 0.2, [0.5, 0.9]):
        expected = np.quantile(x, q, method=method)
        np.testing.assert_allclose(hg.quantile(x, q, method=method).numpy(), expected)
    assert np.isnan(hg.quantile([1.0, np.nan], 0.5).numpy())


def test_gradient_of_a_quantile_goes_to_two_elements_and_to_q():
    x, q = hg.asarray([4.0, 1.0, 2.0]), hg.asarray(0.75)
    with hg.GradientTape() as tape:
        tape.watch([x, q])
        y = hg.quantile(x, q)
    by_x, by_q = tape.gradient(y, [x, q])
    np.testing.assert_allclose(by_x.numpy(), [0.5, 0.0, 0.5])
    assert by_q.numpy() == 4.0


def test_close():
    assert hg.allclose([1.0, 2.0], [1.0, 2.0 + 1e-9])
    assert not hg.allclose([1.0, np.nan], [1.0, np.nan])
    assert hg.allclose([1.0, np.nan], [1.0, np.nan], equal_nan=True)


def test_integers_and_what_is_refused():
    assert hg.diff([1, 4, 9]).dtype == int
    assert hg.diff([True, False]).tolist() == [True]
    assert hg.median([1, 2]).numpy() == 1.5
    for wrong in (
        lambda: hg.diff(1.0),
        lambda: hg.diff([1.0], -1),
        lambda: hg.interp([1.0], [0.0, 1.0], [1.0]),
        lambda: hg.interp([1.0], [], []),
        lambda: hg.median([]),
        lambda: hg.quantile([1.0], 0.5, method="other"),
        lambda: hg.quantile([1.0], [[0.5]]),
        lambda: hg.convolve([1.0], [1.0], "all"),
        lambda: hg.diag(hg.zeros((2, 2, 2))),
        lambda: hg.linalg.cho_solve(LOWER, LOWER[0]),
        lambda: hg.linalg.lstsq(X, Y[:2]),
    ):
        with pytest.raises(ValueError, match=r"\w+: "):
            wrong()


@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
def test_triangular_systems(trans):
    x, y = LOWER + 1j * LOWER**2, Z.T[:3]
    for lower, unit_diagonal in ((True, False), (False, True)):
        full = x if lower else x.T
        options = {"trans": trans, "lower": lower, "unit_diagonal": unit_diagonal}
        found = hg.linalg.solve_triangular(full, y, **options)
        np.testing.assert_allclose(found.numpy(), linalg.solve_triangular(full, y, **options))
        check_gradient(lambda a, b, o=options: hg.linalg.solve_triangular(a, b, **o), full, y)


def test_systems_by_a_factor():
    x = LOWER @ LOWER.T + np.eye(3)
    for lower in (True, False):
        factor = np.linalg.cholesky(x, upper=not lower)
        found = hg.linalg.cho_solve((factor, lower), X[:, 0])
        np.testing.assert_allclose(found.numpy(), np.linalg.solve(x, X[:, 0]))

    def solved(x, y):
        return hg.linalg.cho_solve((hg.linalg.cholesky(x @ x.T), True), y)

    check_gradient(solved, x, X)


def test_least_squares():
    for x, y in ((Y.T, X.T), (Y, X[:, 0]), (Y.T, X[0])):
        found = hg.linalg.lstsq(x, y)
        expected, residuals, rank, singular = np.linalg.lstsq(x, y)
        np.testing.assert_allclose(found.x.numpy(), expected)
        if len(residuals):
            np.testing.assert_allclose(hg.asarray(found.residuals).numpy(), np.squeeze(residuals))
        assert found.rank.numpy() == rank
        np.testing.assert_allclose(found.singular_values.numpy(), singular)
        check_gradient(lambda x, y: hg.linalg.lstsq(x, y)[:2], x, y)


def test_eigenvalues_of_any_matrix():
    real = np.asarray([[1.0, 2.0, 0.5], [-1.0, 0.3, 1.0], [0.2, 0.8, -1.5]])
    for x in (real, real + 1j * real.T):
        w, v = hg.linalg.eig(x)
        np.testing.assert_allclose((x @ v.value), v.value * w.value, atol=1e-12)
        np.testing.assert_allclose(hg.linalg.eigvals(x).numpy(), np.linalg.eigvals(x))
        check_gradient(lambda x: hg.linalg.eigvals(x), x)

        def without_phase(x):
            w, v = hg.linalg.eig(x)
            return hg.abs(v), hg.exp(w) * hg.abs(hg.sum(v, axis=0)) ** 2

        check_gradient(without_phase, x)


def test_equal_eigenvalues_of_any_matrix():
    with pytest.warns(hg.UndefinedGradientWarning, match="eig.*equal"):
        found = hg.grad(lambda x: hg.sum(hg.abs(hg.linalg.eig(x)[1] @ [1.0, 2.0])))(np.eye(2))
    assert np.isnan(found.numpy()).any()


def test_trapezoids_are_scipys():
    found = hg.trapezoid(X, Y, axis=1).numpy()
    np.testing.assert_allclose(found, integrate.trapezoid(X, Y, axis=1))
