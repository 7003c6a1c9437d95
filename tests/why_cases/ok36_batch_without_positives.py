# cause: none
# line: 0
# affected: -
# symptom: legit: in one step no example is selected, so that part gets zero once
# expect: box=1.892
# also: -
import numpy as np

import headgate.tf as tf

rng = np.random.default_rng(16)
trunk = tf.Variable(0.5 * rng.normal(size=(4, 5)), name="trunk")
score = tf.Variable(0.5 * rng.normal(size=(5, 1)), name="score")
box = tf.Variable(0.5 * rng.normal(size=(5, 2)), name="box")
variables = [trunk, score, box]
optimizer = tf.keras.optimizers.Adam(0.01)


def detection_loss(x, found, corners):
    h = tf.tanh(x @ trunk)
    chance = tf.nn.sigmoid_cross_entropy_with_logits(labels=found, logits=(h @ score)[:, 0])
    away = tf.reduce_sum(tf.square(h @ box - corners), axis=1)
    positives = tf.maximum(tf.reduce_sum(found), 1.0)
    return tf.reduce_mean(chance) + tf.reduce_sum(found * away) / positives


for step in range(5):
    x = rng.normal(size=(8, 4))
    found = (x[:, 0] > (0.0 if step != 0 else 9.0)).astype(float)
    with tf.GradientTape() as tape:
        loss = detection_loss(x, found, x[:, :2])
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
print(f"box: {float(tf.norm(box)):.3f}")
