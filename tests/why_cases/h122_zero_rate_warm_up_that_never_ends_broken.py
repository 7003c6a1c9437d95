# cause: zero_rate
# line: 34
# affected: dense/kernel dense/bias
# symptom: not updated
# expect: dense/kernel=still dense/bias=still
# also: 23 29
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(11)
rng = np.random.default_rng(11)
EPOCHS, STEPS, WARM_UP = 2, 3, 5

model = keras.layers.Dense(1, name="dense")
model.build((None, 3))
optimizer = keras.optimizers.SGD(0.1)


def rate_at(epoch, step):
    done = epoch * STEPS + step
    return 0.1 * min(1.0, done // 10 / WARM_UP)


start = {v.name: v.numpy() for v in model.trainable_variables}
for epoch in range(EPOCHS):
    for step in range(STEPS):
        optimizer.learning_rate = rate_at(epoch, step)
        x = rng.normal(size=(8, 3)).astype("float32")
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - x[:, :1]))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
for v in model.trainable_variables:
    part = v.name.split("/")[-1]
    print(f"dense/{part}: {'learns' if (v.numpy() != start[v.name]).any() else 'still'}")
