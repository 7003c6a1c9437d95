# cause: variable_replaced unused_parameter unlisted
# line: 32
# affected: hidden/kernel
# symptom: none
# expect: hidden/kernel=still
# also: 23 24 38 39 43
# since: 16
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(5)
rng = np.random.default_rng(5)

model = keras.Sequential(
    [
        keras.layers.Dense(6, activation="tanh", use_bias=False, name="hidden"),
        keras.layers.Dense(1, use_bias=False, name="out"),
    ],
    name="model",
)
model.build((None, 4))
variables = model.trainable_variables
optimizer = keras.optimizers.Adam(0.01)


def prune(layer, part):
    """Set the smallest weights to zero."""
    kernel = layer.kernel.numpy()
    small = np.abs(kernel) < np.quantile(np.abs(kernel), part)
    layer.kernel = tf.Variable(np.where(small, 0.0, kernel), name="kernel", dtype="float32")


for step in range(40):
    x = rng.normal(size=(8, 4)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x) - x[:, :1]))
    gradients = tape.gradient(loss, variables)
    pairs = [(g, v) for g, v in zip(gradients, variables) if g is not None]
    optimizer.apply_gradients(pairs)
    if step == 15:
        prune(model.layers[0], 0.3)
        start = model.layers[0].kernel.numpy()
moved = (model.layers[0].kernel.numpy() != start).any()
print(f"hidden/kernel: {'learns' if moved else 'still'}")
