# cause: freeze_too_late
# line: 44
# affected: stem/kernel
# symptom: leak
# expect: stem/kernel=moves
# also: 26 32 33 47
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(2)
rng = np.random.default_rng(2)

model = keras.Sequential(
    [
        keras.layers.Dense(5, activation="tanh", use_bias=False, name="stem"),
        keras.layers.Dense(1, name="out"),
    ]
)
model.build((None, 3))
optimizer = keras.optimizers.Adam(0.01)


def make_step(model, optimizer):
    variables = model.trainable_variables

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - y))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables))
        return loss

    return step


train_step = make_step(model, optimizer)
kernel = model.layers[0].kernel
before = kernel.numpy()
for step in range(8):
    if step == 4:
        model.layers[0].trainable = False
        before = kernel.numpy()
    x = rng.normal(size=(8, 3)).astype("float32")
    train_step(x, x[:, :1])
print(f"stem/kernel: {'frozen' if (kernel.numpy() == before).all() else 'moves'}")
