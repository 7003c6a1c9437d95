# cause: non_leaf
# line: 20
# affected: flat
# symptom: none
# expect: flat=None
# also: 23
import headgate.tf as tf

tf.random.set_seed(0)


def report(gradients):
    for name, g in gradients.items():
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 2)), name="w")
x = tf.random.normal((8, 3))
flat = tf.reshape(w, (-1,))
with tf.GradientTape() as tape:
    loss = tf.reduce_mean((x @ w - 1.0) ** 2)
report({"flat": tape.gradient(loss, flat)})
