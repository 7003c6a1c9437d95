# cause: none
# line: 0
# affected: -
# symptom: legit: the target network follows by a moving average
# expect: online=nonzero predict=nonzero
# also: -
# stops: 21 34 38
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


online = tf.Variable(tf.random.normal((5, 4)), name="online")
predict = tf.Variable(tf.random.normal((4, 4)), name="predict")
target = tf.Variable(online, trainable=False, name="target")
optimizer = tf.keras.optimizers.SGD(0.1)
x = tf.random.normal((8, 5))


def distance(a, b):
    a, b = tf.math.l2_normalize(a, axis=1), tf.math.l2_normalize(b, axis=1)
    return -tf.reduce_mean(tf.reduce_sum(a * b, axis=1))


for _step in range(3):
    view1, view2 = (x + 0.1 * tf.random.normal((8, 5)) for _ in range(2))
    with tf.GradientTape() as tape:
        goal = tf.stop_gradient(tf.tanh(view2 @ target))
        loss = distance(tf.tanh(view1 @ online) @ predict, goal)
    gradients = tape.gradient(loss, [online, predict])
    optimizer.apply_gradients(zip(gradients, [online, predict]))
    target.assign(0.9 * target + 0.1 * online)
report([online, predict], gradients)
