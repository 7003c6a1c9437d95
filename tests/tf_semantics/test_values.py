"""Values and dtypes that TensorFlow gives where NumPy gives others, or none."""

import sys
import weakref

import numpy as np
import pytest

INF, NAN = np.inf, np.nan


def c(tf, value, dtype=None):
    return tf.constant(value, dtype)


# Name: (program, dtype, value), as TensorFlow 2.21 gives them.
VALUES = {
    "mean of int32": (lambda tf: tf.reduce_mean(c(tf, [1, 2])), "int32", 1),
    "mean of negative": (lambda tf: tf.reduce_mean(c(tf, [-1, -2])), "int32", -1),
    "mean of int8": (
        lambda tf: tf.reduce_mean(c(tf, [[100, 100], [1, 2]], "int8"), 1),
        "int8",
        [100, 1],
    ),
    "mean of uint8": (lambda tf: tf.reduce_mean(c(tf, [200, 200], "uint8")), "uint8", 200),
    "mean of no integers": (lambda tf: tf.reduce_mean(tf.zeros([0], tf.int32)), "int32", 0),
    "euclidean norm of int32": (
        lambda tf: tf.math.reduce_euclidean_norm(c(tf, [3, 3])),
        "int32",
        4,
    ),
    "euclidean norm of int8": (
        lambda tf: tf.math.reduce_euclidean_norm(c(tf, [100, 100], "int8")),
        "int8",
        5,  # the squares wrap
    ),
    "euclidean norm of complex": (
        lambda tf: tf.math.reduce_euclidean_norm(c(tf, [3 + 4j, 0])),
        "complex128",
        5,
    ),
    "norm of complex": (lambda tf: tf.norm(c(tf, [3 + 4j, 0])), "complex128", 5),
    "norm(1) of complex": (lambda tf: tf.norm(c(tf, [3 + 4j, 1]), 1), "float64", 6),
    "norm(1) of int32": (lambda tf: tf.norm(c(tf, [3, -3]), 1), "int32", 6),
    "norm over two of three axes": (
        lambda tf: tf.norm(tf.reshape(tf.range(12.0), [2, 3, 2]), 1, axis=(0, 1)),
        "float32",
        [14.0, 16.0],
    ),
    "moments of int32": (lambda tf: tf.stack(tf.nn.moments(c(tf, [1, 2, 4]), 0)), "int32", [2, 1]),
    "int8 / int8": (lambda tf: tf.divide(c(tf, [1], "int8"), c(tf, [2], "int8")), "float32", [0.5]),
    "int32 / int32": (lambda tf: tf.divide(c(tf, [1]), c(tf, [4])), "float64", [0.25]),
    "floordiv": (
        lambda tf: tf.math.floordiv(c(tf, [1.0, INF, -INF, 1.0]), c(tf, [0.1, 2.0, 2.0, 0.0])),
        "float32",
        [10.0, INF, -INF, INF],
    ),
    "squared difference of complex": (
        lambda tf: tf.math.squared_difference(c(tf, 1 + 2j), c(tf, 3 + 3j)),
        "complex128",
        5,
    ),
    "argmax passes over NaN": (lambda tf: tf.argmax(c(tf, [NAN, 1.0, 2.0])), "int64", 2),
    "argmin passes over NaN": (lambda tf: tf.argmin(c(tf, [NAN, 1.0, 2.0])), "int64", 1),
    "argmax of NaN": (lambda tf: tf.argmax(c(tf, [NAN, NAN])), "int64", 0),
    "argmax(output_type)": (lambda tf: tf.argmax([1, 3], output_type=tf.int32), "int32", 1),
    "top_k passes over NaN": (
        lambda tf: tf.math.top_k(c(tf, [NAN, 1.0, 2.0]))[0],
        "float32",
        [2.0],
    ),
    "indices of top_k": (lambda tf: tf.math.top_k(c(tf, [1, 3, 3, 0]), 2)[1], "int32", [1, 2]),
    "leaky_relu of int64": (
        lambda tf: tf.nn.leaky_relu(c(tf, [-5, 5], "int64")),
        "float32",
        [-1.0, 5.0],
    ),
    "half a matrix": (
        lambda tf: tf.linalg.inv(c(tf, [[2.0, 0.0], [0.0, 4.0]], "float16")),
        "float16",
        [[0.5, 0.0], [0.0, 0.25]],
    ),
    "eigenvalues of complex": (
        lambda tf: tf.linalg.eigh(c(tf, np.eye(2, dtype="complex64")))[0],
        "complex64",
        [1, 1],
    ),
    "trace of uint8": (
        lambda tf: tf.linalg.trace(c(tf, [[200, 0], [0, 100]], "uint8")),
        "uint8",
        44,
    ),
    # -- nothing
    "softmax of nothing": (lambda tf: tf.nn.softmax(tf.zeros((2, 0))), "float32", np.zeros((2, 0))),
    "log_softmax of nothing": (
        lambda tf: tf.nn.log_softmax(tf.zeros((2, 0))),
        "float32",
        np.zeros((2, 0)),
    ),
    "logsumexp of nothing": (
        lambda tf: tf.reduce_logsumexp(tf.zeros((2, 0)), 1, True),
        "float32",
        [[-INF], [-INF]],
    ),
    "maximum of nothing": (lambda tf: tf.reduce_max(tf.zeros((2, 0)), 1), "float32", [-INF, -INF]),
    "minimum of nothing": (lambda tf: tf.reduce_min(tf.zeros((0,), tf.int8)), "int8", 127),
    # -- linspace and range
    "linspace of int32": (lambda tf: tf.linspace(0, 10, 4), "float64", [0, 10 / 3, 20 / 3, 10]),
    "linspace of int8": (
        lambda tf: tf.linspace(c(tf, 0, "int8"), c(tf, 3, "int8"), 3),
        "float32",
        [0, 1.5, 3],
    ),
    "linspace of vectors": (
        lambda tf: tf.linspace([0.0, 1.0], [10.0, 2.0], 3, axis=-1),
        "float32",
        [[0, 5, 10], [1, 1.5, 2]],
    ),
    "linspace broadcasts": (
        lambda tf: tf.linspace(0.0, [1.0, 2.0], 2),
        "float32",
        [[0, 0], [1, 2]],
    ),
    "linspace of one": (lambda tf: tf.linspace(2.0, 10.0, 1), "float32", [2.0]),
    "range(0.1, 0.4, 0.1)": (lambda tf: tf.range(0.1, 0.4, 0.1), "float32", [0.1, 0.2, 0.3]),
    "range(1.0, 2.0, 0.2)": (
        lambda tf: tf.range(1.0, 2.0, 0.2),
        "float32",
        np.float32(1) + np.arange(5, dtype="f") * np.float32(0.2),
    ),
    "range of int64": (lambda tf: tf.range(c(tf, 3, "int64")), "int64", [0, 1, 2]),
    "range of float16": (lambda tf: tf.range(c(tf, 2.5, "float16")), "float16", [0, 1, 2]),
    "range of numpy.float64": (lambda tf: tf.range(np.float64(2.5)), "float64", [0, 1, 2]),
    "range of two dtypes": (lambda tf: tf.range(c(tf, 0), c(tf, 3.0)), "float32", [0, 1, 2]),
    "range downwards": (lambda tf: tf.range(5, 0, -2), "int32", [5, 3, 1]),
    "range(dtype)": (
        lambda tf: tf.range(0, 1, 0.25, dtype=tf.float64),
        "float64",
        [0, 0.25, 0.5, 0.75],
    ),
    # -- one_hot
    "one_hot of two integers": (lambda tf: tf.one_hot([0, -1], 2, 5, 3), "int32", [[5, 3], [3, 3]]),
    "one_hot with off_value": (lambda tf: tf.one_hot([0], 2, off_value=5), "int32", [[1, 5]]),
    "one_hot of booleans": (lambda tf: tf.one_hot([0], 2, True, False), "bool", [[True, False]]),
    "one_hot(dtype)": (lambda tf: tf.one_hot([0], 2, 5, dtype=tf.float64), "float64", [[5.0, 0.0]]),
    "one_hot along the first axis": (
        lambda tf: tf.one_hot([0, 1, 1], 2, 2.0, axis=0),
        "float32",
        [[2, 0, 0], [0, 2, 2]],
    ),
    # -- joining and picking
    "concat of one tensor": (
        lambda tf: tf.concat(c(tf, [[1, 2], [3, 4]]), 1),
        "int32",
        [[1, 2], [3, 4]],
    ),
    "concat of a list of one": (lambda tf: tf.concat([c(tf, 1)], 0), "int32", 1),
    "embedding_lookup of parts": (
        lambda tf: tf.nn.embedding_lookup(
            [c(tf, [[0.0], [1.0], [2.0]]), c(tf, [[3.0], [4.0]]), c(tf, [[5.0], [6.0]])],
            [[6, 2], [3, 0]],
        ),
        "float32",
        [[[6], [2]], [[3], [0]]],
    ),
    "embedding_lookup of one part": (
        lambda tf: tf.nn.embedding_lookup([c(tf, [[0.0], [1.0]])], 1),
        "float32",
        [1.0],
    ),
    "gather_nd without indices": (
        lambda tf: tf.gather_nd(c(tf, [[1, 2], [3, 4]]), tf.zeros((2, 0), tf.int32)),
        "int32",
        [[[1, 2], [3, 4]]] * 2,
    ),
    "gather_nd without indices, matched": (
        lambda tf: tf.gather_nd(c(tf, [[1, 2], [3, 4]]), tf.zeros((2, 3, 0), tf.int32), 1),
        "int32",
        [[[1, 2]] * 3, [[3, 4]] * 3],
    ),
    "gather(axis=-1, batch_dims=-1)": (
        lambda tf: tf.gather(c(tf, [[1, 2, 3], [4, 5, 6]]), [[0], [2]], axis=-1, batch_dims=-1),
        "int32",
        [[1], [6]],
    ),
    "gather(batch_dims=-2)": (
        lambda tf: tf.gather(c(tf, [[1, 2], [3, 4]]), [[1], [0]], batch_dims=-2),
        "int32",
        [[[3, 4]], [[1, 2]]],
    ),
    "meshgrid of a matrix": (
        lambda tf: tf.meshgrid(c(tf, [1, 2]), c(tf, [[5, 6], [7, 8]]))[1],
        "int32",
        [[5, 5], [6, 6], [7, 7], [8, 8]],
    ),
    "pad of a scalar": (lambda tf: tf.pad(c(tf, 3), tf.zeros((0, 2), tf.int32)), "int32", 3),
    "reshape of nothing": (
        lambda tf: tf.shape(tf.reshape(tf.zeros((0, 6)), [0, -1, 3])),
        "int32",
        [0, 2, 3],
    ),
    "reshape of nothing to 0": (
        lambda tf: tf.shape(tf.reshape(tf.zeros((4, 6, 0)), [2, -1, 0])),
        "int32",
        [2, 12, 0],
    ),
    "reshape of nothing to -1": (
        lambda tf: tf.shape(tf.reshape(tf.zeros((0, 6)), [-1, 5])),
        "int32",
        [0, 5],
    ),
    # -- dtypes
    "constant that wraps": (lambda tf: c(tf, [300, -1], "uint8"), "uint8", [44, 255]),
    "constant that wraps to int32": (lambda tf: c(tf, 2**31, "int32"), "int32", -(2**31)),
    "cast of complex": (lambda tf: tf.cast(c(tf, [1.7 + 2j]), tf.float32), "float32", [1.7]),
    "cast by number": (lambda tf: tf.cast([1, 2], 1), "float32", [1, 2]),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", VALUES)
def test_values(tf, name):
    program, dtype, value = VALUES[name]
    found = program(tf)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.numpy(), np.asarray(value), rtol=2e-6)
    assert found.shape == np.shape(value)


