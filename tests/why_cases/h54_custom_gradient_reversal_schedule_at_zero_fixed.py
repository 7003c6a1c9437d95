# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: feat=nonzero domain=nonzero
# also: -
import numpy as np

import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


feat = tf.Variable(tf.random.normal((4, 3)), name="feat")
domain = tf.Variable(tf.random.normal((3, 1)), name="domain")


def strength(progress):
    return float(2.0 / (1.0 + np.exp(-10.0 * max(progress, 0.01))) - 1.0)


def reverse(x, factor):
    @tf.custom_gradient
    def flipped(x):
        return tf.identity(x), lambda g: -factor * g

    return flipped(x)


x, d = tf.random.normal((8, 4)), tf.cast(tf.random.uniform((8, 1)) > 0.5, tf.float32)
with tf.GradientTape() as tape:
    h = reverse(tf.tanh(x @ feat), strength(0.0))
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=d, logits=h @ domain)
    loss = tf.reduce_mean(losses)
report([feat, domain], tape.gradient(loss, [feat, domain]))
