# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: dense/kernel=2.250 dense/bias=0.158 dense_1/kernel=1.669 dense_1/bias=0.130
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(1)

restore = keras.Sequential(
    [
        keras.layers.Dense(5, activation="tanh", name="dense"),
        keras.layers.Dense(4, name="dense_1"),
    ]
)
judge = keras.layers.Dense(1, name="judge")
restore.build((None, 4))
judge.build((None, 4))
restore_optimizer = keras.optimizers.Adam(0.02)
judge_optimizer = keras.optimizers.SGD(0.05)
cross = keras.losses.BinaryCrossentropy(from_logits=True)
rng = np.random.default_rng(3)


class Losses:
    """What the last step cost, by name."""

    def __init__(self):
        self.values = {}

    def note(self, name, loss):
        self.values[name] = loss
        return self.values[name]


def judge_step(clean, restored):
    with tf.GradientTape() as tape:
        on_clean, on_restored = judge(clean), judge(restored)
        loss = cross(tf.ones_like(on_clean), on_clean)
        loss += cross(tf.zeros_like(on_restored), on_restored)
    weights = judge.trainable_variables
    judge_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))


def restore_step(noisy, clean, losses):
    with tf.GradientTape() as tape:
        restored = restore(noisy)
        verdict = judge(restored)
        adversarial = losses.note("adversarial", cross(tf.ones_like(verdict), verdict))
        content = losses.note("content", tf.reduce_mean(tf.abs(restored - clean)))
        loss = tf.reduce_mean(tf.square(restored - clean)) + 0.5 * adversarial
    weights = restore.trainable_variables
    restore_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    return restored, float(content)


losses = Losses()
for _step in range(4):
    clean = rng.normal(size=(8, 4)).astype("float32")
    noisy = clean + 0.3 * rng.normal(size=(8, 4)).astype("float32")
    restored, content = restore_step(noisy, clean, losses)
    judge_step(clean, tf.stop_gradient(restored))
for layer in restore.layers:
    for v in layer.trainable_variables:
        print(f"{v.name}: {float(tf.norm(v)):.3f}")
