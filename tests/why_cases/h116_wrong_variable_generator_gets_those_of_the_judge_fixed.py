# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: decoder/kernel=1.853
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(5)
rng = np.random.default_rng(5)

encoder = keras.layers.Dense(4, use_bias=False, name="encoder")
decoder = keras.layers.Dense(4, use_bias=False, name="decoder")
for layer in (encoder, decoder):
    layer.build((None, 4))
encoder_optimizer = keras.optimizers.Adam(0.02)
decoder_optimizer = keras.optimizers.Adam(0.02)


@tf.function
def train_step(x):
    with tf.GradientTape() as encoder_tape, tf.GradientTape() as decoder_tape:
        z = tf.tanh(encoder(x))
        out = decoder(z)
        error = tf.reduce_mean(tf.square(out - x))
        sparse = 0.1 * tf.reduce_mean(tf.abs(z))
        encoder_loss, decoder_loss = error + sparse, error
    encoder_gradients = encoder_tape.gradient(encoder_loss, encoder.trainable_variables)
    decoder_gradients = decoder_tape.gradient(decoder_loss, decoder.trainable_variables)
    encoder_optimizer.apply_gradients(zip(encoder_gradients, encoder.trainable_variables))
    decoder_optimizer.apply_gradients(zip(decoder_gradients, decoder.trainable_variables))
    return error


for _step in range(4):
    train_step(rng.normal(size=(8, 4)).astype("float32"))
print(f"decoder/kernel: {float(tf.norm(decoder.kernel)):.3f}")
