# cause: none
# line: 0
# affected: -
# symptom: legit: the inner gradient is a part of the loss, and never applied itself
# expect: generator=1.671
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(19)
rng = np.random.default_rng(19)
generator = keras.layers.Dense(2, name="generator")
critic = keras.Sequential(
    [keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)], name="critic"
)
generator.build((None, 3))
critic.build((None, 2))
critic_optimizer = keras.optimizers.Adam(0.01)
generator_optimizer = keras.optimizers.Adam(0.01)


def penalty(real, fake):
    mixed = real + tf.random.uniform((real.shape[0], 1)) * (fake - real)
    with tf.GradientTape() as inner:
        inner.watch(mixed)
        score = critic(mixed)
    slopes = inner.gradient(score, mixed)
    length = tf.sqrt(tf.reduce_sum(tf.square(slopes), axis=1) + 1e-12)
    return tf.reduce_mean(tf.square(length - 1.0))


for step in range(6):
    real = tf.constant(rng.normal(size=(8, 2)).astype("float32"))
    noise = rng.normal(size=(8, 3)).astype("float32")
    with tf.GradientTape() as tape:
        fake = tf.stop_gradient(generator(noise))
        gap = tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(real))
        loss = gap + 10.0 * penalty(real, fake)
    weights = critic.trainable_variables
    critic_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    if step % 3 == 2:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(critic(generator(noise)))
        weights = generator.trainable_variables
        generator_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"generator: {float(tf.norm(generator.kernel)):.3f}")
