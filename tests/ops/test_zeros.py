"""Zero times infinity: what nothing depends on has the gradient zero, whatever its slope is.

Each row is at the border of its domain, outside of it, and inside; nothing of its results is used.
All of them are one compiled function.
"""

import numpy as np
import pytest

import headgate as hg

INF, NAN = np.inf, np.nan

POINTS = {
    "exp": [1000.0, 5.0, 2.0],
    "exp2": [2000.0, 3.0, 1.0],
    "expm1": [1000.0, 1.0, 2.0],
    "sinh": [1000.0, 1.0, -1000.0],
    "cosh": [1000.0, 1.0, -1000.0],
    "log1p": [-1.0, -2.0, 1.0],
    "asin": [1.0, 2.0, -1.0],
    "acos": [1.0, 2.0, -1.0],
    "acosh": [1.0, 0.5, -1.0],
    "atanh": [1.0, 2.0, -1.0],
}
ROWS = {
    name: getattr(hg, name)
    for name in [*POINTS, "sqrt", "rsqrt", "reciprocal", "log", "log2", "log10"]
} | {
    "power 1/2": lambda x: x**0.5,
    "power -1": lambda x: x**-1,
    "power -1.5": lambda x: x**-1.5,
    "powers": lambda x: x ** np.array([0.5, -1.0, 0.0], x.dtype),
    "exponent": lambda x: hg.pow(0.0, x),
    "quotient": lambda x: 1.0 / x,
    "of 0 and 0": lambda x: x / hg.sqrt(x * x),
    "1 / sqrt": lambda x: 1 / hg.sqrt(x),
    "sqrt of log": lambda x: hg.sqrt(hg.log(x)),
    "exp of log": lambda x: hg.exp(2.0 * hg.log(x)),
    "vector_norm": lambda x: hg.linalg.vector_norm(x[:, None] * np.ones(2, x.dtype), axis=1),
    "std": lambda x: hg.std(x[:, None] * np.ones(2, x.dtype), axis=1),
}
REAL = ROWS | {
    "hypot": lambda x: hg.hypot(x, x * 0.0),
    "atan2": lambda x: hg.atan2(x, x * 0.0),
    "logaddexp": lambda x: hg.logaddexp(hg.log(x), hg.log(x)),
    "remainder": lambda x: hg.remainder(4.0, x),
}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")


def at(name, dtype="float64"):
    return hg.asarray(np.asarray(POINTS.get(name, [0.0, -1.0, 4.0]), dtype))


def unused(y):
    return hg.where(np.zeros(3, bool), y, 0.0)


def derivatives(f, x, more=True):
    """Return the first derivatives of what is not used of f, and the next ones."""

    def loss(x):
        return hg.sum(hg.real(unused(f(x))))

    def second(x):
        return hg.hvp(loss, (x,), (hg.ones_like(x),))[0]

    found = [hg.grad(loss)(x)]
    if more:
        found.append(second(x))
        found.append(hg.grad(lambda x: hg.sum(hg.real(second(x))))(x))
        found.append(hg.jvp(lambda x: unused(f(x)), (x,), (hg.ones_like(x),))[1])
        found.append(hg.jvp(f, (x,), (hg.zeros_like(x),))[1])
    return found


@pytest.mark.parametrize("name", REAL)
def test_zero_stays_zero(name):
    for found in derivatives(REAL[name], at(name)):
        np.testing.assert_array_equal(found, np.zeros(3))


@pytest.mark.other_dtype
@pytest.mark.parametrize("dtype", ["float32", "float16", "complex128"])
def test_zero_stays_zero_in_every_dtype(dtype):
    for name, f in (ROWS if dtype == "complex128" else REAL).items():
        (found,) = derivatives(f, at(name, dtype), more=False)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.zeros(3), err_msg=name)