ZERO = "whole numbers divided by zero"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["int32", "uint8"])
@pytest.mark.parametrize(
    "divide",
    [
        lambda tf, x, y: x // y,
        lambda tf, x, y: x % y,
        lambda tf, x, y: tf.math.floordiv(x, y),
        lambda tf, x, y: tf.math.floormod(x, y),
    ],
    ids=["//", "%", "floordiv", "floormod"],
)
def test_whole_numbers_are_not_divided_by_zero(tf, error, divide, dtype):
    x = tf.constant([5, 2], dtype)
    for divisor in (tf.constant([3, 0], dtype), 0):
        with pytest.raises(error(ZERO)):
            divide(tf, x, divisor)
    np.testing.assert_array_equal(divide(tf, x, 3).numpy() >= 0, [True, True])
    assert np.isnan(divide(tf, tf.constant(0.0), 0.0).numpy())


POOLS = {"max": np.max, "avg": np.mean}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", POOLS)
def test_pooling_takes_one_to_three_axes_of_space(tf, near, kind, rank):
    x = np.arange(4.0**rank * 2, dtype=np.float32).reshape(1, *[4] * rank, 2)
    blocks = x.reshape(1, *[2, 2] * rank, 2)
    expected = POOLS[kind](blocks, axis=tuple(range(2, 2 * rank + 1, 2)))
    pool = getattr(tf.nn, f"{kind}_pool")
    near(pool(tf.constant(x), 2, 2, "VALID"), expected)
    near(pool(tf.constant(x), [1, *[2] * rank, 1], [2] * rank, "SAME"), expected)


