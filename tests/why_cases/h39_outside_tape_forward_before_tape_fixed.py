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
x, y = tf.random.normal((8, 3)), tf.ones((8, 1))
with tf.GradientTape() as tape:
    pred = x @ w + b
    loss = tf.reduce_mean((pred - y) ** 2)
report([w, b], tape.gradient(loss, [w, b]))
