# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w1=nonzero b1=nonzero w2=nonzero b2=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w1 = tf.Variable(tf.random.normal((3, 4)), name="w1")
b1 = tf.Variable(tf.zeros(4), name="b1")
w2 = tf.Variable(tf.random.normal((4, 1)), name="w2")
b2 = tf.Variable(tf.zeros(1), name="b2")
x = tf.random.normal((8, 3))


def forward(x):
    h = tf.tanh(x @ w1 + b1)
    return h @ w2 + b2


with tf.GradientTape() as tape:
    loss = tf.reduce_mean((forward(x) - 1.0) ** 2)
weights = [w1, b1, w2, b2]
report(weights, tape.gradient(loss, weights))
