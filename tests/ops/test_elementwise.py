"""What a table of cases cannot say of elementwise ops: kinks, ties, extremes, dtypes."""

import math

import numpy as np
import pytest

import headgate as hg

INF, NAN = math.inf, math.nan


def gradient(function, *values):
    """Return the gradients of a function's sum for numbers or arrays, as NumPy values."""
    tensors = [hg.asarray(value) for value in values]
    with hg.GradientTape() as tape:
        tape.watch(tensors)
        result = function(*tensors)
    return [None if g is None else g.numpy() for g in tape.gradient(result, tensors)]


# -- kinks and ties, as TensorFlow has them --------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (hg.abs, 0.0, 0.0),
        (hg.abs, 0j, 0j),
        (hg.sign, 3.0, 0.0),
        (hg.sign, 0j, 0j),
        (hg.relu, 0.0, 0.0),
        (hg.relu6, 0.0, 0.0),
        (hg.relu6, 6.0, 0.0),
        (hg.leaky_relu, 0.0, 0.2),
        (hg.elu, 0.0, 1.0),
        (hg.selu, 0.0, 1.0507009873554805),
        (hg.hard_tanh, 1.0, 1.0),
        (hg.hard_sigmoid, 3.0, 0.0),
        (hg.softsign, 0.0, 1.0),
        (hg.sqrt, 0.0, INF),
        (hg.rsqrt, 0.0, -INF),
        (lambda x: x**0.0, 0.0, 0.0),
        (lambda x: x**0, 0.0, 0.0),
        (lambda x: x**0.0, 2.0, 0.0),
        (lambda x: x**2, 0.0, 0.0),
        (lambda x: x**1.0, 0.0, 1.0),
        (lambda x: 0.0**x, 2.0, 0.0),
        (lambda x: (-2.0) ** x, 2.0, 0.0),
        (lambda x: hg.clip(x, 0.0, 1.0), 0.0, 1.0),
        (lambda x: hg.clip(x, 0.0, 1.0), 1.0, 1.0),
        (lambda x: hg.clip(x, 0.0, 1.0), 1.1, 0.0),
        (lambda x: hg.clip(x, 0.0, 1.0), -0.1, 0.0),
        (lambda x: hg.where(x > 1, hg.log(x), 0.0), 0.5, 0.0),
    ],
)
def test_kinks(function, at, expected):
    with np.errstate(divide="ignore"):
        (found,) = gradient(function, at)
    np.testing.assert_equal(found, expected)


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (hg.maximum, (2.0, 2.0), (1.0, 0.0)),
        (hg.minimum, (2.0, 2.0), (1.0, 0.0)),
        (hg.divide_no_nan, (1.0, 0.0), (0.0, 0.0)),
        (hg.divide, (1.0, 0.0), (INF, -INF)),
        (hg.pow, (0.0, 0.0), (0.0, 0.0)),
        (hg.pow, (0.0, 1.0), (1.0, 0.0)),
        (hg.pow, (-2.0, 3.0), (12.0, 0.0)),
        (hg.remainder, (5.5, 2.0), (1.0, -2.0)),
        (hg.remainder, (-5.5, 2.0), (1.0, 3.0)),
        (hg.hypot, (0.0, 0.0), (NAN, NAN)),
        (hg.atan2, (1.0, 0.0), (0.0, -1.0)),
        (hg.copysign, (-3.0, 2.0), (-1.0, None)),
        (hg.floor_divide, (5.5, 2.0), (None, None)),
        (lambda x, low: hg.clip(x, low, 4.0), (2.0, 2.0), (1.0, 0.0)),
        (lambda x, low: hg.clip(x, low, 4.0), (2.0, 3.0), (0.0, 1.0)),
        (lambda x, high: hg.clip(x, max=high), (2.0, 1.0), (0.0, 1.0)),
        (hg.clip, (0.0, 3.0, 1.0), (0.0, 0.0, 1.0)),
        (hg.clip, (2.0, 3.0, 1.0), (0.0, 0.0, 1.0)),
        (hg.clip, (1.0, 3.0, 1.0), (0.0, 0.0, 1.0)),
        (hg.clip, (4.0, 3.0, 1.0), (0.0, 0.0, 1.0)),
        (hg.clip, (2.0, 3.0, 3.0), (0.0, 1.0, 0.0)),
    ],
)
def test_ties_and_poles(function, at, expected):
    with np.errstate(all="ignore"):
        found = gradient(function, *at)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours is theirs or np.array_equal(ours, theirs, equal_nan=True)


