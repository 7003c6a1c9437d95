# cause: stop_gradient
# line: 32
# affected: aux_in
# symptom: none
# expect: trunk=nonzero main=nonzero aux_in=None aux_out=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


def weight(shape, name):
    return tf.Variable(0.5 * tf.random.normal(shape), name=name)


trunk, main = weight((5, 8), "trunk"), weight((8, 1), "main")
aux_in, aux_out = weight((8, 4), "aux_in"), weight((4, 1), "aux_out")
weights = [trunk, main, aux_in, aux_out]
optimizer = tf.keras.optimizers.SGD(0.05)
x = tf.random.normal((32, 5))
y, y_aux = tf.reduce_sum(x, axis=1, keepdims=True), x[:, :1] * x[:, 1:2]
for _step in range(4):
    with tf.GradientTape() as tape:
        features = tf.tanh(x @ trunk)
        # the second task must not disturb the trunk
        aux = tf.stop_gradient(features @ aux_in) @ aux_out
        loss = tf.reduce_mean((features @ main - y) ** 2)
        loss += 0.5 * tf.reduce_mean((aux - y_aux) ** 2)
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights))
report(weights, gradients)
