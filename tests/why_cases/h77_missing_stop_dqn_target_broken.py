# cause: missing_stop
# line: 24
# affected: target
# symptom: leak
# expect: q=nonzero target=nonzero
# also: 25 27
# args: --no-flow 'target*'
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


q = tf.Variable(tf.random.normal((3, 2)), name="q")
target = tf.Variable(tf.random.normal((3, 2)), name="target")
state, next_state = tf.random.normal((8, 3)), tf.random.normal((8, 3))
reward, action = tf.ones(8), tf.constant([0, 1] * 4)
with tf.GradientTape() as tape:
    next_value = tf.reduce_max(next_state @ target, axis=1)
    goal = reward + 0.9 * next_value
    value = tf.reduce_sum((state @ q) * tf.one_hot(action, 2), axis=1)
    loss = tf.reduce_mean((goal - value) ** 2)
report([q, target], tape.gradient(loss, [q, target]))
