# cause: nonfinite_value
# line: 27
# affected: w
# symptom: not finite
# expect: w=nan bias=nonzero
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


w = tf.Variable([[0.5, 0.4], [0.5, 0.6], [0.5, 0.3]], name="w")
bias = tf.Variable(0.1, name="bias")
x = tf.constant([[300.0, 200.0, 100.0], [30000.0, 60000.0, 50000.0]], "float16")

with tf.GradientTape() as tape:
    logits = tf.matmul(x, tf.cast(w, "float16"))
    logits = tf.cast(logits, "float32")
    weights = tf.nn.softmax(logits)
    loss = tf.reduce_mean(tf.square(weights - 0.2)) + bias * bias
report([w, bias], tape.gradient(loss, [w, bias]))
