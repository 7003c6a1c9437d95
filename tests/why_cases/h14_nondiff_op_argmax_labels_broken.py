# cause: nondiff_op
# line: 23
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


w = tf.Variable(tf.random.normal((3, 4)), name="w")
x = tf.random.normal((8, 3))
y = tf.constant([0, 1, 2, 3, 0, 1, 2, 3])
with tf.GradientTape() as tape:
    logits = x @ w
    pred = tf.argmax(logits, axis=1)
    loss = tf.reduce_mean(tf.cast((pred - tf.cast(y, tf.int64)) ** 2, tf.float32))
report([w], tape.gradient(loss, [w]))
