"""Section 2.3: GradientTape.jacobian and batch_jacobian."""

import numpy as np
import pytest


def squares(tf, value, persistent=False):
    v = tf.Variable(value)
    with tf.GradientTape(persistent=persistent) as tape:
        y = v * v
    return tape, y, v


def test_shape(tf, near):
    """shape: target.shape + source.shape."""
    v = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(v * v, axis=0)
    near(
        tape.jacobian(y, v),
        [[[2.0, 0.0], [6.0, 0.0]], [[0.0, 4.0], [0.0, 8.0]]],
    )


def test_scalar_target(tf, near):
    """scalar target -> source.shape."""
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(v * v)
    near(tape.jacobian(y, v), [2.0, 4.0])


def test_empty_target(tf, near):
    """empty target -> (0, ...)."""
    v = tf.Variable([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        y = v[:0] * 2.0
    near(tape.jacobian(y, v), np.zeros((0, 3)))


def test_nested_sources(tf, near):
    """nested sources: same nest; unconnected None, or zeros (target+source shape) with 'zero'."""
    v, w = tf.Variable([1.0, 2.0]), tf.Variable(np.ones((3, 1), "float32"))
    with tf.GradientTape(persistent=True) as tape:
        y = v * v
    jacobians = tape.jacobian(y, {"v": v, "rest": (w,)})
    near(jacobians["v"], [[2.0, 0.0], [0.0, 4.0]])
    assert jacobians["rest"] == (None,)
    near(tape.jacobian(y, w, unconnected_gradients="zero"), np.zeros((2, 3, 1)))


def test_all_paths_stopped(tf):
    """all paths stopped: None."""
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = tf.stop_gradient(v * v)
    assert tape.jacobian(y, v) is None


@pytest.mark.parametrize("target", [lambda y: [y], lambda y: None], ids=["list", "None"])
def test_target_not_a_tensor(tf, error, target):
    """list target / None target: TF's AttributeError is Headgate's TypeError."""
    tape, y, v = squares(tf, [1.0, 2.0])
    with pytest.raises(error("list as jacobian target")):
        tape.jacobian(target(y), v)


def test_without_pfor(tf, near, deviation):
    """experimental_use_pfor=False on non-persistent (eager): RuntimeError.

    The flag chooses how TensorFlow batches. Headgate accepts it and needs no persistent tape.
    """
    tape, y, v = squares(tf, [1.0, 2.0])
    if deviation(tensorflow=True, headgate=False):
        with pytest.raises(RuntimeError, match="persistent=True"):
            tape.jacobian(y, v, experimental_use_pfor=False)
    else:
        near(tape.jacobian(y, v, experimental_use_pfor=False), [[2.0, 0.0], [0.0, 4.0]])


def test_inside_own_context(tf, near):
    """inside own context, non-persistent: works."""
    v = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        jacobian = tape.jacobian(v * v, v)
    near(jacobian, [[2.0, 0.0], [0.0, 4.0]])


def test_gather(tf, near):
    """IndexedSlices source gradients: densified."""
    v = tf.Variable([1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        y = 2.0 * tf.gather(v, [2, 0])
    near(tape.jacobian(y, v), [[0.0, 0.0, 2.0], [2.0, 0.0, 0.0]])


def test_batch_jacobian(tf, near):
    """batch_jacobian: [b, y.., x..]."""
    tape, y, v = squares(tf, [[1.0, 2.0], [3.0, 4.0]])
    near(
        tape.batch_jacobian(y, v),
        [[[2.0, 0.0], [0.0, 4.0]], [[6.0, 0.0], [0.0, 8.0]]],
    )


def test_batch_jacobian_unconnected(tf, near):
    """batch_jacobian: unconnected -> ZEROS always."""
    tape, y, _ = squares(tf, [[1.0, 2.0], [3.0, 4.0]])
    near(tape.batch_jacobian(y, tf.Variable(np.ones((2, 3), "float32"))), np.zeros((2, 2, 3)))


def test_batch_jacobian_rank(tf):
    """rank<2: ValueError "Shape (2,) must have rank at least 2"."""
    tape, y, v = squares(tf, [1.0, 2.0])
    with pytest.raises(ValueError, match="rank at least 2"):
        tape.batch_jacobian(y, v)


def test_batch_jacobian_mismatch(tf):
    """batch mismatch: ValueError naming both shapes."""
    v = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape() as tape:
        y = v[:1] * 2.0
    with pytest.raises(ValueError, match=r"\(1, 2\).*\(2, 2\)"):
        tape.batch_jacobian(y, v)


@pytest.mark.parametrize("method", ["jacobian", "batch_jacobian"])
def test_used_tape(tf, method):
    """used tape message."""
    tape, y, v = squares(tf, [[1.0, 2.0]])
    tape.gradient(y, v)
    with pytest.raises(RuntimeError, match="non-persistent GradientTape"):
        getattr(tape, method)(y, v)
