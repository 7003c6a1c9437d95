# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: seg=learns depth=learns
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)

trunk = keras.layers.Dense(6, activation="tanh", name="trunk")
heads = {name: keras.layers.Dense(size) for name, size in {"seg": 3, "depth": 1}.items()}
log_vars = {task: tf.Variable(0.0, name=task) for task in heads}
optimizer = keras.optimizers.Adam(0.01)


def task_losses(x, labels, depth):
    h = trunk(x)
    logits, guess = heads["seg"](h), heads["depth"](h)
    seg = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return {"seg": tf.reduce_mean(seg), "depth": tf.reduce_mean(tf.square(guess - depth))}


def weighted(losses):
    """Kendall et al. 2018: each task's loss is weighted by its uncertainty, which is learnt."""
    total = 0.0
    for task, loss in losses.items():
        total += tf.exp(-log_vars[task]) * loss + log_vars[task]
    return total


rng = np.random.default_rng(1)
for _step in range(4):
    x = rng.normal(size=(12, 4)).astype("float32")
    labels = np.argmax(x[:, :3], axis=1)
    with tf.GradientTape() as tape:
        loss = weighted(task_losses(x, labels, x[:, :1] ** 2))
    weights = trunk.trainable_variables
    for head in heads.values():
        weights = weights + head.trainable_variables
    weights += list(log_vars.values())
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights))
for task, v in log_vars.items():
    print(f"{task}: {'still' if float(v) == 0.0 else 'learns'}")
