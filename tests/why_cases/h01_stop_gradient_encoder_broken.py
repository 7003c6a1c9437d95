# cause: stop_gradient
# line: 23
# affected: enc
# symptom: none
# expect: enc=None dec=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


enc = tf.Variable(tf.random.normal((3, 4)), name="enc")
dec = tf.Variable(tf.random.normal((4, 1)), name="dec")
x = tf.random.normal((8, 3))
with tf.GradientTape() as tape:
    h = tf.tanh(x @ enc)
    h = tf.stop_gradient(h)
    loss = tf.reduce_mean((h @ dec) ** 2)
report([enc, dec], tape.gradient(loss, [enc, dec]))
