"""Section 2.10: what the gradient is at ties, kinks and poles."""

import numpy as np
import pytest

KINKS = [
    ("abs", lambda tf, x: tf.abs(x), 0.0, 0.0),
    ("relu", lambda tf, x: tf.nn.relu(x), 0.0, 0.0),
    ("relu6", lambda tf, x: tf.nn.relu6(x), 0.0, 0.0),
    ("leaky_relu", lambda tf, x: tf.nn.leaky_relu(x), 0.0, 0.2),
    ("elu", lambda tf, x: tf.nn.elu(x), 0.0, 1.0),
    ("sign", lambda tf, x: tf.sign(x), 0.0, 0.0),
    ("sqrt", lambda tf, x: tf.sqrt(x), 0.0, np.inf),
    ("norm", lambda tf, x: tf.norm(x), [0.0, 0.0], [np.nan, np.nan]),
    ("where_sqrt", lambda tf, x: tf.where(x > 0, tf.sqrt(x), 0.0), [0.0, -1.0], [0.0, 0.0]),
    ("where_rsqrt", lambda tf, x: tf.where(x > 0, tf.math.rsqrt(x), 0.0), [0.0, -1.0], [0.0, 0.0]),
    ("clip_edges", lambda tf, x: tf.clip_by_value(x, 0.0, 1.0), [0.0, 1.0], [1.0, 1.0]),
    ("clip_crossed", lambda tf, x: tf.clip_by_value(x, 3.0, 1.0), [0.0, 2.0, 4.0], [0.0, 0.0, 0.0]),
    (
        "clip_by_tensors",
        lambda tf, x: tf.clip_by_value(x, tf.constant(0.0), tf.constant([1.0, 1.0, 2.0])),
        [0.0, 1.0, 3.0],
        [1.0, 1.0, 0.0],
    ),
    ("clip_outside", lambda tf, x: tf.clip_by_value(x, 0.0, 1.0), [-0.5, 1.5], [0.0, 0.0]),
    ("reduce_max", lambda tf, x: tf.reduce_max(x), [2.0, 2.0], [0.5, 0.5]),
    ("reduce_min", lambda tf, x: tf.reduce_min(x), [2.0, 2.0], [0.5, 0.5]),
]


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:overflow")
@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [pytest.param(*case, id=name) for name, *case in KINKS],
)
def test_kink(tf, near, function, value, expected):
    """abs, relu family, sign, sqrt, norm, x**0., where, clip_by_value, reduce_max tie."""
    x = tf.Variable(value)
    with tf.GradientTape() as tape:
        y = function(tf, x)
    near(tape.gradient(y, x), expected)


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:overflow")
@pytest.mark.parametrize(
    ("function", "at"),
    [
        pytest.param(lambda tf, x: x**0.0, 0.0, id="x**0."),
        pytest.param(lambda tf, x: tf.where(x > 0, tf.math.log(x), 0.0), 0.0, id="log"),
        pytest.param(lambda tf, x: tf.where(x > 0, 1.0 / x, 0.0), 0.0, id="divide"),
        pytest.param(lambda tf, x: tf.where(x < 9, tf.exp(x), 0.0), 1000.0, id="exp"),
        pytest.param(lambda tf, x: tf.where(x < 1, tf.math.asin(x), 0.0), 1.0, id="asin"),
    ],
)
def test_zero_times_infinity(tf, near, deviation, function, at):
    """TensorFlow has 0 for sqrt, rsqrt and reciprocal and NaN for the others; here one rule."""
    x = tf.Variable(at)
    with tf.GradientTape() as tape:
        y = function(tf, x)
    near(tape.gradient(y, x), deviation(tensorflow=np.nan, headgate=0.0))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_tie_of_two(tf, near, name):
    """maximum & minimum tie: all to first arg (1,0)."""
    x, y = tf.Variable(2.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        z = getattr(tf, name)(x, y)
    dx, dy = tape.gradient(z, [x, y])
    near(dx, 1.0)
    near(dy, 0.0)


def test_divide_no_nan(tf, near):
    """divide_no_nan(1,0)=0, and its gradients are 0."""
    x, y = tf.Variable(1.0), tf.Variable(0.0)
    with tf.GradientTape() as tape:
        z = tf.math.divide_no_nan(x, y)
    near(z, 0.0)
    for gradient in tape.gradient(z, [x, y]):
        near(gradient, 0.0)


@pytest.mark.parametrize("name", ["round", "floor"])
def test_no_gradient(tf, name):
    """round/floor None."""
    x = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = getattr(tf, name)(x)
    assert tape.gradient(y, x) is None


def test_clip_by_crossed_bounds_gives_the_lower_bound(tf, near):
    """clip_by_value is maximum(minimum(x, high), low): the lower bound wins, and its gradient."""
    low, high = tf.Variable(3.0), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = tf.clip_by_value(tf.constant([0.0, 2.0]), low, high)
    near(y, [3.0, 3.0])
    near(tf.clip_by_value(tf.constant([0.0, 2.0]), 3.0, 1.0), [3.0, 3.0])
    gradient = tape.gradient(y, [low, high])
    near(gradient[0], 2.0)
    near(gradient[1], 0.0)


STRAIGHT = {
    "relu": lambda tf, x: tf.nn.relu(x),
    "relu6": lambda tf, x: tf.nn.relu6(x),
    "leaky_relu": lambda tf, x: tf.nn.leaky_relu(x),
    "abs": lambda tf, x: tf.abs(x),
    "max_pool": lambda tf, x: tf.nn.max_pool2d(tf.reshape(x, [1, 2, 3, 1]), 2, 1, "VALID"),
}
LINEAR = {
    "maximum": lambda tf, x: tf.maximum(x, 0.1),
    "clip_by_value": lambda tf, x: tf.clip_by_value(x, -1.0, 1.0),
    "reduce_max": lambda tf, x: tf.reduce_max(x, 1),
    "where": lambda tf, x: tf.where(x > 0.0, x, 0.5 * x),
    "sum": lambda tf, x: tf.reduce_sum(3.0 * x),
}


@pytest.mark.parametrize("name", STRAIGHT | LINEAR)
def test_second_derivatives_of_straight_parts(tf, near, name):
    """Zeros of an activation, None of what chooses or scales: as in TensorFlow."""
    x = tf.Variable([[-1.5, 0.5, 2.0], [0.3, -0.2, 7.0]])
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            y = (STRAIGHT | LINEAR)[name](tf, x)
        gradient = tf.convert_to_tensor(inner.gradient(y, x))
        product = tf.reduce_sum(gradient * x)
    found = outer.gradient(gradient, x)
    if name in STRAIGHT:
        near(found, np.zeros((2, 3)))
    else:
        assert found is None
    near(outer.gradient(product, x), gradient.numpy())