def test_where_keeps_out_what_it_did_not_choose():
    with np.errstate(divide="ignore"):
        assert gradient(lambda x: hg.where(x > 0, hg.log(x), 0.0), 0.0) == [0.0]
    assert gradient(lambda x: hg.where(x > 0, x, NAN), 2.0) == [1.0]


def test_condition_of_where_has_no_gradient_of_its_own():
    assert gradient(hg.where, 1.0, 2.0, 3.0) == [None, 1.0, 0.0]


# -- extremes --------------------------------------------------------------------------------------

BIG = np.asarray([-1e30, -1000.0, -90.0, -20.0, 0.0, 20.0, 90.0, 1000.0, 1e30])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "function",
    [
        hg.sigmoid,
        hg.log_sigmoid,
        hg.softplus,
        hg.softsign,
        hg.silu,
        hg.mish,
        hg.elu,
        hg.selu,
        hg.gelu,
        hg.erf,
        hg.tanh,
        hg.atan,
        hg.asinh,
        lambda x: hg.logaddexp(x, 1.0),
        lambda x: hg.hypot(x, 1.0),
        lambda x: hg.sigmoid_cross_entropy(x, 1.0),
    ],
)
def test_large_arguments_give_finite_values_and_gradients_without_a_warning(function, dtype):
    x = BIG.astype(dtype)
    assert np.all(np.isfinite(function(x).numpy()))
    assert np.all(np.isfinite(gradient(function, x)[0]))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (hg.sigmoid, -50.0, math.exp(-50)),
        (hg.softplus, -50.0, math.exp(-50)),
        (hg.log_sigmoid, -50.0, -50.0),
        (hg.log_sigmoid, 50.0, -math.exp(-50)),
        (lambda x: hg.sigmoid_cross_entropy(x, 1.0), 50.0, math.exp(-50)),
        (lambda x: hg.sigmoid_cross_entropy(x, 0.0), -50.0, math.exp(-50)),
        (hg.erf, 1e-20, 2e-20 / math.sqrt(math.pi)),
        (hg.asinh, 1e15, math.asinh(1e15)),
    ],
)
def test_small_results_keep_their_digits(function, at, expected, dtype):
    found = function(np.asarray([at], dtype)).numpy()
    np.testing.assert_allclose(found, [expected], rtol=1e-14 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("function", [hg.erf, hg.sigmoid, hg.tanh, hg.relu, hg.softplus, hg.elu])
def test_nan_and_infinity(function):
    low, high, nan = function(np.asarray([-INF, INF, NAN])).numpy()
    limits = {"erf": (-1, 1), "tanh": (-1, 1), "sigmoid": (0, 1), "elu": (-1, INF)}
    assert (low, high) == limits.get(function.__name__, (0, INF))
    assert math.isnan(nan)


def test_erf_is_exact_to_the_last_digits():
    x = np.linspace(-7, 7, 20001)
    expected = np.asarray([math.erf(value) for value in x])
    np.testing.assert_allclose(hg.erf(x).numpy(), expected, rtol=1e-15, atol=0)
    assert np.signbit(hg.erf(-0.0).numpy())


# -- shapes and dtypes -----------------------------------------------------------------------------

UNARY = (
    "abs atan asinh ceil conj cos cosh elu erf exp exp2 expm1 floor gelu hard_sigmoid hard_tanh "
    "identity isfinite isinf isnan leaky_relu log_sigmoid logical_not mish negative positive real "
    "relu relu6 round selu sigmoid sign signbit silu sin sinh softplus softsign square tan tanh "
    "trunc"
)


@pytest.mark.parametrize("name", UNARY.split())
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_any_shape_and_floating_dtype(name, shape, dtype):
    x = np.full(shape, 0.5, dtype)
    result = getattr(hg, name)(x)
    assert result.shape == shape
    assert result.dtype in (x.dtype, np.dtype(bool))
    (found,) = gradient(getattr(hg, name), x)
    if found is not None:
        assert (found.shape, found.dtype) == (shape, x.dtype)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "gelu", "erf", "exp", "rsqrt", "mish"])
