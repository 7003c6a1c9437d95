# cause: nondiff_op
# line: 24
# affected: w
# symptom: none
# expect: w=None
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 1)), name="w")
x = tf.random.normal((16, 3))
y = tf.cast(tf.random.uniform((16, 1)) > 0.5, tf.float32)


def f1_loss(y, p):
    p = tf.cast(p > 0.5, tf.float32)
    true_positives = tf.reduce_sum(p * y)
    return 1.0 - 2.0 * true_positives / (tf.reduce_sum(p) + tf.reduce_sum(y) + 1e-6)


with tf.GradientTape() as tape:
    loss = f1_loss(y, tf.sigmoid(x @ w))
report([w], tape.gradient(loss, [w]))