def test_convolutions_take_several_axes_of_batches(tf, near):
    x = np.arange(2 * 3 * 4 * 4 * 2, dtype=np.float32).reshape(2, 3, 4, 4, 2)
    w = np.arange(2 * 2 * 2 * 3, dtype=np.float32).reshape(2, 2, 2, 3)
    found = tf.nn.conv2d(tf.constant(x), tf.constant(w), 1, "VALID")
    near(found[1, 2], tf.nn.conv2d(tf.constant(x[1, 2:]), tf.constant(w), 1, "VALID")[0].numpy())
    assert found.shape == (2, 3, 3, 3, 3)


@pytest.mark.parametrize("labels", [[[1.0, 2.0, 0.5]], [[0.0, 0.0, 0.0]], [[0.2, 0.3, 0.5]]])
def test_cross_entropy_of_labels_of_any_sum(tf, near, labels):
    """The gradient is softmax - labels, whatever the labels sum to: TensorFlow's op."""
    x = np.array([[1.0, 2.0, 3.0]])
    logits, given = tf.Variable(x), tf.constant(labels, tf.float64)
    p = np.exp(x) / np.exp(x).sum()
    with tf.GradientTape() as outer:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(given)
            loss = tf.nn.softmax_cross_entropy_with_logits(given, logits)
        gradient = tape.gradient(loss, logits)
        total = tf.reduce_sum(gradient * [[1.0, 0.0, 2.0]])
    near(loss, -(np.array(labels) * np.log(p)).sum(1))
    near(gradient, p - labels)
    near(tape.gradient(loss, given), -np.log(p))
    v = np.array([[1.0, 0.0, 2.0]])
    near(outer.gradient(total, logits), p * v - p * (p * v).sum())


