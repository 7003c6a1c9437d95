# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: vision/kernel=frozen
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(16)
rng = np.random.default_rng(16)


class TwoTowers(keras.Model):
    """Images and texts, drawn together (Zhai et al. 2022: the image tower is locked)."""

    def __init__(self):
        super().__init__(name="towers")
        self.vision = keras.layers.Dense(3, use_bias=False, name="vision")
        self.text = keras.layers.Dense(3, use_bias=False, name="text")

    def call(self, pair):
        image, text = (tf.math.l2_normalize(f(x), axis=1) for f, x in zip(self.towers, pair))
        return 5.0 * image @ tf.transpose(text)

    @property
    def towers(self):
        return self.vision, self.text


class Trainer:
    def __init__(self, model):
        self.model = model
        self.weights = model.trainable_variables
        self.optimizer = keras.optimizers.Adam(0.01)

    def step(self, images, texts):
        with tf.GradientTape() as tape:
            logits = self.model((images, texts))
            labels = np.arange(len(images))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, self.weights)
        self.optimizer.apply_gradients(zip(gradients, self.weights))


def lock(layer):
    layer.trainable = False


model = TwoTowers()
model.vision.build((None, 5))
model.text.build((None, 4))
model.vision.set_weights([rng.normal(size=(5, 3)).astype("float32")])
lock(model.vision)
trainer = Trainer(model)
before = model.vision.kernel.numpy()
for _step in range(3):
    images, texts = (rng.normal(size=(6, n)).astype("float32") for n in (5, 4))
    trainer.step(images, texts)
print(f"vision/kernel: {'frozen' if (model.vision.kernel.numpy() == before).all() else 'moves'}")
