# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: gen/kernel=nonzero gen/bias=nonzero disc/kernel=nonzero disc/bias=nonzero
# also: -
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


generator = keras.Sequential([keras.layers.Dense(3, activation="tanh", name="gen")])
discriminator = keras.Sequential([keras.layers.Dense(1, name="disc")])
bce = keras.losses.BinaryCrossentropy(from_logits=True)
real, noise = tf.random.normal((8, 3)) + 2.0, tf.random.normal((8, 2))
with tf.GradientTape(persistent=True) as tape:
    fake = generator(noise)
    real_logits = discriminator(real)
    d_logits = discriminator(tf.stop_gradient(fake))
    fake_logits = discriminator(fake)
    d_loss = bce(tf.ones((8, 1)), real_logits)
    d_loss += bce(tf.zeros((8, 1)), d_logits)
    g_loss = bce(tf.ones((8, 1)), fake_logits)
g_weights, d_weights = generator.trainable_variables, discriminator.trainable_variables
report(g_weights, tape.gradient(g_loss, g_weights))
report(d_weights, tape.gradient(d_loss, d_weights))
