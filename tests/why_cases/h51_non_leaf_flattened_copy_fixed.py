# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: flat=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(gradients):
    for name, g in gradients.items():
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 2)), name="w")
x = tf.random.normal((8, 3))
with tf.GradientTape() as tape:
    flat = tf.reshape(w, (-1,))
    loss = tf.reduce_mean((x @ tf.reshape(flat, (3, 2)) - 1.0) ** 2)
report({"flat": tape.gradient(loss, flat)})
