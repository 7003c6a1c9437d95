"""Section 2.7: tf.autodiff.ForwardAccumulator."""

import logging
import warnings

import pytest


def test_nests(tf, near):
    """jvp(target nest) same nest; untracked None, 'zero' -> zeros; jvp(primal) = its tangent."""
    x, c = tf.constant([1.0, 2.0]), tf.constant([5.0, 5.0])
    tangent = tf.constant([1.0, 10.0])
    with tf.autodiff.ForwardAccumulator(x, tangent) as accumulator:
        y = x * x
    result = accumulator.jvp({"y": y, "rest": [c, (x,)]})
    near(result["y"], [2.0, 40.0])
    assert result["rest"][0] is None
    near(result["rest"][1][0], [1.0, 10.0])
    near(accumulator.jvp(c, unconnected_gradients="zero"), [0.0, 0.0])
    near(accumulator.jvp(c, unconnected_gradients=tf.UnconnectedGradients.ZERO), [0.0, 0.0])


def test_several_primals(tf, near):
    """nested primals and tangents."""
    x, y = tf.constant(3.0), tf.constant(4.0)
    with tf.autodiff.ForwardAccumulator(
        [x, y], [tf.constant(1.0), tf.constant(10.0)]
    ) as accumulator:
        z = x * y
    near(accumulator.jvp(z), 34.0)


def test_duplicate_primal(tf):
    """duplicate primal: ValueError "... was specified as a primal multiple times"."""
    x = tf.constant(2.0)
    with pytest.raises(ValueError, match="specified as a primal multiple times"):
        tf.autodiff.ForwardAccumulator([x, x], [x, x])


@pytest.mark.parametrize(
    "arguments",
    [lambda x, y: ([x, y], [x]), lambda x, y: (x, [1.0, 2.0])],
    ids=["count", "list_for_tensor"],
)
def test_structure_mismatch(tf, arguments):
    """structure mismatch: ValueError (python list tangent for a tensor primal also)."""
    with pytest.raises(ValueError, match="structure"):
        tf.autodiff.ForwardAccumulator(*arguments(tf.constant([1.0, 2.0]), tf.constant(1.0)))


def test_tangent_shape(tf, near, deviation):
    """tangent shape: not checked, broadcasts.

    Headgate broadcasts it to the primal's shape at once, so that jvp(primal) has that shape too.
    """
    x = tf.constant([1.0, 2.0])
    with tf.autodiff.ForwardAccumulator(x, tf.constant(3.0)) as accumulator:
        y = x * x
    near(accumulator.jvp(y), [6.0, 12.0])
    near(accumulator.jvp(x), deviation(tensorflow=3.0, headgate=[3.0, 3.0]))


def test_tangent_dtype(tf):
    """tangent dtype: ValueError naming both dtypes."""
    with pytest.raises(ValueError, match=r"float32.*float64|float64.*float32"):
        tf.autodiff.ForwardAccumulator(tf.constant(1.0), tf.constant(1.0, dtype=tf.float64))


def test_variable(tf, near):
    """Variable primal ok; assign does not carry a tangent (None)."""
    v, w, one = tf.Variable(3.0), tf.Variable(0.0), tf.constant(1.0)
    with tf.autodiff.ForwardAccumulator(v, one) as accumulator:
        y = v * v
        w.assign(y)
        z = w * 1.0
    near(accumulator.jvp(y), 6.0)
    assert accumulator.jvp(z) is None
    assert accumulator.jvp(w) is None


def test_reenter_while_active(tf):
    """re-enter while active: ValueError "... already recording"."""
    accumulator = tf.autodiff.ForwardAccumulator(tf.constant(1.0), tf.constant(1.0))
    with accumulator, pytest.raises(ValueError, match="already recording"), accumulator:
        pass


def test_reenter_later(tf, near):
    """re-enter later continues; ops outside not tracked; jvp before entering: primal only."""
    x, one = tf.constant(2.0), tf.constant(1.0)
    accumulator = tf.autodiff.ForwardAccumulator(x, one)
    before = x * x
    near(accumulator.jvp(x), 1.0)
    assert accumulator.jvp(before) is None
    with accumulator:
        y = x * x
    outside = y * y
    near(accumulator.jvp(y), 4.0)
    assert accumulator.jvp(outside) is None
    with accumulator:
        z = y * x
    near(accumulator.jvp(z), 12.0)


def test_int_primal(tf, deviation, caplog):
    """int primal: warning, None (TF logs it, Headgate uses `warnings`)."""
    x, tangent = tf.constant(2), tf.constant(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with tf.autodiff.ForwardAccumulator(x, tangent) as accumulator:
            y = x * x
    logged = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    said = deviation(tensorflow=logged, headgate=[str(warning.message) for warning in caught])
    assert len([text for text in said if "must be floating" in text]) == 1
    assert accumulator.jvp(y) is None


def test_forward_over_reverse(tf, near):
    """fwd-over-rev (HVP [6,0])."""
    x = tf.constant([1.0, 2.0])
    with tf.autodiff.ForwardAccumulator(x, tf.constant([1.0, 0.0])) as accumulator:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(x * x * x)
        gradient = tape.gradient(y, x)
    near(gradient, [3.0, 12.0])
    near(accumulator.jvp(gradient), [6.0, 0.0])


def test_reverse_over_forward(tf, near):
    """rev-over-fwd."""
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        with tf.autodiff.ForwardAccumulator(x, tf.constant([1.0, 0.0])) as accumulator:
            y = tf.reduce_sum(x * x * x)
        tangent = accumulator.jvp(y)
    near(tangent, 3.0)
    near(tape.gradient(tangent, x), [6.0, 0.0])


def test_forward_over_forward(tf, near):
    """fwd-over-fwd (32,48)."""
    x, one = tf.constant(2.0), tf.constant(1.0)
    with tf.autodiff.ForwardAccumulator(x, one) as outer:
        with tf.autodiff.ForwardAccumulator(x, one) as inner:
            y = x * x * x * x
        first = inner.jvp(y)
    near(first, 32.0)
    near(outer.jvp(first), 48.0)
