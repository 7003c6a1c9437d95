# cause: none
# line: 0
# affected: -
# symptom: legit: gradients of four calls are added up before one step
# expect: net=1.899
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)
rng = np.random.default_rng(0)
net = keras.Sequential([keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(1)])
net.build((None, 3))
optimizer = keras.optimizers.Adam(0.01)
totals = [tf.Variable(tf.zeros_like(v), trainable=False) for v in net.trainable_variables]
ACCUMULATE = 4


@tf.function
def accumulate(x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(net(x) - y)) / ACCUMULATE
    for total, gradient in zip(totals, tape.gradient(loss, net.trainable_variables)):
        total.assign_add(gradient)
    return loss


def step():
    optimizer.apply_gradients(zip(totals, net.trainable_variables))
    for total in totals:
        total.assign(tf.zeros_like(total))


for i in range(10):
    x = rng.normal(size=(8, 3)).astype("float32")
    accumulate(x, x[:, :1] ** 2)
    if i % ACCUMULATE == ACCUMULATE - 1:
        step()
print(f"net: {float(tf.norm(net.layers[0].kernel)):.3f}")
