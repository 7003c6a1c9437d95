# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: critic/kernel=learns
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)
rng = np.random.default_rng(0)

generator = keras.Sequential([keras.layers.Dense(6, activation="relu"), keras.layers.Dense(2)])
critic = keras.layers.Dense(1, use_bias=False, name="critic")
critic.build((None, 2))
critic_optimizer = keras.optimizers.RMSprop(0.01)
generator_optimizer = keras.optimizers.RMSprop(0.001)


def critic_step(real, noise):
    batches = {"real": real, "fake": generator(noise)}
    with tf.GradientTape() as tape:
        scores = {name: tf.reduce_mean(critic(batch)) for name, batch in batches.items()}
        loss = scores["fake"] - scores["real"]
    weights = critic.trainable_variables
    critic_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    for w in weights:
        w.assign(tf.clip_by_value(w, -1.0, 1.0))


def generator_step(noise):
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(critic(generator(noise)))
    weights = generator.trainable_variables
    generator_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))


before = critic.kernel.numpy()
for _step in range(4):
    real = rng.normal(size=(16, 2)).astype("float32") + 2.0
    noise = rng.normal(size=(16, 3)).astype("float32")
    critic_step(real, noise)
    generator_step(noise)
moved = np.abs(critic.kernel.numpy() - np.clip(before, -1.0, 1.0)).max() > 1e-6
print(f"critic/kernel: {'learns' if moved else 'still'}")
