# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: out.kernel=learns out.bias=learns
# also: -
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(24)
MICRO = 3


class Accumulator:
    """Adds up the gradients of several small batches."""

    def __init__(self, variables):
        self.variables = variables
        self.sums = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]

    def add(self, gradients):
        for total, gradient in zip(self.sums, gradients):
            total.assign_add(gradient / MICRO)

    def clear(self):
        for total in self.sums:
            total.assign(tf.zeros_like(total))

    def apply(self, optimizer):
        optimizer.apply_gradients(zip(self.sums, self.variables))
        self.clear()


model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="out")])
optimizer = keras.optimizers.SGD(0.05)
accumulator = Accumulator(model.trainable_variables)
start = [v.numpy() for v in model.trainable_variables]
for batch in range(4 * MICRO):
    x = tf.random.normal((8, 4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x) - x[:, :1] + 1.0))
    accumulator.add(tape.gradient(loss, model.trainable_variables))
    if (batch + 1) % MICRO == 0:
        accumulator.apply(optimizer)
for v, before in zip(model.trainable_variables, start):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")
