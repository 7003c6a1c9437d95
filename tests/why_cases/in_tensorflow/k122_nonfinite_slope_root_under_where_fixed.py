# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero b=nonzero
# also: -
import tensorflow as tf

tf.random.set_seed(22)

w = tf.Variable(tf.random.normal((4, 3)), name="w")
b = tf.Variable(tf.zeros(3), name="b")


def signed_root(x):
    size = tf.abs(x)
    root = tf.where(size > 0.0, size, 1.0) ** 0.5
    return tf.where(size > 0.0, tf.sign(x) * root, 0.0)


@tf.function
def loss_and_gradients(x, y):
    with tf.GradientTape() as tape:
        h = x @ w + b
        loss = tf.reduce_mean(tf.square(signed_root(h) - y))
    return loss, tape.gradient(loss, [w, b])


x = tf.pad(tf.random.normal((14, 4)), [[0, 2], [0, 0]])
for _step in range(3):
    loss, gradients = loss_and_gradients(x, tf.abs(x[:, :3]))
    for variable, gradient in zip((w, b), gradients):
        variable.assign_sub(0.1 * gradient)
for name, g in zip("wb", gradients):
    finite = tf.reduce_all(tf.math.is_finite(g))
    print(f"{name}: {'nan' if not finite else 'nonzero' if tf.reduce_any(g != 0) else 'zero'}")
