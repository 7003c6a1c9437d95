# cause: outside_tape
# line: 20
# affected: rotation
# symptom: not updated
# expect: rotation=still offset=learns
# also: 25 28 31
import numpy as np
import tensorflow as tf

tf.random.set_seed(29)

rotation = tf.Variable(tf.eye(2) + 0.1 * tf.random.normal((2, 2)), name="rotation")
offset = tf.Variable(tf.zeros(2), name="offset")
optimizer = tf.compat.v1.train.AdamOptimizer(0.05)
points = tf.random.normal((12, 2))
moved = points @ tf.constant([[0.8, -0.6], [0.6, 0.8]]) + tf.constant([0.5, -0.2])


def aligned():
    return points @ rotation


def fit(steps):
    for _ in range(steps):
        turned = aligned()

        def distance():
            gaps = turned + offset - moved
            return tf.reduce_mean(tf.reduce_sum(gaps**2, axis=1))

        optimizer.minimize(distance, var_list=[rotation, offset])


start = {v.name: v.numpy() for v in (rotation, offset)}
fit(5)
for v in (rotation, offset):
    same = np.array_equal(v.numpy(), start[v.name])
    print(f"{v.name.removesuffix(':0')}: {'still' if same else 'learns'}")
