# cause: none
# line: 0
# affected: -
# symptom: legit: the divergence comes in slowly, and so does the rate, both from 0
# expect: prior=0.036
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(8)
rng = np.random.default_rng(8)
encoder = keras.layers.Dense(4, name="encoder")
decoder = keras.layers.Dense(6, name="decoder")
prior = tf.Variable(tf.zeros(2), name="prior")
encoder.build((None, 6))
decoder.build((None, 2))
weights = [*encoder.trainable_variables, *decoder.trainable_variables, prior]
optimizer = keras.optimizers.Adam(0.0)
WARM_UP = 4


def elbo(x, beta):
    h = encoder(x)
    mean, log_var = h[:, :2], h[:, 2:]
    z = mean + tf.exp(0.5 * log_var) * tf.random.normal(mean.shape)
    error = tf.reduce_sum(tf.square(decoder(z) - x), axis=1)
    apart = tf.square(mean - prior) + tf.exp(log_var) - log_var - 1.0
    return tf.reduce_mean(error + beta * 0.5 * tf.reduce_sum(apart, axis=1))


for step in range(8):
    progress = min(1.0, step / WARM_UP)
    optimizer.learning_rate = 0.01 * progress
    x = rng.normal(size=(8, 6)).astype("float32")
    with tf.GradientTape() as tape:
        loss = elbo(x, beta=progress)
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"prior: {float(tf.norm(prior)):.3f}")
