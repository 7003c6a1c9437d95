# cause: none
# line: 0
# affected: -
# symptom: legit: one part learns by evolution, without any gradient
# expect: thresholds=0.007
# also: -
import numpy as np

import headgate.tf as tf

rng = np.random.default_rng(12)
features = tf.Variable(0.5 * rng.normal(size=(4, 3)), name="features")
thresholds = tf.Variable(np.zeros(3), name="thresholds")
head = tf.Variable(0.5 * rng.normal(size=(3, 1)), name="head")
optimizer = tf.keras.optimizers.SGD(0.05)


def loss_of(x, y, limits):
    h = x @ features
    spikes = tf.cast(h > limits, tf.float64)
    return tf.reduce_mean(tf.square((h * spikes) @ head - y))


for _step in range(4):
    x = rng.normal(size=(12, 4))
    y = np.abs(x[:, :1])
    with tf.GradientTape() as tape:
        loss = loss_of(x, y, thresholds)
    weights = [features, head]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    noise = rng.normal(size=(6, 3))
    costs = np.array([float(loss_of(x, y, thresholds + 0.1 * n)) for n in noise])
    step = (costs - costs.mean()) @ noise / (6 * 0.1)
    thresholds.assign_sub(0.05 * step)
print(f"thresholds: {float(tf.norm(thresholds)):.3f}")
