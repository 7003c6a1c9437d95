# cause: stateful_write
# line: 23
# affected: inner outer
# symptom: none
# expect: inner=None outer=None readout=nonzero
# also: 24
import itertools

import tensorflow as tf

tf.random.set_seed(9)


class Reservoir(tf.Module):
    def __init__(self, inputs, units):
        super().__init__()
        self.inner = tf.Variable(tf.random.normal((units, units), stddev=0.2), name="inner")
        self.outer = tf.Variable(tf.random.normal((inputs, units)), name="outer")
        self.readout = tf.Variable(tf.zeros((units, 1)), name="readout")
        self.state = tf.Variable(tf.zeros((1, units)), trainable=False, name="state")

    def step(self, x):
        self.state.assign(tf.tanh(x @ self.outer + self.state @ self.inner))
        return self.state @ self.readout

    @tf.function
    def follow(self, signal):
        with tf.GradientTape() as tape:
            loss = 0.0
            for now, after in itertools.pairwise(signal):
                prediction = self.step(now[None])
                loss += tf.reduce_sum(tf.square(prediction - after))
        named = {"inner": self.inner, "outer": self.outer, "readout": self.readout}
        return tape.gradient(loss, named)


model = Reservoir(1, 10)
model.readout.assign(tf.random.normal((10, 1)))
for _epoch in range(3):
    signal = tf.unstack(tf.sin(0.7 * tf.range(8, dtype=tf.float32) + tf.random.uniform(())))
    gradients = model.follow([tf.reshape(value, (1,)) for value in signal])
    for name, gradient in gradients.items():
        if gradient is not None:
            getattr(model, name).assign_sub(0.02 * gradient)
for name, g in gradients.items():
    print(f"{name}: {'None' if g is None else 'nonzero' if tf.reduce_any(g != 0) else 'zero'}")
