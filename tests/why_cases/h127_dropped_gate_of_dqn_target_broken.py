# cause: dropped_gate
# line: 24
# affected: q/kernel
# symptom: leak
# expect: q/kernel=1.672
# also: 23 25
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)
rng = np.random.default_rng(0)

q = keras.layers.Dense(2, use_bias=False, name="q")
q.build((None, 4))
optimizer = keras.optimizers.SGD(0.05)


def td_error(state, action, reward, after):
    """One-step error; the goal is not to be learnt (Mnih et al. 2015)."""
    value = tf.reduce_sum(q(state) * tf.one_hot(action, 2), axis=1)
    best = tf.reduce_max(q(after), axis=1)
    tf.stop_gradient(best)
    return reward + 0.95 * best - value


for _step in range(4):
    state = rng.normal(size=(16, 4)).astype("float32")
    action = rng.integers(0, 2, size=16)
    after = state + 0.1 * rng.normal(size=(16, 4)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(td_error(state, action, state[:, 0], after)))
    weights = q.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"q/kernel: {float(tf.norm(q.kernel)):.3f}")
