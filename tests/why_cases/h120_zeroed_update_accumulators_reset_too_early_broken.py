# cause: zeroed_update
# line: 22
# affected: w b
# symptom: not updated
# expect: w=still b=still
# also: 37 38
import numpy as np

import headgate.tf as tf

rng = np.random.default_rng(9)
w = tf.Variable(rng.normal(size=(4, 2)), name="w")
b = tf.Variable(np.zeros(2), name="b")
weights = [w, b]
totals = [tf.Variable(tf.zeros_like(v), trainable=False, name=f"total_{v.name}") for v in weights]
optimizer = tf.keras.optimizers.SGD(0.1)
ACCUMULATE = 2


def reset():
    for total in totals:
        total.assign(tf.zeros_like(total))


def micro_step(x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(x @ w + b - y)) / ACCUMULATE
    for total, gradient in zip(totals, tape.gradient(loss, weights)):
        total.assign_add(gradient)


start = {v.name: v.numpy() for v in weights}
for step in range(6):
    x = tf.constant(rng.normal(size=(4, 4)))
    micro_step(x, x[:, :2] * 0.5)
    if (step + 1) % ACCUMULATE == 0:
        reset()
        optimizer.apply_gradients(zip(totals, weights))
for v in weights:
    print(f"{v.name}: {'learns' if (v.numpy() != start[v.name]).any() else 'still'}")
