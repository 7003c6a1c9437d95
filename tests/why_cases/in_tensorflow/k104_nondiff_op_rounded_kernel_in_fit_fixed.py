# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: low.kernel=learns low.bias=learns out.kernel=learns out.bias=learns
# also: -
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(4)


class Quantised(keras.layers.Layer):
    """A dense layer whose kernel has eight levels for each unit."""

    def __init__(self, units, levels=8.0, **options):
        super().__init__(**options)
        self.units, self.levels = units, levels

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x):
        coarse = tf.round(self.kernel * self.levels) / self.levels
        kernel = self.kernel + tf.stop_gradient(coarse - self.kernel)
        return tf.nn.relu(x @ kernel + self.bias)


model = keras.Sequential(
    [keras.Input((6,)), Quantised(8, name="low"), keras.layers.Dense(1, name="out")]
)
model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="mse")
x = np.random.normal(size=(64, 6)).astype("float32")
y = np.abs(x[:, :1] + x[:, 1:2])
start = [v.numpy() for v in model.variables]
model.fit(x, y, batch_size=16, epochs=3, verbose=0)
for v, before in zip(model.variables, start):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
