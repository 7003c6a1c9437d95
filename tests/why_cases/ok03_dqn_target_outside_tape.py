# cause: none
# line: 0
# affected: -
# symptom: legit: target computed outside of the tape on purpose
# expect: q=nonzero target=None
# also: -
# stops: 20 23
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


q = tf.Variable(tf.random.normal((3, 2)), name="q")
target = tf.Variable(tf.random.normal((3, 2)), trainable=False, name="target")
s, s2 = tf.random.normal((8, 3)), tf.random.normal((8, 3))
r, a = tf.ones(8), tf.zeros(8, tf.int32)
y = r + 0.9 * tf.reduce_max(s2 @ target, axis=1)
with tf.GradientTape() as tape:
    pred = tf.reduce_sum((s @ q) * tf.one_hot(a, 2), axis=1)
    loss = tf.reduce_mean((y - pred) ** 2)
report([q, target], tape.gradient(loss, [q, target]))
