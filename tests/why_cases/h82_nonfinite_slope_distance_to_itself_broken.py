# cause: nonfinite_slope
# line: 28
# affected: codes
# symptom: not finite
# expect: codes=nan scale=nonzero
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


codes = tf.Variable([[1.0, 2.0], [0.5, -1.0], [2.0, 0.0]], name="codes")
scale = tf.Variable(2.0, name="scale")

with tf.GradientTape() as tape:
    apart = codes[:, None, :] - codes[None, :, :]
    squares = tf.reduce_sum(tf.square(apart), axis=-1)
    distances = tf.sqrt(squares)
    loss = tf.reduce_mean(tf.square(distances - 1.0)) * scale
report([codes, scale], tape.gradient(loss, [codes, scale]))
