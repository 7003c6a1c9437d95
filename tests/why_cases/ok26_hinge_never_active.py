# cause: none
# line: 0
# affected: -
# symptom: legit: a penalty that begins beyond a bound, which is never reached
# expect: net=1.669
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(6)
rng = np.random.default_rng(6)
net = keras.Sequential([keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(2)])
net.build((None, 3))
optimizer = keras.optimizers.SGD(0.05)


def out_of_range(u, bound=25.0):
    """Commands beyond what the motor can do."""
    return tf.reduce_mean(tf.nn.relu(tf.abs(u) - bound))


for _step in range(4):
    x = rng.normal(size=(8, 3)).astype("float32")
    with tf.GradientTape() as tape:
        u = net(x)
        tracking = tf.reduce_mean(tf.square(u - x[:, :2]))
        loss = tracking + 10.0 * out_of_range(u)
    weights = net.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"net: {float(tf.norm(net.layers[0].kernel)):.3f}")
