# cause: not_registered unlisted optimizer_mask
# line: 22
# affected: down.kernel up.kernel
# symptom: not updated
# expect: down.kernel=still up.kernel=still
# also: 29 30 31 35 42 48
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(13)


@dataclass
class Bottleneck:
    down: keras.layers.Dense
    up: keras.layers.Dense

    def __call__(self, x):
        return x + self.up(tf.nn.gelu(self.down(x)))


class Block(keras.Model):
    def __init__(self, width):
        super().__init__()
        self.mix = keras.layers.Dense(width, activation="tanh")
        down = keras.layers.Dense(3, use_bias=False, name="down")
        up = keras.layers.Dense(width, use_bias=False, name="up")
        self.bottleneck = Bottleneck(down, up)
        self.out = keras.layers.Dense(1)

    def call(self, x):
        return self.out(self.bottleneck(self.mix(x)))


model = Block(8)
optimizer = keras.optimizers.Adam(1e-2)
x = tf.random.normal((32, 4))
y = tf.reduce_sum(x, axis=1, keepdims=True) ** 2
model(x)
weights = {"down.kernel": model.bottleneck.down.kernel, "up.kernel": model.bottleneck.up.kernel}
start = {name: v.numpy() for name, v in weights.items()}
for _step in range(5):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x) - y))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
for name, v in weights.items():
    print(f"{name}: {'still' if np.array_equal(v, start[name]) else 'learns'}")
