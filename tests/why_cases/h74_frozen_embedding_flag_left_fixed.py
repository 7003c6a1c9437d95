# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: embed=nonzero out=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


embed = tf.Variable(tf.random.normal((10, 4)), name="embed")
out = tf.Variable(tf.random.normal((4, 1)), name="out")
tokens = tf.constant([[1, 2, 3], [4, 5, 6]])
with tf.GradientTape() as tape:
    h = tf.reduce_mean(tf.gather(embed, tokens), axis=1)
    loss = tf.reduce_mean((h @ out - 1.0) ** 2)
report([embed, out], tape.gradient(loss, [embed, out]))
