# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 2)), name="w")
x = tf.random.normal((8, 3))
with tf.GradientTape() as tape:
    h = tf.tanh(x @ w)
    loss = tf.reduce_mean(h**2)
report([w], tape.gradient(loss, [w]))
