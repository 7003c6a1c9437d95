# cause: none
# line: 0
# affected: -
# symptom: legit: each step trains one network, through the other one
# expect: judge=1.777
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(2)
rng = np.random.default_rng(2)
generator = keras.Sequential(
    [keras.layers.Dense(6, activation="relu"), keras.layers.Dense(2)], name="generator"
)
judge = keras.Sequential(
    [keras.layers.Dense(6, activation="relu"), keras.layers.Dense(1)], name="judge"
)
generator.build((None, 3))
judge.build((None, 2))
cross = keras.losses.BinaryCrossentropy(from_logits=True)
optimizers = {"generator": keras.optimizers.Adam(0.01), "judge": keras.optimizers.Adam(0.01)}


def judge_step(real, noise):
    fake = tf.stop_gradient(generator(noise))
    with tf.GradientTape() as tape:
        on_real, on_fake = judge(real), judge(fake)
        loss = cross(tf.ones_like(on_real), on_real) + cross(tf.zeros_like(on_fake), on_fake)
    weights = judge.trainable_variables
    optimizers["judge"].apply_gradients(zip(tape.gradient(loss, weights), weights))


def generator_step(noise):
    with tf.GradientTape() as tape:
        on_fake = judge(generator(noise))
        loss = cross(tf.ones_like(on_fake), on_fake)
    weights = generator.trainable_variables
    optimizers["generator"].apply_gradients(zip(tape.gradient(loss, weights), weights))


for step in range(9):
    noise = rng.normal(size=(8, 3)).astype("float32")
    if step % 3 < 2:
        judge_step(rng.normal(size=(8, 2)).astype("float32") + 1.0, noise)
    else:
        generator_step(noise)
print(f"judge: {float(tf.norm(judge.layers[0].kernel)):.3f}")
