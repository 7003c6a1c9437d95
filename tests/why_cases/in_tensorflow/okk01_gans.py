# cause: none
# line: 0
# affected: -
# symptom: legit: each step of a GAN trains one net only, with penalties and averages beside
# expect: plain.generator=learns plain.critic=learns penalty.generator=learns penalty.critic=learns fit.generator=learns fit.critic=learns
# also: -
# stops: 61
"""A GAN by two tapes, a Wasserstein GAN with a gradient penalty, and a GAN in Keras' fit."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(301)
dense = keras.layers.Dense


def nets():
    generator = keras.Sequential([keras.Input((3,)), dense(12, "relu"), dense(2)])
    critic = keras.Sequential([keras.Input((2,)), dense(12, "leaky_relu"), dense(1)])
    return generator, critic


def real(count):
    return tf.random.normal((count, 2)) * 0.5 + 2.0


def plain(steps=4):
    generator, critic = nets()
    g_optimizer, c_optimizer = keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2)
    bce = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(images):
        noise = tf.random.normal((16, 3))
        with tf.GradientTape() as g_tape, tf.GradientTape() as c_tape:
            fake = generator(noise, training=True)
            on_real, on_fake = critic(images), critic(fake)
            g_loss = bce(tf.ones_like(on_fake), on_fake)
            c_loss = bce(tf.ones_like(on_real), on_real) + bce(tf.zeros_like(on_fake), on_fake)
        g_gradients = g_tape.gradient(g_loss, generator.trainable_variables)
        c_gradients = c_tape.gradient(c_loss, critic.trainable_variables)
        g_optimizer.apply_gradients(zip(g_gradients, generator.trainable_variables))
        c_optimizer.apply_gradients(zip(c_gradients, critic.trainable_variables))
        return g_loss, c_loss

    for _ in range(steps):
        step(real(16))
    return generator, critic


def penalty(steps=3, critic_steps=2):
    generator, critic = nets()
    slow = keras.models.clone_model(generator)
    slow.set_weights(generator.get_weights())
    g_optimizer, c_optimizer = keras.optimizers.RMSprop(5e-3), keras.optimizers.RMSprop(5e-3)
    for _ in range(steps):
        for _ in range(critic_steps):
            images = real(16)
            with tf.GradientTape() as tape:
                fake = tf.stop_gradient(generator(tf.random.normal((16, 3))))
                share = tf.random.uniform((16, 1))
                between = share * images + (1.0 - share) * fake
                with tf.GradientTape() as inner:
                    inner.watch(between)
                    score = critic(between)
                slopes = tf.norm(inner.gradient(score, between), axis=1)
                loss = tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(images))
                loss += 10.0 * tf.reduce_mean(tf.square(slopes - 1.0))
            gradients = tape.gradient(loss, critic.trainable_variables)
            c_optimizer.apply_gradients(zip(gradients, critic.trainable_variables))
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(critic(generator(tf.random.normal((16, 3)))))
        gradients = tape.gradient(loss, generator.trainable_variables)
        g_optimizer.apply_gradients(zip(gradients, generator.trainable_variables))
        for a, b in zip(slow.variables, generator.variables):
            a.assign(0.9 * a + 0.1 * b)
    assert np.isfinite(slow(tf.random.normal((4, 3)))).all()
    return generator, critic


class Gan(keras.Model):
    def __init__(self):
        super().__init__()
        self.generator, self.critic = nets()
        self.mean = keras.metrics.Mean(name="loss")
        self.loss_of = keras.losses.BinaryCrossentropy(from_logits=True)

    def compile(self, g_optimizer, c_optimizer):
        super().compile()
        self.g_optimizer, self.c_optimizer = g_optimizer, c_optimizer

    def train_step(self, images):
        count = tf.shape(images)[0]
        fake = self.generator(tf.random.normal((count, 3)))
        both = tf.concat([fake, images], axis=0)
        labels = tf.concat([tf.ones((count, 1)), tf.zeros((count, 1))], axis=0)
        labels += 0.05 * tf.random.uniform(tf.shape(labels))
        with tf.GradientTape() as tape:
            c_loss = self.loss_of(labels, self.critic(both))
        gradients = tape.gradient(c_loss, self.critic.trainable_weights)
        self.c_optimizer.apply_gradients(zip(gradients, self.critic.trainable_weights))
        with tf.GradientTape() as tape:
            scores = self.critic(self.generator(tf.random.normal((count, 3))))
            g_loss = self.loss_of(tf.zeros((count, 1)), scores)
        gradients = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(gradients, self.generator.trainable_weights))
        self.mean.update_state(g_loss)
        return {"loss": self.mean.result(), "critic": c_loss}


def fit():
    gan = Gan()
    gan.compile(keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2))
    gan.fit(real(48), batch_size=16, epochs=2, verbose=0)
    return gan.generator, gan.critic


for train in (plain, penalty, fit):
    keras.utils.set_random_seed(7)
    trained = train()
    keras.utils.set_random_seed(7)
    for name, net, fresh in zip(("generator", "critic"), trained, nets()):
        # A last bias that both sides of a difference have does not move.
        pairs = zip(net.variables[:-1], fresh.variables)
        moved = all((a.numpy() != b.numpy()).any() for a, b in pairs)
        print(f"{train.__name__}.{name}: {'learns' if moved else 'still'}")
