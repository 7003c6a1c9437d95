# cause: none
# line: 0
# affected: -
# symptom: legit: gradients are clipped, by their norm and inside of the network
# expect: w_in=nonzero w_rec=nonzero w_out=nonzero
# also: -
# stops: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w_in = tf.Variable(tf.random.normal((2, 5)), name="w_in")
w_rec = tf.Variable(tf.random.normal((5, 5)), name="w_rec")
w_out = tf.Variable(tf.random.normal((5, 1)), name="w_out")
weights = [w_in, w_rec, w_out]
optimizer = tf.keras.optimizers.SGD(0.1)
sequence = tf.random.normal((6, 4, 2))
for _step in range(3):
    with tf.GradientTape() as tape:
        h = tf.zeros((4, 5))
        for t in range(6):
            h = tf.tanh(sequence[t] @ w_in + h @ w_rec)
        loss = tf.reduce_mean((h @ w_out - 1.0) ** 2)
    gradients, norm = tf.clip_by_global_norm(tape.gradient(loss, weights), 0.5)
    optimizer.apply_gradients(zip(gradients, weights))
report(weights, gradients)
