# cause: none
# line: 0
# affected: -
# symptom: legit: stop on the fakes in the discriminator's step, and the generator's step after it
# expect: disc/kernel=nonzero disc/bias=nonzero gen/kernel=nonzero gen/bias=nonzero
# also: -
# stops: 28
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


generator = keras.layers.Dense(3, activation="tanh", name="gen")
discriminator = keras.layers.Dense(1, name="disc")
bce = keras.losses.BinaryCrossentropy(from_logits=True)
d_optimizer, g_optimizer = keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01)
ones, zeros = tf.ones((8, 1)), tf.zeros((8, 1))
for _step in range(2):
    real, noise = tf.random.normal((8, 3)) + 2.0, tf.random.normal((8, 2))
    with tf.GradientTape() as tape:
        fake = tf.stop_gradient(generator(noise))
        d_loss = bce(ones, discriminator(real)) + bce(zeros, discriminator(fake))
    d_gradients = tape.gradient(d_loss, discriminator.trainable_variables)
    d_optimizer.apply_gradients(zip(d_gradients, discriminator.trainable_variables))
    with tf.GradientTape() as tape:
        g_loss = bce(ones, discriminator(generator(noise)))
    g_gradients = tape.gradient(g_loss, generator.trainable_variables)
    g_optimizer.apply_gradients(zip(g_gradients, generator.trainable_variables))
report(discriminator.trainable_variables, d_gradients)
report(generator.trainable_variables, g_gradients)
