# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: embed=nonzero rec=nonzero out=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


embed = tf.Variable(0.5 * tf.random.normal((10, 4)), name="embed")
rec = tf.Variable(0.5 * tf.random.normal((4, 4)), name="rec")
out = tf.Variable(tf.zeros(1), name="out")
tokens = tf.constant([[1, 2, 3, 4], [5, 6, 7, 8]])
lengths = tf.constant([4, 4])


def pooled(tokens):
    h = tf.tanh(tf.gather(embed, tokens) @ rec)
    padding = tf.range(4) < tf.expand_dims(lengths, 1)
    h = h * tf.expand_dims(tf.cast(padding, tf.float32), -1)
    return tf.reduce_sum(h, axis=[1, 2])


with tf.GradientTape() as tape:
    loss = tf.reduce_mean((pooled(tokens) + out - 1.0) ** 2)
weights = [embed, rec, out]
report(weights, tape.gradient(loss, weights))
