# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: rates_0=learns rates_1=learns
# also: -
import numpy as np

import headgate.tf as tf

rng = np.random.default_rng(0)
SHAPES = [(1, 6), (6, 1)]
meta = [tf.Variable(0.5 * rng.normal(size=s), name=f"meta_{i}") for i, s in enumerate(SHAPES)]
rates = [tf.Variable(np.full(s, 0.05), name=f"rates_{i}") for i, s in enumerate(SHAPES)]
optimizer = tf.keras.optimizers.Adam(0.01)


def model(weights, x):
    return tf.tanh(x @ weights[0]) @ weights[1]


def mse(weights, x, y):
    return tf.reduce_mean(tf.square(model(weights, x) - y))


def adapt(x, y):
    """One step from the meta-parameters, with a step size for each weight (Li et al. 2017)."""
    with tf.GradientTape() as inner:
        loss = mse(meta, x, y)
    gradients = inner.gradient(loss, meta)
    return [w - rate * g for w, rate, g in zip(meta, rates, gradients)]


def sinusoid():
    phase = rng.uniform(0.0, np.pi)
    x = rng.uniform(-2.0, 2.0, size=(10, 1))
    return x, np.sin(x + phase)


for _step in range(3):
    with tf.GradientTape() as outer:
        total = 0.0
        for _task in range(2):
            x, y = sinusoid()
            total += mse(adapt(x[:5], y[:5]), x[5:], y[5:])
    trained = meta + rates
    gradients = outer.gradient(total, trained)
    optimizer.apply_gradients(zip(gradients, trained))
for r in rates:
    print(f"{r.name}: {'still' if (r.numpy() == 0.05).all() else 'learns'}")
