"""Section 2.9: gradients of gathers.

TensorFlow answers some of them with `tf.IndexedSlices`, rows and their indices, for the sake of
large embedding tables. Headgate's gradients are always dense and duplicates are summed, which is
what TensorFlow's become by `tf.convert_to_tensor`; the tests compare after that.
"""

import numpy as np
import pytest

TABLE = np.arange(6, dtype=np.float32).reshape(3, 2)


def gradient_of(tf, program, value=TABLE):
    v = tf.Variable(value)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(program(v))
    return tape.gradient(y, v)


@pytest.mark.parametrize(
    ("program", "expected", "sparse"),
    [
        (lambda tf, v: tf.gather(v, [0, 2, 0]), [[2, 2], [0, 0], [1, 1]], True),
        (lambda tf, v: tf.gather_nd(v, [[0], [2], [0]]), [[2, 2], [0, 0], [1, 1]], True),
        (lambda tf, v: tf.nn.embedding_lookup(v, [0, 2, 0]), [[2, 2], [0, 0], [1, 1]], True),
        (lambda tf, v: tf.gather(v, [1, 1], axis=1), [[0, 2], [0, 2], [0, 2]], False),
        (lambda tf, v: v[1:], [[0, 0], [1, 1], [1, 1]], False),
        (lambda tf, v: tf.boolean_mask(v, [True, False, True]), [[1, 1], [0, 0], [1, 1]], None),
        (lambda tf, v: tf.unstack(v)[1], [[0, 0], [1, 1], [0, 0]], False),
    ],
    ids=[
        "gather",
        "gather_nd",
        "embedding_lookup",
        "gather_axis1",
        "slicing",
        "boolean_mask",
        "unstack",
    ],
)
def test_gathers(tf, near, deviation, program, expected, sparse):
    """gather axis=0, gather_nd, embedding_lookup: IndexedSlices; others dense."""
    gradient = gradient_of(tf, lambda v: program(tf, v))
    if sparse is not None and deviation(tensorflow=True, headgate=False):
        assert isinstance(gradient, tf.IndexedSlices) == sparse
    near(tf.convert_to_tensor(gradient), np.float32(expected))


def test_sparse_read(tf, near, deviation):
    """sparse_read on a source: as gather. Headgate has the one spelling, tf.gather."""
    assert hasattr(tf.Variable(TABLE), "sparse_read") == deviation(tensorflow=True, headgate=False)
    if deviation(tensorflow=True, headgate=False):
        gradient = gradient_of(tf, lambda v: v.sparse_read([0, 0]))
        near(tf.convert_to_tensor(gradient), [[2.0, 2.0], [0.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            lambda tf, v: tf.gather(v, [0]) + tf.gather(v, [0]) * tf.gather(v, [2]),
            [[5, 6], [0, 0], [0, 1]],
        ),
        (lambda tf, v: tf.gather(v, [0]) + v, [[4, 4], [1, 1], [1, 1]]),
        (lambda tf, v: tf.gather(v * 2.0, [0, 0]), [[4, 4], [0, 0], [0, 0]]),
    ],
    ids=["two_gathers", "gather_and_dense", "derived"],
)
def test_sums(tf, near, program, expected):
    """two gathers: concatenated; gather + dense: dense sum; gather of a derived tensor: dense."""
    gradient = gradient_of(tf, lambda v: program(tf, v))
    near(tf.convert_to_tensor(gradient), np.float32(expected))


def test_convert_without_shape(tf, near):
    """convert_to_tensor sums duplicates; without dense_shape ValueError."""
    values, indices = tf.constant([1.0, 2.0]), tf.constant([1, 1])
    slices = tf.IndexedSlices(values, indices, tf.constant([3]))
    near(tf.convert_to_tensor(slices), [0.0, 3.0, 0.0])
    near(tf.convert_to_tensor(-slices), [0.0, -3.0, 0.0])
    with pytest.raises(ValueError, match="dense_shape"):
        tf.convert_to_tensor(tf.IndexedSlices(values, indices))


def test_arithmetic(tf, near, deviation):
    """`-s` ok, `s*2` not; with dense gradients both are."""
    gradient = gradient_of(tf, lambda v: tf.gather(v, [0, 0]))
    near(tf.convert_to_tensor(-gradient), [[-2.0, -2.0], [0.0, 0.0], [0.0, 0.0]])
    if deviation(tensorflow=True, headgate=False):
        with pytest.raises(TypeError):
            gradient * 2.0
    else:
        near(gradient * 2.0, [[4.0, 4.0], [0.0, 0.0], [0.0, 0.0]])


def test_clip_by_global_norm(tf, near):
    """clip_by_global_norm keeps IndexedSlices and None."""
    gradient = gradient_of(tf, lambda v: tf.gather(v, [0]) * 3.0)
    (clipped, none), norm = tf.clip_by_global_norm([gradient, None], 1.0)
    assert none is None
    near(norm, np.sqrt(18.0))
    near(tf.convert_to_tensor(clipped), [[0.5**0.5, 0.5**0.5], [0.0, 0.0], [0.0, 0.0]])


def test_assign_sub(tf, near, deviation):
    """assign_sub densifies; scatter_sub sums duplicates."""
    v = tf.Variable(TABLE)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.gather(v, [0, 0]))
    gradient = tape.gradient(y, v)
    v.assign_sub(gradient)
    expected = TABLE - np.float32([[2, 2], [0, 0], [0, 0]])
    near(v, expected)
    if deviation(tensorflow=True, headgate=False):
        v.assign(TABLE)
        v.scatter_sub(gradient)
        near(v, expected)
