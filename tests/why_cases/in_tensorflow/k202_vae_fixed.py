# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: mean.kernel=learns mean.bias=learns log_var.kernel=learns log_var.bias=learns
# also: -
"""A variational autoencoder of short waves, trained by Keras with a loss that layers add."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

LENGTH, LATENT = 24, 3
SMALLEST, LARGEST = 1e-3, 1.0


def waves(count, seed=0):
    draw = np.random.default_rng(seed)
    places = np.linspace(0.0, 1.0, LENGTH)
    pitch = draw.uniform(2.0, 9.0, size=(count, 1))
    phase = draw.uniform(0.0, 2.0 * np.pi, size=(count, 1))
    return np.sin(pitch * places + phase).astype("float32")


class Gaussian(layers.Layer):
    """Two heads: the mean of a code, and the logarithm of its variance."""

    def __init__(self, latent, **options):
        super().__init__(**options)
        self.mean = layers.Dense(latent, name="mean")
        self.log_var = layers.Dense(latent, bias_initializer="ones", name="log_var")

    def call(self, h):
        mean, log_var = self.mean(h), 2.0 + self.log_var(h)
        # Keep the spread away from zero and from what overflows.
        return mean, ops.clip(log_var, 2.0 * np.log(SMALLEST), 10.0 * LARGEST)


class Sampling(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.seeds = keras.random.SeedGenerator(202)

    def call(self, moments):
        mean, log_var = moments
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        return mean + ops.exp(0.5 * log_var) * noise


class Divergence(layers.Layer):
    """Adds the divergence from the prior to the loss, and passes the moments on."""

    def __init__(self, weight, **options):
        super().__init__(**options)
        self.weight = weight

    def call(self, moments):
        mean, log_var = moments
        each = 0.5 * ops.sum(ops.exp(log_var) + mean**2 - 1.0 - log_var, axis=1)
        self.add_loss(self.weight * ops.mean(each))
        return moments


class VAE(keras.Model):
    def __init__(self, weight=0.05):
        super().__init__()
        self.encoder = keras.Sequential(
            [
                layers.Reshape((LENGTH, 1)),
                layers.Conv1D(8, 5, strides=2, activation="relu"),
                layers.Flatten(),
                layers.Dense(24, activation="tanh"),
            ],
            name="encoder",
        )
        self.code = Gaussian(LATENT, name="code")
        self.divergence = Divergence(weight)
        self.sampling = Sampling()
        self.decoder = keras.Sequential(
            [layers.Dense(24, activation="relu"), layers.Dense(LENGTH)], name="decoder"
        )
        self.total = keras.metrics.Mean(name="total")

    @property
    def metrics(self):
        return [self.total]

    def call(self, x, training=False):
        moments = self.divergence(self.code(self.encoder(x)))
        code = self.sampling(moments) if training else moments[0]
        return self.decoder(code)

    def train_step(self, x):
        with tf.GradientTape() as tape:
            drawn = self(x, training=True)
            loss = tf.reduce_mean(tf.reduce_sum(tf.square(drawn - x), axis=1))
            loss += tf.add_n(self.losses)
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients, size = tf.clip_by_global_norm(gradients, 5.0)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.total.update_state(loss)
        return {"total": self.total.result(), "size": size}

    def test_step(self, x):
        drawn = self(x, training=False)
        self.total.update_state(tf.reduce_mean(tf.reduce_sum(tf.square(drawn - x), axis=1)))
        return {"total": self.total.result()}


def main():
    keras.utils.set_random_seed(102)
    model = VAE()
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    train, test = waves(96), waves(32, seed=1)
    model(train[:2])
    heads = [*model.code.mean.variables, *model.code.log_var.variables]
    start = [v.numpy() for v in heads]
    model.fit(train, batch_size=32, epochs=3, validation_data=(test,), verbose=0)
    for v, before in zip(heads, start):
        name = ".".join(v.path.split("/")[-2:])
        print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")


if __name__ == "__main__":
    main()
