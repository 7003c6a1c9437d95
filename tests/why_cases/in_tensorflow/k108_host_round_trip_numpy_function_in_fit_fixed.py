# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: analysis.kernel=learns shrink.threshold=learns synthesis.kernel=learns synthesis.bias=learns
# also: -
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(8)


class SoftThreshold(keras.layers.Layer):
    """Shrinks each coefficient towards zero by a learned amount."""

    def build(self, shape):
        self.threshold = self.add_weight(
            shape=shape[-1:], initializer=keras.initializers.Constant(0.1), name="threshold"
        )

    def call(self, x):
        return tf.sign(x) * tf.maximum(tf.abs(x) - self.threshold, 0.0)


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
