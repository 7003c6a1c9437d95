# cause: none
# line: 0
# affected: -
# symptom: legit: the loss is computed again outside of the tape, and its gradient only measured
# expect: held=6
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(20)
rng = np.random.default_rng(20)
model = keras.Sequential([keras.layers.Dense(5, activation="relu"), keras.layers.Dense(3)])
model.build((None, 4))
optimizers = [keras.optimizers.SGD(0.05), keras.optimizers.Adam(0.01)]
weights = model.trainable_variables
parts = [weights[:2], weights[2:]]


def loss_of(x, labels):
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=model(x))
    return tf.reduce_mean(losses)


x_held = rng.normal(size=(20, 4)).astype("float32")
labels_held = np.argmax(x_held[:, :3], axis=1)
held, noise_scale = [], []
for step in range(6):
    x = rng.normal(size=(8, 4)).astype("float32")
    labels = np.argmax(x[:, :3], axis=1)
    with tf.GradientTape() as tape:
        loss = loss_of(x, labels)
    gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), 1.0)
    for optimizer, start, part in zip(optimizers, (0, 2), parts):
        optimizer.apply_gradients(zip(gradients[start : start + 2], part))
    held.append(float(loss_of(x_held, labels_held)))
    if step % 3 == 0:
        with tf.GradientTape() as tape:
            on_held = loss_of(x_held, labels_held)
        noise_scale.append(float(tf.global_norm(tape.gradient(on_held, weights))))
print(f"held: {len(held)}")
