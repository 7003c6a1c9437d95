# cause: unused_parameter
# line: 22
# affected: skip
# symptom: none
# expect: w=nonzero skip=None
# also: 26 31
import headgate.tf as tf

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class Block:
    def __init__(self, **config):
        self.config = config
        self.w = tf.Variable(tf.random.normal((4, 4)), name="w")
        self.skip = tf.Variable(tf.random.normal((4, 4)), name="skip")

    def __call__(self, x):
        h = tf.tanh(x @ self.w)
        if self.config.get("skip_connection"):
            h = h + x @ self.skip
        return h


block = Block(skip_conection=True)
x = tf.random.normal((8, 4))
with tf.GradientTape() as tape:
    loss = tf.reduce_mean((block(x) - 1.0) ** 2)
report([block.w, block.skip], tape.gradient(loss, [block.w, block.skip]))
