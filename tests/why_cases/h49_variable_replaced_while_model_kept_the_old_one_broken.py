# cause: variable_replaced
# line: 27
# affected: w
# symptom: none
# expect: w=None b=nonzero
# also: -
import numpy as np

import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


def orthogonal(size):
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))
    return q.astype(np.float32)


params = {"w": tf.Variable(tf.eye(4), name="w"), "b": tf.Variable(tf.zeros(4), name="b")}
cell = dict(params)
params["w"] = tf.Variable(orthogonal(4), name="w")
sequence = tf.random.normal((5, 1, 4))
with tf.GradientTape() as tape:
    h = tf.zeros((1, 4))
    for t in range(5):
        h = tf.tanh(h @ cell["w"] + sequence[t] + cell["b"])
    loss = tf.reduce_mean((h - 0.5) ** 2)
weights = [params["w"], params["b"]]
report(weights, tape.gradient(loss, weights))
