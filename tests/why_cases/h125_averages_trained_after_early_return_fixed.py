# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=1.204
# also: -
import numpy as np

import headgate.tf as tf
from headgate.optim import ExponentialMovingAverage

rng = np.random.default_rng(1)
w = tf.Variable(rng.normal(size=(5, 1)), name="w")
average = ExponentialMovingAverage([w], decay=0.9)
optimizer = tf.keras.optimizers.Adam(0.05)
truth = rng.normal(size=(5, 1))
best = [1e9]


def error_of(x):
    return tf.reduce_mean(tf.square(x @ w - x @ truth))


def validate(x):
    """The error of the averaged weights, as that is what will be shipped."""
    average.swap()
    error = float(error_of(x))
    if error < best[0]:
        best[0] = error
        average.swap()
        return True
    average.swap()
    return False


x_held = rng.normal(size=(20, 5))
for step in range(12):
    x = rng.normal(size=(10, 5))
    with tf.GradientTape() as tape:
        loss = error_of(x)
    optimizer.apply_gradients(zip(tape.gradient(loss, [w]), [w]))
    if not average.swapped:
        average.update()
    if step % 3 == 2:
        validate(x_held)
print(f"w: {float(tf.norm(w)):.3f}")
