# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: gate/kernel=1.921
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(4)
EXPERTS = 3


class Mixture(keras.Model):
    """Experts, mixed by a gate; a penalty keeps the gate from choosing always the same."""

    def __init__(self):
        super().__init__(name="mixture")
        self.gate = keras.layers.Dense(EXPERTS, use_bias=False, name="gate")
        self.experts = [keras.layers.Dense(2, name=f"expert_{i}") for i in range(EXPERTS)]

    def call(self, x):
        weights = tf.nn.softmax(self.gate(x))
        outputs = tf.stack([expert(x) for expert in self.experts], axis=1)
        return tf.reduce_sum(weights[:, :, None] * outputs, axis=1), weights


def imbalance(weights):
    """How far the experts are from being used equally often."""
    used = weights
    share = tf.reduce_mean(used, axis=0)
    return EXPERTS * tf.reduce_sum(tf.square(share))


model = Mixture()
optimizer = keras.optimizers.Adam(0.05)
rng = np.random.default_rng(0)
for _step in range(4):
    x = rng.normal(size=(16, 3)).astype("float32")
    y = np.tanh(x[:, :2] * x[:, 1:])
    with tf.GradientTape() as tape:
        out, weights = model(x)
        loss = tf.reduce_mean(tf.square(out - y))
        loss = loss + 2.0 * imbalance(weights)
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
print(f"gate/kernel: {float(tf.norm(model.gate.kernel)):.3f}")
