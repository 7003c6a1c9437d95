# cause: not_applied
# line: 34
# affected: prior/mean
# symptom: not updated
# expect: prior/mean=still
# also: 18 36 41
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(15)
rng = np.random.default_rng(15)
encoder = keras.layers.Dense(4, name="encoder")
decoder = keras.layers.Dense(5, name="decoder")
encoder.build((None, 5))
decoder.build((None, 2))
prior_mean = tf.Variable(tf.zeros(2), name="prior/mean")
main_optimizer = keras.optimizers.Adam(0.01)
prior_optimizer = keras.optimizers.Adam(0.001)


@tf.function
def train_step(x):
    with tf.GradientTape(persistent=True) as tape:
        h = encoder(x)
        mean, log_var = h[:, :2], h[:, 2:]
        z = mean + tf.exp(0.5 * log_var) * tf.random.normal(mean.shape)
        error = tf.reduce_mean(tf.square(decoder(z) - x))
        apart = tf.square(mean - prior_mean) + tf.exp(log_var) - log_var - 1.0
        loss = error + 0.1 * tf.reduce_mean(apart)
    weights = encoder.trainable_variables + decoder.trainable_variables
    main_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    for_prior = tape.gradient(loss, [prior_mean])
    if for_prior is None:
        prior_optimizer.apply_gradients(zip(for_prior, [prior_mean]))
    return error


for _step in range(5):
    train_step(rng.normal(size=(8, 5)).astype("float32"))
print(f"prior/mean: {'still' if (prior_mean.numpy() == 0).all() else 'learns'}")
