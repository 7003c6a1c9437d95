# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: branch/kernel=learns branch/bias=learns
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(3)
rng = np.random.default_rng(3)


class ReZero(keras.layers.Layer):
    """x + scale * f(x), the scale begins at zero (Bachlechner et al. 2021)."""

    def __init__(self, width, **options):
        super().__init__(**options)
        self.branch = keras.layers.Dense(width, activation="relu", name="branch")
        self.scale = tf.Variable(0.0, name="scale")

    def call(self, x):
        return x + self.scale * self.branch(x)


net = keras.Sequential([keras.layers.Dense(6, name="stem"), ReZero(6), keras.layers.Dense(1)])
net.build((None, 3))
optimizer = keras.optimizers.Adam(0.01)
branch = net.layers[1].branch
before = [v.numpy() for v in branch.trainable_variables]
for _step in range(4):
    x = rng.normal(size=(8, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(net(x) - tf.abs(x[:, :1])))
    weights = net.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
for v, old in zip(branch.trainable_variables, before):
    print(f"{v.name}: {'learns' if (v.numpy() != old).any() else 'still'}")