@pytest.mark.parametrize("value", [2, 2.0, np.int64(2), np.asarray([2, 3])])
def test_python_numbers_and_integers_become_floating(name, value):
    result = getattr(hg, name)(value)
    assert result.dtype == np.float64
    expected = getattr(hg, name)(np.asarray(value, float))
    np.testing.assert_array_equal(result.numpy(), expected.numpy())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 1,
        lambda x: 1 - x,
        lambda x: 2 * x,
        lambda x: x / 3,
        lambda x: x**2,
        lambda x: x**3,
        lambda x: x**2.5,
        lambda x: 2**x,
        lambda x: x % 2,
        lambda x: hg.maximum(x, 0),
        lambda x: hg.where(x > 0, x, 0),
        lambda x: hg.clip(x, 0, 5.0),
        lambda x: hg.divide_no_nan(x, 0.0),
        lambda x: hg.atan2(x, 1.0),
        lambda x: hg.squared_difference(1.0, x),
    ],
)
def test_python_numbers_do_not_widen_float32(function):
    x = np.asarray([0.5, 2.0], np.float32)
    assert function(hg.asarray(x)).dtype == np.float32
    assert gradient(function, x)[0].dtype == np.float32


def test_astype_passes_gradient_between_floating_dtypes_only():
    x = np.asarray([0.5, 2.0], np.float32)
    (found,) = gradient(lambda x: hg.astype(x, "float64") ** 2, x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, 2 * x)
    (found,) = gradient(lambda x: hg.real(1j * hg.astype(x, "complex64") * 2j), x)
    np.testing.assert_array_equal(found, [-2.0, -2.0])
    assert gradient(lambda x: hg.astype(x, int), x) == [None]
    assert gradient(lambda x: hg.astype(hg.astype(x, bool), float), x) == [None]
    assert hg.astype(2, "float32").dtype == np.float32
    assert hg.astype([1.5, 2.5], "bool").dtype == bool


def test_gradient_of_a_real_argument_among_complex_ones_is_real():
    x, z = gradient(lambda x, z: hg.real(x * z * z), 3.0, 1 + 2j)
    assert (x, z) == (-3.0, 6 - 12j)
    assert (x.dtype, z.dtype) == (np.float64, np.complex128)


def test_complex_gradients_point_uphill_as_in_tensorflow():
    assert gradient(lambda z: z * z, 2 + 1j) == [4 - 2j]
    np.testing.assert_allclose(gradient(hg.abs, 3 + 4j), [0.6 + 0.8j], rtol=1e-15)
    assert gradient(hg.imag, 3 + 4j) == [1j]


def test_integer_powers_are_as_exact_as_numpys():
    x = np.linspace(-3, 3, 1001)
    for power in range(10):
        np.testing.assert_allclose(hg.pow(x, power).numpy(), x**power, rtol=1e-15)
    assert hg.pow(np.asarray([2, 3]), 3).tolist() == [8, 27]


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 1\) and \(4,\); reshape"):
        hg.sigmoid_cross_entropy(np.zeros((4, 1)), np.zeros(4))


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "pow", "where", "erf", "maximum"])
def test_third_order(name):
    x = hg.asarray([-0.7, 0.3, 1.2])
    functions = {
        "pow": lambda x: hg.pow(x, 4),
        "where": lambda x: hg.where(x > 0, x * x * x, x * x),
        "maximum": lambda x: hg.maximum(x, 0.5) ** 3,
    }
    function = functions.get(name, getattr(hg, name))
    with hg.GradientTape() as third:
        third.watch(x)
        with hg.GradientTape() as second:
            second.watch(x)
            with hg.GradientTape() as first:
                first.watch(x)
                y = function(x)
            y = first.gradient(y, x)
        y = second.gradient(y, x, unconnected_gradients="zero")
    found = third.gradient(y, x, unconnected_gradients="zero").numpy()
    s, t, v = 1 / (1 + np.exp(-x.numpy())), np.tanh(x.numpy()), x.numpy()
    expected = {
        "sigmoid": s * (1 - s) * (1 - 6 * s + 6 * s**2),
        "tanh": (1 - t**2) * (6 * t**2 - 2),
        "relu": np.zeros(3),
        "pow": 24 * v,
        "where": np.where(v > 0, 6.0, 0.0),
        "erf": (4 * v**2 - 2) * 2 / math.sqrt(math.pi) * np.exp(-v * v),
        "maximum": np.where(v > 0.5, 6.0, 0.0),
    }
    np.testing.assert_allclose(found, expected[name], atol=1e-12)
