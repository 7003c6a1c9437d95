# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: where.kernel=learns where.bias=learns glimpse.kernel=learns glimpse.bias=learns digit.kernel=learns digit.bias=learns
# also: -
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(6)
LENGTH, WINDOW = 20, 4


class Reader(keras.Model):
    """Looks at one place of a signal, which it chooses itself."""

    def __init__(self):
        super().__init__()
        self.where = keras.layers.Dense(1, activation="sigmoid", name="where")
        self.glimpse = keras.layers.Dense(8, activation="tanh", name="glimpse")
        self.digit = keras.layers.Dense(2, name="digit")

    def look(self, signal, place):
        centre = place * (LENGTH - WINDOW)
        taps = centre[:, :, None] + tf.range(WINDOW, dtype=tf.float32)[None, :, None]
        nearness = tf.nn.relu(1.0 - tf.abs(taps - tf.range(LENGTH, dtype=tf.float32)))
        return tf.einsum("bwl,bl->bw", nearness, signal)

    def call(self, signal):
        place = self.where(signal)
        return self.digit(self.glimpse(self.look(signal, place)))


model = Reader()
optimizer = keras.optimizers.RMSprop(1e-2)
loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@tf.function
def train(signal, label):
    with tf.GradientTape() as tape:
        loss = loss_of(label, model(signal))
    gradients = tape.gradient(loss, model.trainable_weights)
    optimizer.apply_gradients(zip(gradients, model.trainable_weights))
    return loss


signal = tf.random.normal((24, LENGTH))
model(signal)
start = [v.numpy() for v in model.trainable_weights]
for _step in range(5):
    train(signal, tf.cast(signal[:, 3] > 0, tf.int32))
for v, before in zip(model.trainable_weights, start):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
