# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: image.kernel=learns image.bias=learns text.kernel=learns text.bias=learns
# also: -
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(1)


class Matcher(keras.Model):
    def __init__(self):
        super().__init__()
        self.image = keras.layers.Dense(8, name="image")
        self.text = keras.layers.Dense(8, name="text")

    def embed(self, layer, x):
        return tf.math.l2_normalize(layer(x), axis=-1)

    def call(self, pairs):
        pictures, words = pairs
        anchor = self.embed(self.text, words)
        return self.embed(self.image, pictures) @ tf.transpose(anchor)

    def train_step(self, data):
        pairs, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            scores = 5.0 * self(pairs, training=True)
            loss = self.compute_loss(y=labels, y_pred=scores)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return {"loss": loss}


pictures = np.random.normal(size=(48, 6)).astype("float32")
words = np.tanh(pictures[:, :4])
labels = np.tile(np.arange(16), 3)
model = Matcher()
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model((pictures, words))
start = [v.numpy() for v in model.variables]
model.fit((pictures, words), labels, batch_size=16, epochs=2, shuffle=False, verbose=0)
for v, before in zip(model.variables, start):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
