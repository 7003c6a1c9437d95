"""numpy_function and py_function: Python called on values, with several results and dtypes."""

import numpy as np
import pytest


@pytest.fixture
def x(tf):
    return tf.Variable([1.0, 2.0], name="x")


def test_numpy_function_is_called_with_arrays(tf, near, x):
    seen = []

    def function(*arrays):
        seen.extend((type(array), array.dtype) for array in arrays)
        return arrays[0] * 2

    near(tf.numpy_function(function, [x, tf.constant(1)], tf.float32), [2.0, 4.0])
    assert seen == [(np.ndarray, "float32"), (np.ndarray, "int32")]
    near(tf.numpy_function(lambda: np.float32(2), [], tf.float32), 2.0)


def test_numpy_function_with_several_results(tf, near, x):
    for types in ([tf.float32, tf.int64], (tf.float32, tf.int64)):
        result = tf.numpy_function(lambda x: (x, np.int64(3)), [x], types)
        assert isinstance(result, list)
        near(result[0], [1.0, 2.0])
        near(result[1], 3)
        assert result[1].dtype == tf.int64
    near(tf.numpy_function(lambda x: [x * 2], [x], [tf.float32]), [2.0, 4.0])
    assert tf.numpy_function(lambda x: None, [x], []) is None


def test_no_gradient_passes_numpy_function(tf, x):
    with tf.GradientTape() as tape:
        y = tf.numpy_function(lambda x: x**2, [x], tf.float32)
    with pytest.warns() if tf.__name__ != "tensorflow" else tf.device(None):
        assert tape.gradient(y, x) is None


def test_py_function_is_called_with_tensors(tf, near, x):
    near(tf.py_function(lambda x: x.numpy() * 2, [x], tf.float32), [2.0, 4.0])
    assert tf.py_function(lambda x: tf.constant(tf.is_tensor(x)), [x], tf.bool).numpy()
    for returned, types, expected in (
        (lambda x: (x, x * 2), [tf.float32, tf.float32], [[1.0, 2.0], [2.0, 4.0]]),
        (lambda x: [x * 3], [tf.float32], [[3.0, 6.0]]),
        (lambda x: None, [], []),
    ):
        results = tf.py_function(returned, [x], types)
        assert isinstance(results, list)
        for found, value in zip(results, expected, strict=True):
            near(found, value)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_what_py_function_returns_takes_the_promised_dtype(tf, dtype):
    for value in (3, np.array(3)):
        result = tf.py_function(lambda value=value: value, [], dtype)
        assert (result.dtype, result.numpy()) == (dtype, 3)


GRADIENTS = {
    "one": (lambda tf, x: tf.py_function(lambda x: x**2, [x], tf.float32), [2.0, 4.0]),
    "two": (
        lambda tf, x: tf.py_function(lambda x, y: x * y, [x, x * 3.0], tf.float32),
        [6.0, 12.0],
    ),
    "two results": (
        lambda tf, x: (
            tf.add_n(tf.py_function(lambda x: (x**2, 3.0 * x), [x], [tf.float32] * 2))
            if hasattr(tf, "add_n")
            else tf.math.add_n(tf.py_function(lambda x: (x**2, 3.0 * x), [x], [tf.float32] * 2))
        ),
        [5.0, 7.0],
    ),
    "one of two results": (
        lambda tf, x: tf.py_function(lambda x: (x**2, 3.0 * x), [x], [tf.float32] * 2)[1],
        [3.0, 3.0],
    ),
    "stopped": (
        lambda tf, x: tf.py_function(lambda x: tf.stop_gradient(x) * x, [x], tf.float32),
        [1.0, 2.0],
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_through_py_function(tf, near, x, name):
    program, expected = GRADIENTS[name]
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(program(tf, x))
    near(tape.gradient(y, x), expected)


def test_second_derivative_and_variables_read_inside(tf, near, implementation, x):
    """TensorFlow's py_function has first derivatives alone, by its arguments alone."""
    if implementation == "tensorflow":
        pytest.skip("None for both")
    v = tf.Variable(5.0)
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape(persistent=True) as tape:
            y = tf.py_function(lambda x: v * x**3, [x], tf.float32)
        gradient = tape.gradient(y, x)
    near(gradient, [15.0, 60.0])
    near(tape.gradient(y, v), 9.0)
    near(outer.gradient(gradient, x), [30.0, 60.0])


@pytest.mark.filterwarnings("ignore:.* runs as plain Python")
@pytest.mark.parametrize("inside", [True, False])
def test_in_a_compiled_function(tf, near, x, inside):
    def loss(x):
        twice = tf.numpy_function(lambda x: x * 2, [tf.stop_gradient(x)], tf.float32)
        return tf.reduce_sum(tf.py_function(lambda x: x**2, [x], tf.float32) + twice)

    def gradient(x):
        with tf.GradientTape() as tape:
            y = (loss if inside else tf.function(loss))(x)
        return y, tape.gradient(y, x)

    y, found = (tf.function(lambda: gradient(x)) if inside else lambda: gradient(x))()
    near(y, 11.0)
    near(found, [2.0, 4.0])


BROKEN = {
    "no Tout": lambda tf, x: tf.py_function(lambda x: x, [x], None),
    "None for a result": lambda tf, x: tf.py_function(lambda x: None, [x], tf.float32),
    "too few results": lambda tf, x: tf.py_function(lambda x: (x,), [x], [tf.float32] * 2),
    "another dtype": lambda tf, x: tf.py_function(lambda x: x, [x], tf.float64),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_promises(tf, implementation, x, name):
    kinds = (TypeError, ValueError)
    if implementation == "tensorflow":
        kinds = (*kinds, tf.errors.InvalidArgumentError)
    with pytest.raises(kinds):
        BROKEN[name](tf, x)


def test_broken_promises_of_numpy_function(tf, implementation, x):
    """TensorFlow does not look at Tout when it runs eagerly."""
    if implementation == "tensorflow":
        pytest.skip("Headgate's words")
    assert tf.numpy_function(lambda x: x.astype("f8"), [x], tf.float32).dtype == tf.float32
    for returned, types, words in (
        (lambda x: (x, x, x), [tf.float32] * 2, "returned 3 values, and Tout has 2 types"),
        (lambda x: x, tf.int32, "returned float32, and Tout promises int32"),
    ):
        with pytest.raises(ValueError, match=words):
            tf.numpy_function(returned, [x], types)
