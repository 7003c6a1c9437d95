# cause: none
# line: 0
# affected: -
# symptom: legit: a metric is computed in the tape without being recorded
# expect: w=nonzero b=nonzero
# also: -
# stops: 26
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w, b = tf.Variable(tf.random.normal((3, 2)), name="w"), tf.Variable(tf.zeros(2), name="b")
x, labels = tf.random.normal((8, 3)), tf.constant([0, 1, 0, 1, 1, 0, 1, 0])
log = []
with tf.GradientTape() as tape:
    logits = x @ w + b
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    with tape.stop_recording():
        perplexity = tf.exp(tf.reduce_mean(losses))
        log.append(perplexity)
    loss = tf.reduce_mean(losses)
report([w, b], tape.gradient(loss, [w, b]))
