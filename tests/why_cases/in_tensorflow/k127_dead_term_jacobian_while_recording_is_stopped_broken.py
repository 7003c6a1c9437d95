# cause: dead_term no_grad_block outside_tape
# line: 29
# affected: enc.kernel enc.bias
# symptom: dead
# expect: enc.kernel=2.070 enc.bias=0.045
# also: 25 28 30 39 40
import keras
import tensorflow as tf

keras.utils.set_random_seed(27)


class Contractive(keras.Model):
    """An autoencoder whose code should change little with its input."""

    def __init__(self):
        super().__init__()
        self.enc = keras.layers.Dense(4, "tanh", name="enc")
        self.dec = keras.layers.Dense(6, name="dec")

    def call(self, x):
        return self.dec(self.enc(x))

    def contraction(self, x, outer):
        with outer.stop_recording():
            with tf.GradientTape() as inner:
                inner.watch(x)
                code = self.enc(x)
            jacobian = inner.batch_jacobian(code, x)
        return tf.reduce_mean(tf.reduce_sum(jacobian**2, axis=[1, 2]))


model = Contractive()
optimizer = keras.optimizers.Adam(2e-2)
for _step in range(4):
    x = tf.random.normal((16, 6))
    with tf.GradientTape() as tape:
        fit = tf.reduce_mean(tf.square(model(x) - x))
        penalty = model.contraction(x, tape)
        loss = fit + 0.5 * penalty
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
for v in model.enc.trainable_variables:
    print(f"enc.{v.name}: {tf.norm(v):.3f}")
