# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: generator.kernel=learns generator.bias=learns critic.kernel=learns critic.bias=learns
# also: -
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(16)


class Gan(keras.Model):
    def __init__(self):
        super().__init__()
        self.generator = keras.layers.Dense(2, name="generator")
        self.critic = keras.layers.Dense(1, name="critic")
        self.bce = keras.losses.BinaryCrossentropy(from_logits=True)

    def compile(self, g_optimizer, c_optimizer):
        super().compile()
        self.g_optimizer, self.c_optimizer = g_optimizer, c_optimizer

    def train_step(self, real):
        count = tf.shape(real)[0]
        noise = tf.random.normal((count, 3))
        ones, zeros = tf.ones((count, 1)), tf.zeros((count, 1))
        with tf.GradientTape() as g_tape, tf.GradientTape() as c_tape:
            fake = self.generator(noise)
            on_real, on_fake = self.critic(real), self.critic(fake)
            c_loss = self.bce(ones, on_real) + self.bce(zeros, on_fake)
            g_loss = self.bce(ones, on_fake)
        g_variables = self.generator.trainable_variables
        c_variables = self.critic.trainable_variables
        g_gradients = g_tape.gradient(g_loss, g_variables)
        c_gradients = c_tape.gradient(c_loss, c_variables)
        self.g_optimizer.apply_gradients(zip(g_gradients, g_variables))
        self.c_optimizer.apply_gradients(zip(c_gradients, c_variables))
        return {"generator": g_loss, "critic": c_loss, "size": tf.linalg.global_norm(c_gradients)}


model = Gan()
model.generator.build((None, 3))
model.critic.build((None, 2))
model.compile(keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2))
variables = model.generator.variables + model.critic.variables
start = [v.numpy() for v in variables]
real = np.random.normal(loc=2.0, size=(64, 2)).astype("float32")
model.fit(real, batch_size=16, epochs=2, verbose=0)
for v, before in zip(variables, start):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
