# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=nonzero b=nonzero
# also: -
import headgate.tf as tf

tf.random.set_seed(0)


def report(gradients):
    for name, g in gradients.items():
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w = tf.Variable(tf.random.normal((3, 1)), name="w")
b = tf.Variable(0.0, name="b")
x, y = tf.random.normal((8, 3)), tf.ones((8, 1))
rate = 0.1
for _step in range(2):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((x @ w + b - y) ** 2)
    dw, db = tape.gradient(loss, [w, b])
    b.assign_sub(rate * db)
    if dw is not None:
        w.assign_sub(rate * dw)
report({"w": dw, "b": db})
