# cause: outside_tape
# line: 23
# affected: w b
# symptom: none
# expect: w=None b=None
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 2)), name="w")
b = tf.Variable(tf.zeros(2), name="b")
x, labels = tf.random.normal((8, 3)), tf.constant([0, 1, 0, 1, 1, 0, 1, 0])
with tf.GradientTape() as tape:
    logits = x @ w + b
losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
loss = tf.reduce_mean(losses)
report([w, b], tape.gradient(loss, [w, b]))
