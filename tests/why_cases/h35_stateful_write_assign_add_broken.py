# cause: stateful_write
# line: 21
# affected: w
# symptom: none
# expect: w=None state=nonzero
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
    state.assign_add(w * 2.0)
    loss = tf.reduce_sum((state - 1.0) ** 2)
report([w, state], tape.gradient(loss, [w, state]))
