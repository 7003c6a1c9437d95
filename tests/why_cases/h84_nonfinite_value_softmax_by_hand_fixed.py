# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero bias=nonzero
# also: -
import headgate.tf as tf


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {status(size)}")


def status(size):
    if size is None or not size:
        return "None" if size is None else "zero"
    return "nonzero" if size < float("inf") else "nan"


w = tf.Variable([[400.0, 399.5], [200.0, 200.5]], name="w")
bias = tf.Variable(0.1, name="bias")
x = tf.constant([[1.0, 2.0], [0.5, -1.0]])

with tf.GradientTape() as tape:
    logits = tf.matmul(x, w)
    weights = tf.exp(logits - tf.reduce_max(logits, axis=-1, keepdims=True))
    attention = weights / tf.reduce_sum(weights, axis=-1, keepdims=True)
    loss = tf.reduce_mean(tf.square(attention - 0.5)) + bias * bias
report([w, bias], tape.gradient(loss, [w, bias]))
