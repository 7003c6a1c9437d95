# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: place=learns delay=learns
# also: -
import numpy as np

import headgate.tf as tf

anchors = tf.constant([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0], [5.0, 5.0]])
heard = np.array([2.1, 2.6, 2.4, 4.3], dtype="float32")

place = tf.Variable(tf.zeros(2), name="place")
delay = tf.Variable(0.1, name="delay")
optimizer = tf.keras.optimizers.Adam(0.1)


def distances(point):
    apart = anchors - point
    squares = tf.reduce_sum(tf.square(apart), axis=1)
    return tf.sqrt(squares + 1e-9)


def misfit():
    """Trilateration: arrival times at the anchors, with a common delay."""
    return tf.reduce_mean(tf.square(distances(place) + delay - heard))


for _step in range(5):
    with tf.GradientTape() as tape:
        loss = misfit()
    variables = [place, delay]
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
for v in (place, delay):
    print(f"{v.name}: {'learns' if np.isfinite(v.numpy()).all() else 'nan'}")
