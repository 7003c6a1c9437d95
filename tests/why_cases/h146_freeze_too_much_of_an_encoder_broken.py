# cause: freeze_too_much frozen
# line: 40
# affected: layer10/kernel layer11/kernel
# symptom: absent
# expect: layer10/kernel=still layer11/kernel=still
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(17)
rng = np.random.default_rng(17)
DEPTH = 12

encoder = keras.Sequential(
    [
        keras.layers.Dense(4, activation="tanh", use_bias=False, name=f"layer{i}")
        for i in range(DEPTH)
    ],
    name="encoder",
)
head = keras.layers.Dense(1, use_bias=False, name="head")
model = keras.Sequential([encoder, head], name="model")
model.build((None, 4))
optimizer = keras.optimizers.Adam(0.02)


def fit(steps, column):
    for _step in range(steps):
        x = rng.normal(size=(8, 4)).astype("float32")
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - x[:, column, None]))
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))


fit(3, column=0)
# the lowest two hold what all tasks need
encoder.freeze("layer0*", "layer1*")
before = [layer.kernel.numpy() for layer in encoder.layers]
fit(3, column=1)
for i in (10, 11):
    moved = (encoder.layers[i].kernel.numpy() != before[i]).any()
    print(f"layer{i}/kernel: {'learns' if moved else 'still'}")
