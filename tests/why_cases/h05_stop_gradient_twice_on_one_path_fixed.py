# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: enc=nonzero temperature=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


enc = tf.Variable(tf.random.normal((3, 4)), name="enc")
temperature = tf.Variable(0.5, name="temperature")


def embed(x):
    h = tf.tanh(x @ enc)
    h = tf.math.l2_normalize(h, axis=1)
    return h


def similarity(anchor, positive):
    scores = tf.matmul(anchor, positive, transpose_b=True)
    return scores


x = tf.random.normal((6, 3))
with tf.GradientTape() as tape:
    scores = similarity(embed(x), embed(x + 0.1 * tf.random.normal((6, 3))))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(6), scores / temperature)
    loss = tf.reduce_mean(losses)
report([enc, temperature], tape.gradient(loss, [enc, temperature]))
