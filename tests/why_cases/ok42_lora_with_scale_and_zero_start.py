# cause: none
# line: 0
# affected: -
# symptom: legit: the update of a frozen kernel begins at zero, so one factor gets zero at first
# expect: weights=2
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(22)
rng = np.random.default_rng(22)


class LoRA(keras.layers.Layer):
    def __init__(self, layer, rank=2, alpha=4.0, **options):
        super().__init__(**options)
        self.layer, self.rank, self.scale = layer, rank, alpha / rank

    def build(self, input_shape):
        self.layer.build(input_shape)
        self.layer.trainable = False
        inputs, outputs = self.layer.kernel.shape
        self.a = self.add_weight(shape=(inputs, self.rank), initializer="he_normal", name="a")
        self.b = self.add_weight(shape=(self.rank, outputs), initializer="zeros", name="b")

    def call(self, x):
        return self.layer(x) + self.scale * (x @ self.a @ self.b)


base = keras.layers.Dense(3, name="base")
base.build((None, 5))
base.set_weights([rng.normal(size=(5, 3)).astype("float32"), np.zeros(3, "float32")])
model = LoRA(base, name="lora")
model.build((None, 5))
optimizer = keras.optimizers.Adam(0.01)
for _step in range(3):
    x = rng.normal(size=(12, 5)).astype("float32")
    with tf.GradientTape() as tape:
        logits = model(x)
        labels = np.argmin(x[:, :3], axis=1)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        loss = tf.reduce_mean(losses)
    weights = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"weights: {len(weights)}")
