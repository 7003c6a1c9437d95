# cause: zero_derivative
# line: 26
# affected: w b
# symptom: zero
# expect: w=zero b=zero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.ones((4, 1)), name="w")
b = tf.Variable(1.0, name="b")
pixels = tf.random.uniform((8, 4), 100.0, 255.0)
y = tf.constant([[0.0], [1.0]] * 4)


def forward(pixels):
    x = pixels
    return tf.sigmoid(x @ w + b)


with tf.GradientTape() as tape:
    loss = tf.reduce_mean((forward(pixels) - y) ** 2)
report([w, b], tape.gradient(loss, [w, b]))
