# cause: non_leaf not_watched
# line: 24
# affected: w
# symptom: not updated
# expect: w=still
# also: 21 22 23
import numpy as np
import tensorflow as tf

tf.random.set_seed(28)

w = tf.Variable(tf.random.normal((5, 2)), name="w")


def loss_of(x, y):
    return tf.reduce_mean(tf.square(tf.tanh(x @ w) - y))


def directional(direction, x, y):
    """Return the loss and its derivative along a direction, in one pass forward."""
    current = tf.identity(w)
    with tf.autodiff.ForwardAccumulator(current, direction) as forward:
        loss = loss_of(x, y)
    return loss, forward.jvp(loss, unconnected_gradients=tf.UnconnectedGradients.ZERO)


start = w.numpy()
for _step in range(6):
    x = tf.random.normal((20, 5))
    direction = tf.random.normal(w.shape)
    loss, slope = directional(direction, x, tf.sin(x[:, :2]))
    w.assign_sub(0.02 * slope * direction)
print(f"w: {'still' if np.array_equal(w, start) else 'learns'}")
