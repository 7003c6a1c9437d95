# cause: none
# line: 0
# affected: -
# symptom: legit: the trunk is frozen until the new head has learnt something
# expect: head=1.417
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(14)
rng = np.random.default_rng(14)
trunk = keras.Sequential([keras.layers.Dense(6, activation="tanh", name="features")], name="trunk")
head = keras.layers.Dense(1, name="head")
model = keras.Sequential([trunk, head], name="model")
model.build((None, 4))
trunk.set_weights([0.1 * np.ones((4, 6), "float32"), np.zeros(6, "float32")])


def fit(steps, rate):
    optimizer = keras.optimizers.Adam(rate)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - y))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    for _ in range(steps):
        x = rng.normal(size=(8, 4)).astype("float32")
        step(x, x[:, :1])


trunk.trainable = False
fit(4, 0.05)
trunk.trainable = True
fit(6, 0.005)
print(f"head: {float(tf.norm(head.kernel)):.3f}")
