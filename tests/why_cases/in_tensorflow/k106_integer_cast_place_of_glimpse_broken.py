# cause: integer_cast
# line: 26
# affected: where.kernel where.bias
# symptom: not updated
# expect: where.kernel=still where.bias=still glimpse.kernel=learns glimpse.bias=learns digit.kernel=learns digit.bias=learns
# also: 28
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
        first = tf.cast(centre, tf.int32)
        indices = first + tf.range(WINDOW)
        return tf.gather(signal, indices, batch_dims=1)

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
