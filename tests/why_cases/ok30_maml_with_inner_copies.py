# cause: none
# line: 0
# affected: -
# symptom: legit: the weights adapted to a task are thrown away after it
# expect: meta_0=1.007
# also: -
import numpy as np

import headgate.tf as tf

rng = np.random.default_rng(10)
SHAPES = [(1, 8), (8,), (8, 1)]
meta = [tf.Variable(0.5 * rng.normal(size=s), name=f"meta_{i}") for i, s in enumerate(SHAPES)]
optimizer = tf.keras.optimizers.Adam(0.01)


def model(weights, x):
    w1, b1, w2 = weights
    return tf.tanh(x @ w1 + b1) @ w2


def mse(weights, x, y):
    return tf.reduce_mean(tf.square(model(weights, x) - y))


def task():
    phase = rng.uniform(0.0, np.pi)
    x = rng.uniform(-2.0, 2.0, size=(10, 1))
    return x, np.sin(x + phase)


def adapted(x, y, steps=2):
    fast = [tf.identity(w) for w in meta]
    for _ in range(steps):
        with tf.GradientTape() as inner:
            inner.watch(fast)
            loss = mse(fast, x, y)
        fast = [w - 0.05 * g for w, g in zip(fast, inner.gradient(loss, fast))]
    return fast


for _step in range(3):
    with tf.GradientTape() as outer:
        total = 0.0
        for x, y in (task() for _ in range(2)):
            total += mse(adapted(x[:5], y[:5]), x[5:], y[5:])
    optimizer.apply_gradients(zip(outer.gradient(total, meta), meta))
# the unseen task, with copies of the weights that belong to nobody else
x, y = task()
copies = [tf.Variable(w, name=f"copy_{i}") for i, w in enumerate(meta)]
test_optimizer = tf.keras.optimizers.SGD(0.05)
for _ in range(3):
    with tf.GradientTape() as tape:
        loss = mse(copies, x, y)
    test_optimizer.apply_gradients(zip(tape.gradient(loss, copies), copies))
print(f"meta_0: {float(tf.norm(meta[0])):.3f}")
