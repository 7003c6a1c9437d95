# cause: dead_term no_grad_block outside_tape
# line: 111
# affected: critic.stem.kernel critic.down.kernel critic.score.kernel
# symptom: dead
# expect: critic.stem.kernel=1.199 critic.down.kernel=3.317 critic.score.kernel=1.409
# also: 75 76 79 80 110 112
"""A DCGAN on 16x16 pictures of rings and discs, with a penalty on the slope of its critic."""

import logging

import keras
import numpy as np
import tensorflow as tf
from keras import layers

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("dcgan")
SIDE, LATENT = 16, 12


def pictures(count, seed=0):
    """Rings and discs at random places, with values between -1 and 1."""
    draw = np.random.default_rng(seed)
    axis = np.linspace(-1.0, 1.0, SIDE)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    centre = draw.uniform(-0.3, 0.3, size=(count, 2, 1, 1))
    radius = draw.uniform(0.3, 0.6, size=(count, 1, 1))
    far = np.sqrt((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2)
    disc = 1.0 / (1.0 + np.exp((far - radius) / 0.05))
    ring = np.exp(-(((far - radius) / 0.1) ** 2))
    chosen = draw.uniform(size=(count, 1, 1)) < 0.5
    return (2.0 * np.where(chosen, disc, ring) - 1.0)[..., None].astype("float32")


class Generator(keras.Model):
    def __init__(self, width=8, **options):
        super().__init__(**options)
        self.project = layers.Dense(4 * 4 * 2 * width, use_bias=False, name="project")
        self.norm = layers.BatchNormalization(name="norm")
        self.fold = layers.Reshape((4, 4, 2 * width))
        self.up = layers.Conv2DTranspose(width, 4, 2, "same", use_bias=False, name="up")
        self.up_norm = layers.BatchNormalization(name="up_norm")
        self.paint = layers.Conv2DTranspose(1, 4, 2, "same", activation="tanh", name="paint")

    def call(self, noise, training=False):
        h = tf.nn.relu(self.norm(self.project(noise), training=training))
        h = tf.nn.relu(self.up_norm(self.up(self.fold(h)), training=training))
        return self.paint(h)


class Critic(keras.Model):
    def __init__(self, width=8, **options):
        super().__init__(**options)
        self.stem = layers.Conv2D(width, 4, 2, "same", name="stem")
        self.down = layers.Conv2D(2 * width, 4, 2, "same", name="down")
        self.drop = layers.Dropout(0.2)
        self.flatten = layers.Flatten()
        self.score = layers.Dense(1, name="score")

    def call(self, images, training=False):
        h = tf.nn.leaky_relu(self.stem(images), 0.2)
        h = tf.nn.leaky_relu(self.down(h), 0.2)
        return self.score(self.flatten(self.drop(h, training=training)))


class SlopePenalty:
    """Keeps the critic's slope small on real pictures, every few steps."""

    def __init__(self, critic, weight=2.0):
        self.critic, self.weight = critic, weight

    def slopes(self, images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            scores = tf.reduce_sum(self.critic(images, training=False))
        return tape.gradient(scores, images)

    def __call__(self, images):
        slopes = self.slopes(images)
        return self.weight * tf.reduce_mean(tf.reduce_sum(slopes**2, axis=[1, 2, 3]))


class Gan(keras.Model):
    def __init__(self, generator, critic):
        super().__init__()
        self.generator, self.critic = generator, critic
        self.penalty = SlopePenalty(critic)
        self.c_mean = keras.metrics.Mean(name="c_loss")
        self.g_mean = keras.metrics.Mean(name="g_loss")
        self.right = keras.metrics.BinaryAccuracy(name="right", threshold=0.0)

    @property
    def metrics(self):
        return [self.c_mean, self.g_mean, self.right]

    def compile(self, c_optimizer, g_optimizer):
        super().compile()
        self.c_optimizer, self.g_optimizer = c_optimizer, g_optimizer

    def noise_like(self, images):
        return tf.random.normal((tf.shape(images)[0], LATENT))

    def critic_step(self, real):
        fake = self.generator(self.noise_like(real), training=True)
        with tf.GradientTape() as tape:
            on_real = self.critic(real, training=True)
            on_fake = self.critic(fake, training=True)
            loss = tf.reduce_mean(tf.nn.softplus(-on_real))
            loss += tf.reduce_mean(tf.nn.softplus(on_fake))
            with tape.stop_recording():
                steepness = self.penalty(real)
            loss += steepness
        variables = self.critic.trainable_variables
        self.c_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        self.c_mean.update_state(loss)
        self.right.update_state(tf.ones_like(on_real), on_real)
        self.right.update_state(tf.zeros_like(on_fake), on_fake)

    def generator_step(self, real):
        with tf.GradientTape() as tape:
            fake = self.generator(self.noise_like(real), training=True)
            loss = tf.reduce_mean(tf.nn.softplus(-self.critic(fake, training=False)))
        variables = self.generator.trainable_variables
        self.g_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        self.g_mean.update_state(loss)

    def train_step(self, real):
        self.critic_step(real)
        self.generator_step(real)
        return {metric.name: metric.result() for metric in self.metrics}


class Report(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        log.info("epoch %d  %s", epoch, {name: round(float(v), 3) for name, v in logs.items()})


def main():
    keras.utils.set_random_seed(101)
    generator, critic = Generator(name="generator"), Critic(name="critic")
    gan = Gan(generator, critic)
    adam = keras.optimizers.Adam
    gan.compile(adam(2e-3, beta_1=0.5), adam(2e-3, beta_1=0.5))
    generator(tf.zeros((1, LATENT)))
    critic(tf.zeros((1, SIDE, SIDE, 1)))
    data = tf.data.Dataset.from_tensor_slices(pictures(64)).batch(16).prefetch(1)
    gan.fit(data, epochs=2, verbose=0, callbacks=[Report()])
    for name in ("stem", "down", "score"):
        kernel = getattr(critic, name).kernel
        print(f"critic.{name}.kernel: {tf.norm(kernel.value):.3f}")


if __name__ == "__main__":
    main()