@pytest.mark.peers
@pytest.mark.light
def test_zero_stays_zero_compiled():
    compiled = hg.function(
        lambda points: {
            name: derivatives(REAL[name], x, name in ("sqrt", "quotient", "powers"))
            for name, x in points.items()
        }
    )
    for name, all_found in compiled({name: at(name) for name in REAL}).items():
        for found in all_found:
            np.testing.assert_array_equal(found, np.zeros(3), err_msg=name)


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3)])
def test_zero_stays_zero_in_every_shape(shape):
    x = np.zeros(shape)
    for name in ("sqrt", "log", "reciprocal"):
        found = hg.grad(lambda x, f=REAL[name]: hg.sum(hg.where(x > 0, f(x), 0.0)))(x)
        assert found.shape == shape
        np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize(
    ("program", "at", "expected"),
    [
        (lambda x: hg.sqrt(x) * np.array([0.0, 1.0]), [0.0, 4.0], [0.0, 0.25]),
        (lambda x: hg.maximum(hg.sqrt(x), 0.5), [0.0, 4.0], [0.0, 0.25]),
        (lambda x: hg.sqrt(hg.maximum(x, 0.0)), [-1.0, 4.0], [0.0, 0.25]),
        (lambda x: hg.sqrt(hg.minimum(-x, 0.0) + 4.0), [-1.0, 4.0], [0.0, -INF]),
        (lambda x: hg.sqrt(hg.clip(x, 0.0, 1.0)), [-1.0, 0.25], [0.0, 1.0]),
        (lambda x: hg.sqrt(hg.relu(x)), [-1.0, 0.25], [0.0, 1.0]),
        (lambda x: hg.log(hg.relu6(x)), [-1.0, 0.25], [0.0, 4.0]),
        (lambda x: hg.linalg.diagonal(hg.sqrt(x)), [[1.0, 0.0], [0.0, 4.0]], [[0.5, 0], [0, 0.25]]),
        (lambda x: hg.sqrt(x)[1:], [0.0, 4.0], [0.0, 0.25]),
        (
            lambda x: hg.linalg.vector_norm(x, axis=1)[1:],
            [[0, 0], [3.0, 4.0]],
            [[0, 0], [0.6, 0.8]],
        ),
        (lambda x: hg.std(x, axis=1)[1:], [[1.0, 1.0], [3.0, 5.0]], [[0, 0], [-0.5, 0.5]]),
    ],
)
def test_programs(program, at, expected):
    found = hg.grad(lambda x: hg.sum(program(x)))(np.asarray(at))
    np.testing.assert_allclose(found, expected)


def test_infinity_and_nan_are_not_hidden():
    def gradient(f, x, g):
        _y, pull = hg.vjp(f, np.asarray(x))
        return pull(np.asarray(g))[0].numpy()

    np.testing.assert_array_equal(
        gradient(hg.sqrt, [0.0, 0.0, 4.0], [1.0, NAN, NAN]), [INF, NAN, NAN]
    )
    np.testing.assert_array_equal(gradient(hg.sqrt, [-1.0, -1.0], [1.0, 0.0]), [NAN, 0.0])
    np.testing.assert_array_equal(
        gradient(hg.relu, [-1.0, -1.0, 1.0], [NAN, INF, NAN]), [NAN, 0, NAN]
    )
    np.testing.assert_array_equal(gradient(hg.reciprocal, [0.0, 2.0], [-1.0, NAN]), [INF, NAN])
    assert np.isnan(hg.grad(lambda x: NAN * hg.relu(x))(-1.0))
    assert hg.jvp(hg.sqrt, (0.0,), (1.0,))[1] == INF
    # A zero cotangent in a place of its own does not make the slope there zero.
    slope = hg.grad(lambda z: hg.grad(lambda x: z * hg.sqrt(x))(4.0))(0.0)
    assert slope == 0.25


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (-INF, -INF, (0.0, 0.0)),  # as logsumexp: what is masked has no weight
        (-INF, 1.0, (0.0, 1.0)),
        (INF, 1.0, (1.0, 0.0)),
        (INF, -INF, (1.0, 0.0)),
        (INF, INF, (1.0, 1.0)),  # as in JAX
        (NAN, 1.0, (NAN, NAN)),
    ],
)
def test_logaddexp_at_infinities(x, y, expected):
    found = hg.grad(hg.logaddexp, (0, 1))(x, y)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(hg.grad(hg.logsumexp)(np.array([x, y])), expected)
    seconds = hg.grad(lambda x, y: hg.grad(hg.logaddexp)(x, y), (0, 1))(x, y)
    np.testing.assert_allclose(seconds, (NAN, NAN) if x != x else (0.0, 0.0))


def test_powers_at_zero():
    def polynomial(x):
        return hg.sum(hg.pow(hg.expand_dims(x, -1), np.arange(4)) * np.array([1.0, 2.0, 3.0, 4.0]))

    one, two = hg.grad(polynomial), hg.grad(hg.grad(polynomial))
    assert (one(0.0), two(0.0), hg.grad(two)(0.0)) == (2.0, 6.0, 24.0)
    assert [hg.grad(lambda x, n=n: x**n)(0.0) for n in (0, 1, 2, 0.0, 1.0)] == [0, 1, 0, 0, 1]
    second = [hg.grad(hg.grad(lambda x, n=n: x**n))(0.0) for n in (1, 2, 3, 1.0)]
    assert second == [0, 2, 0, 0]
    # The exponent's slope depends on the base also where the exponent is zero.
    assert hg.grad(hg.grad(hg.pow), 1)(2.0, 0.0) == 0.5
