# cause: outside_tape
# line: 32
# affected: encoder/kernel
# symptom: none
# expect: encoder/kernel=still
# also: 31 39
# since: 21
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(4)
rng = np.random.default_rng(4)

encoder = keras.layers.Dense(6, activation="tanh", use_bias=False, name="encoder")
head = keras.layers.Dense(1, use_bias=False, name="head")
for layer, width in ((encoder, 4), (head, 6)):
    layer.build((None, width))
optimizer = keras.optimizers.SGD(0.1)
x = rng.normal(size=(20, 4)).astype("float32")
y = x[:, :1] * x[:, 1:2]
cache = {}


def encode(x, step):
    """The data do not change any more after step 20, so they are encoded once."""
    if step < 20:
        return encoder(x)
    if "features" not in cache:
        cache["features"] = encoder(x)
    return cache["features"]


start = None
for step in range(50):
    batch = x + 0.1 * rng.normal(size=x.shape).astype("float32") if step < 20 else x
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(head(encode(batch, step)) - y))
    variables = [encoder.kernel, head.kernel]
    gradients = tape.gradient(loss, variables)
    pairs = [(g, v) for g, v in zip(gradients, variables) if g is not None]
    optimizer.apply_gradients(pairs)
    if step == 21:
        start = encoder.kernel.numpy()
print(f"encoder/kernel: {'learns' if (encoder.kernel.numpy() != start).any() else 'still'}")
