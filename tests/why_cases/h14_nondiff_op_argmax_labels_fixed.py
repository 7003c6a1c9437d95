# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 4)), name="w")
x = tf.random.normal((8, 3))
y = tf.constant([0, 1, 2, 3, 0, 1, 2, 3])
with tf.GradientTape() as tape:
    logits = x @ w
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
report([w], tape.gradient(loss, [w]))
