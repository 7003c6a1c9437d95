# cause: stateful_write
# line: 28
# affected: hidden.kernel hidden.bias out.kernel out.bias
# symptom: error
# expect: error=ValueError
# also: 29 30
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(19)


class Regression(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(8, "relu", name="hidden")
        self.out = keras.layers.Dense(1, name="out")
        self.mean_loss = keras.metrics.Mean(name="loss")

    def call(self, x):
        return self.out(self.hidden(x))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x, training=True) - y))
            self.mean_loss.update_state(loss)
            loss = self.mean_loss.result()
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return {"loss": self.mean_loss.result()}

    @property
    def metrics(self):
        return [self.mean_loss]


model = Regression()
model.compile(optimizer="sgd")
x = np.random.normal(size=(32, 3)).astype("float32")
model(x)
start = [v.numpy() for v in model.trainable_variables]
model.fit(x, x[:, :1] ** 2, batch_size=16, epochs=2, verbose=0)
for v, before in zip(model.trainable_variables, start):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
