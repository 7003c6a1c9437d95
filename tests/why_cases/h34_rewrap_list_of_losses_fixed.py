# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: net/kernel=nonzero net/bias=nonzero
# also: -
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


net = keras.layers.Dense(1, name="net")
x, y = tf.random.normal((8, 3)), tf.random.normal((8, 1))
with tf.GradientTape() as tape:
    parts = []
    for i in range(8):
        parts.append(tf.reduce_sum((net(x[i : i + 1]) - y[i]) ** 2))
    loss = tf.reduce_mean(tf.stack(parts))
report(net.trainable_variables, tape.gradient(loss, net.trainable_variables))
