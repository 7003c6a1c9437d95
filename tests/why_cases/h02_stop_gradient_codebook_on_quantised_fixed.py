# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: enc=nonzero codebook=nonzero dec=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


enc = tf.Variable(tf.random.normal((3, 2)), name="enc")
codebook = tf.Variable(tf.random.normal((4, 2)), name="codebook")
dec = tf.Variable(tf.random.normal((2, 3)), name="dec")
x = tf.random.normal((8, 3))
with tf.GradientTape() as tape:
    e = x @ enc
    distance = tf.reduce_sum((tf.expand_dims(e, 1) - codebook) ** 2, axis=-1)
    q = tf.gather(codebook, tf.argmin(distance, axis=1))
    st = e + tf.stop_gradient(q - e)
    recon = tf.reduce_mean((st @ dec - x) ** 2)
    codebook_loss = tf.reduce_mean((q - tf.stop_gradient(e)) ** 2)
    commitment = tf.reduce_mean((e - tf.stop_gradient(q)) ** 2)
    loss = recon + codebook_loss + 0.25 * commitment
weights = [enc, codebook, dec]
report(weights, tape.gradient(loss, weights))
