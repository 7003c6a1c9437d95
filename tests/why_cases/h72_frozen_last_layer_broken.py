# cause: frozen
# line: 24
# affected: out/kernel out/bias
# symptom: absent
# expect: hid/kernel=nonzero hid/bias=nonzero out/kernel=absent out/bias=absent
# also: -
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


net = keras.Sequential(
    [keras.layers.Dense(4, activation="tanh", name="hid"), keras.layers.Dense(1, name="out")]
)
net.build((None, 3))
x = tf.random.normal((8, 3))
net.layers[-1].trainable = False
with tf.GradientTape() as tape:
    loss = tf.reduce_mean((net(x) - 1.0) ** 2)
weights = net.trainable_variables
report(weights, tape.gradient(loss, weights))
for v in net.variables:
    if not any(v is u for u in weights):
        print(f"{v.name}: absent")
