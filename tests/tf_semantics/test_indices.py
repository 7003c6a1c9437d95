"""An index outside of its axis: refused eagerly, and without effect on other rows when compiled.

No index is counted from the end: a padding id of -1 must not pick, or train, the last row.
"""

import numpy as np
import pytest

TABLE = np.arange(6, dtype=np.float32).reshape(3, 2)

# Name: (program of a table and indices, good indices, bad indices, where the bad one stands)
GATHERS = {
    "gather": (lambda tf, v, i: tf.gather(v, i), [0, 2], [0, -1], r"\[1\] = -1 "),
    "gather too large": (lambda tf, v, i: tf.gather(v, i), [0, 2], [3, 0], r"\[0\] = 3 "),
    "gather of one": (lambda tf, v, i: tf.gather(v, i), 2, -1, " = -1 "),
    "gather axis=1": (
        lambda tf, v, i: tf.gather(v, i, axis=1),
        [[1]],
        [[0, -2]],
        r"\[0, ?1\] = -2 ",
    ),
    "gather axis=-1": (lambda tf, v, i: tf.gather(v, i, axis=-1), [1], [0, 2], r"\[1\] = 2 "),
    "gather batch_dims=1": (
        lambda tf, v, i: tf.gather(v, i, batch_dims=1),
        [[0], [1], [1]],
        [[0], [-1], [1]],
        r"\[1, ?0\] = -1 ",
    ),
    "gather_nd": (lambda tf, v, i: tf.gather_nd(v, i), [[0, 1]], [[0, 1], [2, -1]], r"\[1"),
    "gather_nd of rows": (lambda tf, v, i: tf.gather_nd(v, i), [[2]], [[0], [3]], r"\[1"),
    "gather_nd batch_dims=1": (
        lambda tf, v, i: tf.gather_nd(v, i, batch_dims=1),
        [[0], [1], [1]],
        [[0], [1], [-1]],
        r"\[2",
    ),
    "embedding_lookup": (lambda tf, v, i: tf.nn.embedding_lookup(v, i), [[1]], [[0, -1]], "= -1 "),
}
SCATTERS = {
    "tensor_scatter_nd_update": (
        lambda tf, v, i: tf.tensor_scatter_nd_update(v, i, tf.ones((len(i), 2))),
        [[0], [2]],
        [[0], [-1]],
        r"\[1",
    ),
    "tensor_scatter_nd_update of elements": (
        lambda tf, v, i: tf.tensor_scatter_nd_update(v, i, tf.ones((len(i),))),
        [[2, 1]],
        [[0, 2]],
        r"\[0",
    ),
    "tensor_scatter_nd_add": (
        lambda tf, v, i: tf.tensor_scatter_nd_add(v, i, tf.ones((len(i), 2))),
        [[0], [2]],
        [[3], [0]],
        r"\[0",
    ),
}


@pytest.mark.parametrize("name", GATHERS | SCATTERS)
def test_an_index_outside_is_refused(tf, error, name):
    program, good, bad, place = (GATHERS | SCATTERS)[name]
    table = tf.Variable(TABLE)
    program(tf, table, tf.constant(good))
    with pytest.raises(error("index out of range"), match=f"indices.*{place}"):
        program(tf, table, tf.constant(bad))
    with pytest.raises(error("index out of range")):
        program(tf, table, tf.constant(bad, tf.int64))


def test_the_refusal_says_what_to_do(tf, implementation):
    if implementation == "tensorflow":
        pytest.skip("Headgate's words")
    with pytest.raises(IndexError, match=r"not in \[0, 3\): axis 0 .* has 3 .*padding") as caught:
        tf.nn.embedding_lookup(TABLE, [0, -1])
    assert "test_indices.py" in str(caught.value)


@pytest.mark.light
@pytest.mark.parametrize("name", GATHERS)
def test_compiled_an_index_outside_picks_nan_and_trains_nothing(tf, implementation, name):
    pytest.importorskip("jax")
    if implementation == "tensorflow":
        pytest.skip("TensorFlow raises, or picks the nearest, or zero")
    program, _, bad, _ = GATHERS[name]
    table = tf.Variable(TABLE)

    @tf.function(jit_compile=True)
    def step(indices):
        with tf.GradientTape() as tape:
            picked = program(tf, table, indices)
            total = tf.reduce_sum(picked)
        return picked, tape.gradient(total, table)

    picked, gradient = step(tf.constant(bad))
    picked = picked.numpy()
    inside = np.isfinite(picked)
    assert not inside.all()
    expected = np.zeros_like(TABLE)
    np.add.at(expected.reshape(-1), picked[inside].astype(int), 1.0)  # values count the places
    np.testing.assert_array_equal(gradient.numpy(), expected)


@pytest.mark.light
@pytest.mark.parametrize("name", SCATTERS)
def test_compiled_an_update_outside_is_left_out(tf, implementation, name):
    pytest.importorskip("jax")
    if implementation == "tensorflow":
        pytest.skip("TensorFlow raises on a CPU")
    program, _, bad, _ = SCATTERS[name]
    sizes = np.array(TABLE.shape[: len(bad[0])])
    inside = [row for row in bad if np.all((np.array(row) >= 0) & (np.array(row) < sizes))]
    compiled = tf.function(lambda i: program(tf, tf.constant(TABLE), i), jit_compile=True)
    found = compiled(tf.constant(bad)).numpy()
    expected = program(tf, tf.constant(TABLE), inside).numpy() if inside else TABLE
    np.testing.assert_array_equal(found, expected)
