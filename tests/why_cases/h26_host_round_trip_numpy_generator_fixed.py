# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: gen=nonzero disc=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


gen = tf.Variable(tf.random.normal((2, 4)), name="gen")
disc = tf.Variable(tf.random.normal((4, 1)), name="disc")
noise = tf.random.normal((8, 2))


def moments(v):
    return tf.stack([tf.reduce_mean(v, 0), tf.math.reduce_std(v, 0)])


with tf.GradientTape() as tape:
    fake = noise @ gen
    stats = moments(fake)
    loss = tf.reduce_mean(tf.nn.softplus(-(stats @ disc)))
report([gen, disc], tape.gradient(loss, [gen, disc]))
