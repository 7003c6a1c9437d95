# cause: integer_cast
# line: 27
# affected: gate
# symptom: none
# expect: query=nonzero gate=None
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


query = tf.Variable(tf.random.normal((4, 4)), name="query")
gate = tf.Variable(tf.random.normal((4, 1)), name="gate")
tokens, wanted = tf.random.normal((6, 4)), tf.random.normal((6, 4))


def attend(tokens):
    scores = tf.matmul(tokens @ query, tokens, transpose_b=True)
    weights = tf.nn.softmax(scores)
    use = tf.sigmoid(tokens @ gate) * 2.0
    use = tf.cast(tf.cast(use, tf.uint8), tf.float32)
    return use * (weights @ tokens)


with tf.GradientTape() as tape:
    loss = tf.reduce_mean((attend(tokens) - wanted) ** 2)
report([query, gate], tape.gradient(loss, [query, gate]))
