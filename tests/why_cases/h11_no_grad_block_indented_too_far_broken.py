# cause: no_grad_block
# line: 27
# affected: enc
# symptom: none
# expect: enc=None dec=nonzero
# also: 24 25
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


enc = tf.Variable(tf.random.normal((3, 4)), name="enc")
dec = tf.Variable(tf.random.normal((4, 1)), name="dec")
x = tf.random.normal((8, 3))
history = []
with tf.GradientTape() as tape:
    h = tf.tanh(x @ enc)
    with tape.stop_recording():
        spread = tf.math.reduce_std(h)
        history.append(float(spread))
        h = h / (spread + 1e-6)
    loss = tf.reduce_mean((h @ dec - 1.0) ** 2)
report([enc, dec], tape.gradient(loss, [enc, dec]))
