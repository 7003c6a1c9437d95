# cause: nonfinite_value
# line: 24
# affected: actor/kernel
# symptom: not finite
# expect: actor/kernel=nan
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(6)
rng = np.random.default_rng(6)

actor = keras.layers.Dense(2, use_bias=False, name="actor")
critic = keras.layers.Dense(1, name="critic")
actor.build((None, 3))
actor_optimizer = keras.optimizers.Adam(2.0)
critic_optimizer = keras.optimizers.Adam(0.01)


def log_prob(u, action):
    gaussian = tf.reduce_sum(-0.5 * tf.square(u - tf.stop_gradient(u)), axis=1)
    squash = tf.math.log(1.0 - tf.square(action))
    return gaussian - tf.reduce_sum(squash, axis=1)


for _step in range(12):
    state = rng.normal(size=(16, 3)).astype("float32")
    with tf.GradientTape() as tape:
        u = actor(state) + tf.random.normal((16, 2))
        action = tf.tanh(u)
        gain = critic(tf.concat([state, action], axis=1))[:, 0]
        loss = tf.reduce_mean(0.01 * log_prob(u, action) - gain)
    weights = actor.trainable_variables
    actor_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    action = rng.uniform(-1.0, 1.0, size=(16, 2)).astype("float32")
    with tf.GradientTape() as tape:
        guess = critic(tf.concat([state, action], axis=1))
        loss = tf.reduce_mean(tf.square(guess - action[:, :1] * state[:, :1]))
    weights = critic.trainable_variables
    critic_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"actor/kernel: {'learns' if np.isfinite(actor.kernel.numpy()).all() else 'nan'}")
