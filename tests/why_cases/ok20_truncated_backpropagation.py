# cause: none
# line: 0
# affected: -
# symptom: legit: the state is cut off between windows of a long sequence
# expect: w_in=nonzero w_rec=nonzero w_out=nonzero
# also: -
# stops: 27
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w_in = tf.Variable(0.5 * tf.random.normal((2, 5)), name="w_in")
w_rec = tf.Variable(0.5 * tf.random.normal((5, 5)), name="w_rec")
w_out = tf.Variable(0.5 * tf.random.normal((5, 1)), name="w_out")
weights = [w_in, w_rec, w_out]
optimizer = tf.keras.optimizers.SGD(0.05)
sequence, wanted = tf.random.normal((12, 4, 2)), tf.random.normal((12, 4, 1))
h = tf.zeros((4, 5))
for start in range(0, 12, 4):
    h = tf.stop_gradient(h)
    with tf.GradientTape() as tape:
        loss = tf.constant(0.0)
        for t in range(start, start + 4):
            h = tf.tanh(sequence[t] @ w_in + h @ w_rec)
            loss += tf.reduce_mean((h @ w_out - wanted[t]) ** 2)
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights))
report(weights, gradients)
