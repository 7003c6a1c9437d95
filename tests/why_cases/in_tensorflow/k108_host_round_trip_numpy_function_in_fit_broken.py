# cause: host_round_trip
# line: 27
# affected: shrink.threshold analysis.kernel
# symptom: not updated
# expect: analysis.kernel=still shrink.threshold=still synthesis.kernel=learns synthesis.bias=learns
# also: 28 33
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(8)


def shrink(x, threshold):
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0).astype("float32")


class SoftThreshold(keras.layers.Layer):
    """Shrinks each coefficient towards zero by a learned amount."""

    def build(self, shape):
        self.threshold = self.add_weight(
            shape=shape[-1:], initializer=keras.initializers.Constant(0.1), name="threshold"
        )

    def call(self, x):
        y = tf.numpy_function(shrink, [x, self.threshold], tf.float32)
        return tf.ensure_shape(y, x.shape)


inputs = keras.Input((12,))
code = keras.layers.Dense(16, use_bias=False, name="analysis")(inputs)
code = SoftThreshold(name="shrink")(code)
outputs = keras.layers.Dense(12, name="synthesis")(code)
model = keras.Model(inputs, outputs)
model.compile(optimizer="rmsprop", loss="mae")

clean = np.sin(np.arange(12) * np.random.uniform(0.2, 1.5, size=(64, 1))).astype("float32")
noisy = clean + 0.1 * np.random.normal(size=clean.shape).astype("float32")
start = {v.path: v.numpy() for v in model.trainable_variables}
model.fit(noisy, clean, batch_size=32, epochs=3, verbose=0)
for v in model.trainable_variables:
    same = np.array_equal(v.numpy(), start[v.path])
    print(f"{v.path.replace('/', '.')}: {'still' if same else 'learns'}")
