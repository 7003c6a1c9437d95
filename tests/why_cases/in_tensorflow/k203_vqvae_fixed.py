# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: codes.embeddings=learns enc_out.kernel=learns dec_in.kernel=learns
# also: -
"""A vector-quantised autoencoder of strokes, in an eager loop with tf.function around a step."""

import argparse
import dataclasses

import keras
import numpy as np
import tensorflow as tf
from keras import layers


@dataclasses.dataclass(frozen=True)
class Settings:
    points: int = 12
    width: int = 6
    codes: int = 8
    commitment: float = 0.25
    batch: int = 32
    steps: int = 8
    rate: float = 5e-3


def strokes(count, points, seed):
    """Random walks in the plane that turn slowly."""
    draw = np.random.default_rng(seed)
    turns = np.cumsum(0.4 * draw.normal(size=(count, points)), axis=1)
    steps = np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    return (np.cumsum(steps, axis=1) / points).astype("float32")


class Quantiser(layers.Layer):
    """Replaces each vector by the nearest one of a codebook."""

    def __init__(self, codes, width, commitment, **options):
        super().__init__(**options)
        self.codes, self.width, self.commitment = codes, width, commitment

    def build(self, shape):
        self.embeddings = self.add_weight(
            shape=(self.codes, self.width), initializer="random_normal", name="embeddings"
        )

    def indices(self, z):
        flat = tf.reshape(z, (-1, self.width))
        distances = (
            tf.reduce_sum(flat**2, axis=1, keepdims=True)
            - 2.0 * flat @ tf.transpose(self.embeddings)
            + tf.reduce_sum(self.embeddings**2, axis=1)
        )
        return tf.reshape(tf.argmin(distances, axis=1), tf.shape(z)[:-1])

    def call(self, z):
        quantised = tf.gather(self.embeddings, self.indices(z))
        passed = z + tf.stop_gradient(quantised - z)
        pull = tf.reduce_mean(tf.square(quantised - tf.stop_gradient(z)))
        commit = tf.reduce_mean(tf.square(z - tf.stop_gradient(quantised)))
        self.add_loss(pull + self.commitment * commit)
        return passed


class Autoencoder(keras.Model):
    def __init__(self, settings):
        super().__init__()
        self.flatten = layers.Flatten()
        self.enc_in = layers.Dense(32, activation="gelu", name="enc_in")
        self.enc_out = layers.Dense(3 * settings.width, name="enc_out")
        self.split = layers.Reshape((3, settings.width))
        self.quantiser = Quantiser(
            settings.codes, settings.width, settings.commitment, name="codes"
        )
        self.join = layers.Flatten()
        self.dec_in = layers.Dense(32, activation="gelu", name="dec_in")
        self.dec_out = layers.Dense(2 * settings.points, name="dec_out")
        self.shape_as = layers.Reshape((settings.points, 2))

    def call(self, x):
        z = self.split(self.enc_out(self.enc_in(self.flatten(x))))
        h = self.dec_in(self.join(self.quantiser(z)))
        return self.shape_as(self.dec_out(h))


class Usage:
    """How many codes are in use, for the log."""

    def __init__(self, codes):
        self.counts = np.zeros(codes)

    def add(self, indices):
        np.add.at(self.counts, indices.numpy().ravel(), 1)

    def perplexity(self):
        p = self.counts / self.counts.sum()
        return float(np.exp(-np.sum(p * np.log(p + 1e-9))))


class Trainer:
    def __init__(self, model, settings):
        self.model, self.settings = model, settings
        self.optimizer = keras.optimizers.Adam(settings.rate)
        self.usage = Usage(settings.codes)
        self.history = []

    @tf.function
    def step(self, x):
        with tf.GradientTape() as tape:
            drawn = self.model(x, training=True)
            reconstruction = tf.reduce_mean(tf.square(drawn - x))
            loss = reconstruction + tf.add_n(self.model.losses)
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(
            (g, v) for g, v in zip(gradients, variables) if g is not None
        )
        return reconstruction

    def fit(self, data):
        for step, x in enumerate(data.take(self.settings.steps)):
            self.history.append(float(self.step(x)))
            if step % 4 == 0:
                z = self.model.split(self.model.enc_out(self.model.enc_in(self.model.flatten(x))))
                self.usage.add(self.model.quantiser.indices(z))
        return self


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for field in dataclasses.fields(Settings):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    settings = Settings(**vars(parser.parse_args([])))
    keras.utils.set_random_seed(103)
    model = Autoencoder(settings)
    x = strokes(settings.batch * 4, settings.points, seed=1)
    model(x[:1])
    data = tf.data.Dataset.from_tensor_slices(x).batch(settings.batch).repeat()
    shown = (model.quantiser.embeddings, model.enc_out.kernel, model.dec_in.kernel)
    start = [v.numpy() for v in shown]
    Trainer(model, settings).fit(data)
    for v, before in zip(shown, start):
        name = ".".join(v.path.split("/")[-2:])
        print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")


if __name__ == "__main__":
    main()