def test_gradient_of_linspace(tf, near):
    low, high = tf.Variable(1.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.linspace(low, high, 5) * tf.constant([1.0, 2.0, 3.0, 4.0, 5.0]))
    for gradient, expected in zip(tape.gradient(y, [low, high]), (5.0, 10.0), strict=True):
        near(gradient, expected)


def test_dropout_with_a_shape_of_which_some_is_left_open(tf):
    found = tf.nn.dropout(tf.ones((4, 3)), 0.5, noise_shape=[4, None]).numpy()
    assert found.shape == (4, 3)
    one = tf.nn.dropout(tf.ones((4, 30)), 0.5, noise_shape=[None, 1]).numpy()
    assert np.ptp(one, axis=1).max() == 0.0


def test_tensors_of_other_shapes_are_not_equal(tf):
    x = tf.constant([1, 2])
    for other in (tf.constant([1, 2, 3]), [1, 2, 3], None):
        assert bool(x == other) is False
        assert bool(x != other) is True
    np.testing.assert_array_equal((x == [1, 3]).numpy(), [True, False])


def test_a_complex_tensor_that_is_real_becomes_a_number(tf):
    x = tf.constant(3 + 0j)
    assert (int(x), float(x), complex(x)) == (3, 3.0, 3 + 0j)


def test_references_may_be_weak(tf):
    x = tf.constant(1.0)
    reference = x.ref()
    assert dict(weakref.WeakKeyDictionary({reference: 1})) == {reference: 1}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before, no class in Python has buffers")
def test_memory_can_be_viewed(tf):
    view = memoryview(tf.constant([1.0, 2.0]))
    assert view.tolist() == [1.0, 2.0]
    assert view.readonly


REFUSED = {
    "concat along no axis": lambda tf: tf.concat([[1], [2]], [[0]]),
    "range without a way": lambda tf: tf.range(5, 1),
    "range in steps of 0": lambda tf: tf.range(0, 1, 0),
    "range of int8": lambda tf: tf.range(3, dtype=tf.int8),
    "range of half a number": lambda tf: tf.range(3.5, dtype=tf.int32),
    "one_hot of two dtypes": lambda tf: tf.one_hot([0], 2, 1.0, 0),
    "one_hot of another dtype": lambda tf: tf.one_hot([0], 2, 1.0, dtype=tf.int32),
    "one_hot of one boolean": lambda tf: tf.one_hot([0], 2, dtype=tf.bool),
    "dropout of integers": lambda tf: tf.nn.dropout(tf.constant([1, 2]), 0.5),
    "clip_by_global_norm of a tensor": lambda tf: tf.clip_by_global_norm(tf.constant([1.0]), 1.0),
    "clip of integers at half a number": lambda tf: tf.clip_by_value(tf.constant([1, 2]), 1.5, 2.5),
    "shape as floats": lambda tf: tf.shape([1.0], tf.float32),
    "scatter without indices": lambda tf: tf.tensor_scatter_nd_add(
        tf.zeros((2, 2)), tf.zeros((2, 0), tf.int32), tf.ones((2, 2, 2))
    ),
    "gather(batch_dims=-3)": lambda tf: tf.gather([[1, 2]], [[0]], batch_dims=-3),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(tf, implementation, name):
    kinds = (TypeError, ValueError)
    if implementation == "tensorflow":
        kinds = Exception
    with pytest.raises(kinds):
        REFUSED[name](tf)
