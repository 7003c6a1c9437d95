# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: hidden/kernel=learns
# also: -
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
optimizer = keras.optimizers.Adam(0.01)


def prune(layer, part):
    """Set the smallest weights to zero."""
    kernel = layer.kernel.numpy()
    small = np.abs(kernel) < np.quantile(np.abs(kernel), part)
    layer.kernel.assign(np.where(small, 0.0, kernel))


for step in range(40):
    x = rng.normal(size=(8, 4)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x) - x[:, :1]))
    variables = model.trainable_variables
    gradients = tape.gradient(loss, variables)
    pairs = [(g, v) for g, v in zip(gradients, variables) if g is not None]
    optimizer.apply_gradients(pairs)
    if step == 15:
        prune(model.layers[0], 0.3)
        start = model.layers[0].kernel.numpy()
moved = (model.layers[0].kernel.numpy() != start).any()
print(f"hidden/kernel: {'learns' if moved else 'still'}")
