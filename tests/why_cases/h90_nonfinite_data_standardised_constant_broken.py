# cause: nonfinite_data
# line: 31
# affected: w
# symptom: not finite
# expect: w=nan offset=nonzero
# also: -
import numpy as np

import headgate.tf as tf


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {status(size)}")


def status(size):
    if size is None or not size:
        return "None" if size is None else "zero"
    return "nonzero" if size < float("inf") else "nan"


w = tf.Variable([[0.5], [-1.0]], name="w")
offset = tf.Variable(0.2, name="offset")
table = np.array([[1.0, 3.0], [2.0, 3.0], [4.0, 3.0]])
with np.errstate(invalid="ignore"):
    x = ((table - table.mean(axis=0)) / table.std(axis=0)).astype("float32")

with tf.GradientTape() as tape:
    h = tf.matmul(x, w)
    loss = tf.reduce_mean(tf.square(h - 1.0)) + offset * offset
report([w, offset], tape.gradient(loss, [w, offset]))
