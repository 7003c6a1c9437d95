# cause: nonfinite_slope
# line: 28
# affected: w
# symptom: not finite
# expect: w=nan gain=nonzero
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


w = tf.Variable([[0.5, -1.0], [1.0, 2.0]], name="w")
gain = tf.Variable(1.0, name="gain")
x = tf.constant([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])

with tf.GradientTape() as tape:
    h = tf.matmul(x, w)
    spread = tf.math.reduce_std(h, axis=0)
    loss = tf.reduce_mean(h) * gain - tf.reduce_mean(spread)
report([w, gain], tape.gradient(loss, [w, gain]))
