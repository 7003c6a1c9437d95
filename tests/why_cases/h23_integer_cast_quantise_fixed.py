# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero scale=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 1)), name="w")
scale = tf.Variable(0.1, name="scale")
x = tf.random.normal((8, 3))


def quantise(v):
    q = v / scale
    q = q + tf.stop_gradient(tf.cast(tf.cast(q, tf.int32), tf.float32) - q)
    return tf.cast(q, tf.float32) * scale


with tf.GradientTape() as tape:
    loss = tf.reduce_mean((x @ quantise(w) - 1.0) ** 2)
report([w, scale], tape.gradient(loss, [w, scale]))
