# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: one.kernel=learns two.kernel=learns out.kernel=learns out.bias=learns
# also: -
import keras
import numpy as np
from keras import ops

keras.utils.set_random_seed(32)


class Binary(keras.layers.Layer):
    """A dense layer with weights of -1 and 1."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer="glorot_uniform", name="kernel"
        )

    def binarised(self):
        signs = ops.sign(self.kernel)
        signs = self.kernel + ops.stop_gradient(signs - self.kernel)
        return signs * ops.stop_gradient(ops.mean(ops.abs(self.kernel)))

    def call(self, x):
        return ops.matmul(x, self.binarised())


inputs = keras.Input((8,))
h = ops.tanh(Binary(12, name="one")(inputs))
h = ops.tanh(Binary(12, name="two")(h))
model = keras.Model(inputs, keras.layers.Dense(1, name="out")(h))
model.compile(optimizer="nadam", loss="mse", metrics=["mae"])
x = np.random.normal(size=(60, 8)).astype("float32")
y = np.maximum(x[:, :1], x[:, 1:2])
start = [v.numpy() for v in model.variables]
model.fit(x[:48], y[:48], validation_data=(x[48:], y[48:]), epochs=2, verbose=0)
for v, before in zip(model.variables, start):
    print(f"{v.path.replace('/', '.')}: {'still' if np.array_equal(v, before) else 'learns'}")
