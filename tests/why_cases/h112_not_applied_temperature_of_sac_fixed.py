# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: log_alpha=learns
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)
rng = np.random.default_rng(0)

actor = keras.layers.Dense(2, name="actor")
log_alpha = tf.Variable(0.0, name="log_alpha")
actor_optimizer = keras.optimizers.Adam(0.01)
alpha_optimizer = keras.optimizers.Adam(0.01)


def sample(state):
    mean = actor(state)
    noise = tf.random.normal((16, 2))
    return tf.tanh(mean + 0.3 * noise), tf.reduce_sum(-0.5 * tf.square(noise), axis=1)


def update(state):
    with tf.GradientTape() as actor_tape:
        action, log_prob = sample(state)
        gain = -tf.reduce_sum(tf.square(action - state[:, :2]), axis=1)
        alpha = tf.stop_gradient(tf.exp(log_alpha))
        actor_loss = tf.reduce_mean(alpha * log_prob - gain)
    with tf.GradientTape() as alpha_tape:
        alpha_loss = -tf.reduce_mean(tf.exp(log_alpha) * tf.stop_gradient(log_prob - 2.0))
    actor_gradients = actor_tape.gradient(actor_loss, actor.trainable_variables)
    alpha_gradients = alpha_tape.gradient(alpha_loss, [log_alpha])
    actor_optimizer.apply_gradients(zip(actor_gradients, actor.trainable_variables))
    alpha_optimizer.apply_gradients(zip(alpha_gradients, [log_alpha]))
    return float(actor_loss), float(alpha_loss)


for _step in range(4):
    update(rng.normal(size=(16, 3)).astype("float32"))
print(f"log_alpha: {'still' if float(log_alpha) == 0.0 else 'learns'}")
