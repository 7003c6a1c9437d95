# cause: host_round_trip
# line: 31
# affected: conv
# symptom: none
# expect: conv=None head=nonzero
# also: -
import numpy as np

import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


conv = tf.Variable(0.4 * tf.random.normal((3, 1, 4)), name="conv")
head = tf.Variable(0.4 * tf.random.normal((4, 1)), name="head")
x, y = tf.random.normal((8, 12, 1)), tf.random.normal((8, 1))


def mirror(h):
    return np.ascontiguousarray(h[:, ::-1])


with tf.GradientTape() as tape:
    h = tf.nn.relu(tf.nn.conv1d(x, conv, stride=1, padding="SAME"))
    h = tf.numpy_function(mirror, [h], tf.float32)
    position = tf.reshape(tf.range(12.0), (1, 12, 1))
    loss = tf.reduce_mean((tf.reduce_mean(h * position, axis=1) @ head - y) ** 2)
report([conv, head], tape.gradient(loss, [conv, head]))
