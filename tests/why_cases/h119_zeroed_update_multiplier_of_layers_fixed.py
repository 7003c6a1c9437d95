# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: body/kernel=learns body/bias=learns head/kernel=learns head/bias=learns
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(8)
rng = np.random.default_rng(8)

net = keras.Sequential(
    [
        keras.layers.Dense(5, activation="tanh", name="body"),
        keras.layers.Dense(1, name="head"),
    ],
    name="net",
)
net.build((None, 3))
optimizer = keras.optimizers.Adam(0.01)
multipliers = {"body": 0.1, "head": 1.0}


def scaled(gradients, variables):
    """Discriminative rates: each layer has a multiplier of its own."""
    result = []
    for g, v in zip(gradients, variables):
        layer = v.name.split("/")[-2]
        result.append(g * multipliers.get(layer, 0.0))
    return result


start = {v.name: v.numpy() for v in net.trainable_variables}
for _step in range(3):
    x = rng.normal(size=(8, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(net(x) - x[:, :1]))
    weights = net.trainable_variables
    gradients = scaled(tape.gradient(loss, weights), weights)
    optimizer.apply_gradients(zip(gradients, weights))
for v in net.trainable_variables:
    print(f"{v.name}: {'learns' if (v.numpy() != start[v.name]).any() else 'still'}")
