# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero state=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3,)), name="w")
state = tf.Variable(tf.zeros(3), name="state")
with tf.GradientTape() as tape:
    total = state + w * 2.0
    loss = tf.reduce_sum((total - 1.0) ** 2)
report([w, state], tape.gradient(loss, [w, state]))
