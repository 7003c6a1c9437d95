# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero b=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 1)), name="w")
b = tf.Variable(0.1, name="b")
x, valid = tf.random.normal((8, 3)), tf.ones(8)
with tf.GradientTape() as tape:
    s = tf.squeeze(x @ w, axis=1)
    kept = tf.boolean_mask(s, valid > 0.0)
    loss = tf.reduce_sum((kept - 1.0) ** 2) + b**2
report([w, b], tape.gradient(loss, [w, b]))
