# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: gate=nonzero experts=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


gate = tf.Variable(tf.random.normal((4, 3)), name="gate")
experts = tf.Variable(tf.random.normal((3, 4, 2)), name="experts")
x, y = tf.random.normal((10, 4)), tf.random.normal((10, 2))
with tf.GradientTape() as tape:
    logits = x @ gate
    _, chosen = tf.math.top_k(logits, k=1)
    choice = tf.one_hot(chosen[:, 0], 3)
    share = choice * tf.nn.softmax(logits)
    outputs = tf.expand_dims(x, 0) @ experts
    mixed = tf.reduce_sum(tf.expand_dims(tf.transpose(share), -1) * outputs, axis=0)
    loss = tf.reduce_mean((mixed - y) ** 2)
report([gate, experts], tape.gradient(loss, [gate, experts]))
