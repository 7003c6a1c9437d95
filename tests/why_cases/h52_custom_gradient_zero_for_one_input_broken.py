# cause: custom_gradient
# line: 26
# affected: scale
# symptom: zero
# expect: w=nonzero scale=zero
# also: 32
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 1)), name="w")
scale = tf.Variable(1.5, name="scale")
x = tf.random.normal((8, 3))


@tf.custom_gradient
def scaled(h, s):
    def grad(g):
        return g * s, tf.zeros_like(s)

    return h * s, grad


with tf.GradientTape() as tape:
    loss = tf.reduce_mean((scaled(x @ w, scale) - 1.0) ** 2)
report([w, scale], tape.gradient(loss, [w, scale]))
