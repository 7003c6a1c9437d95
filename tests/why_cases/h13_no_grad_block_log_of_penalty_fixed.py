# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero slope=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 1)), name="w")
slope = tf.Variable(0.3, name="slope")
x, y = tf.random.normal((8, 3)), tf.random.normal((8, 1))


def penalty(tape, log):
    with tape.stop_recording():
        value = tf.nn.softplus(slope) ** 2
        log.append(value)
    return tf.nn.softplus(slope) ** 2


log = []
with tf.GradientTape() as tape:
    error = tf.reduce_mean((x @ w - y) ** 2)
    loss = error + 0.1 * penalty(tape, log)
report([w, slope], tape.gradient(loss, [w, slope]))
