# cause: freeze_too_much frozen
# line: 37
# affected: encoder_head/kernel
# symptom: absent
# expect: encoder_head/kernel=still
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(17)
rng = np.random.default_rng(17)

model = keras.Sequential(
    [
        keras.layers.Dense(6, activation="tanh", use_bias=False, name="encoder"),
        keras.layers.Dense(4, activation="tanh", use_bias=False, name="encoder_head"),
        keras.layers.Dense(1, use_bias=False, name="out"),
    ],
    name="model",
)
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
model.freeze("encoder*")
before = model.layers[1].kernel.numpy()
fit(3, column=1)
moved = (model.layers[1].kernel.numpy() != before).any()
print(f"encoder_head/kernel: {'learns' if moved else 'still'}")
