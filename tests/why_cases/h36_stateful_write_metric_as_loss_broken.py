# cause: stateful_write
# line: 25
# affected: w
# symptom: none
# expect: w=None
# also: 27 30 37
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class MeanSquaredError:
    def __init__(self):
        self.total = tf.Variable(0.0, trainable=False, name="total")
        self.count = tf.Variable(0.0, trainable=False, name="count")

    def __call__(self, y, prediction):
        error = tf.reduce_sum((y - prediction) ** 2)
        self.total.assign_add(error)
        self.count.assign_add(float(y.shape[0]))
        return self.result()

    def result(self):
        return self.total / self.count


w = tf.Variable(tf.random.normal((3, 1)), name="w")
x, y = tf.random.normal((8, 3)), tf.ones((8, 1))
criterion = MeanSquaredError()
with tf.GradientTape() as tape:
    loss = criterion(y, x @ w)
report([w], tape.gradient(loss, [w]))
