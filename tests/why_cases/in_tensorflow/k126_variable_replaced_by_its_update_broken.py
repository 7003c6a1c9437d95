# cause: variable_replaced not_watched
# line: 20
# affected: w b
# symptom: none
# expect: w=None b=None scale=nonzero
# also: 25 27 36
import tensorflow as tf

tf.random.set_seed(26)


class Line(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.random.normal((3, 1)))
        self.b = tf.Variable(tf.zeros(1))
        self.scale = tf.Variable(1.0)

    def __call__(self, x):
        return self.scale * tf.tanh(x @ self.w + self.b)

    def descend(self, gradients, rate=0.1):
        w, b, scale = gradients
        if w is not None:
            self.w = self.w - rate * w
        if b is not None:
            self.b = self.b - rate * b
        self.scale.assign_sub(rate * scale)


model = Line()
for _step in range(4):
    x = tf.random.normal((32, 3))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - tf.sin(x[:, :1])) ** 2)
    gradients = tape.gradient(loss, [model.w, model.b, model.scale])
    model.descend(gradients)
for name, g in zip(("w", "b", "scale"), gradients):
    print(f"{name}: {'None' if g is None else 'nonzero' if tf.reduce_any(g != 0) else 'zero'}")
