# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: hid/kernel=nonzero hid/bias=nonzero out/kernel=nonzero out/bias=nonzero
# also: -
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


class ErrorRate:
    def __call__(self, labels, logits):
        hits = tf.one_hot(labels, 3) * tf.nn.softmax(logits)
        return 1.0 - tf.reduce_mean(tf.reduce_sum(hits, axis=1))


model = keras.Sequential(
    [keras.layers.Dense(8, activation="tanh", name="hid"), keras.layers.Dense(3, name="out")]
)
x = tf.random.normal((12, 5))
labels = tf.argmax(x[:, :3], axis=1)
criterion = ErrorRate()
with tf.GradientTape() as tape:
    loss = criterion(labels, model(x))
weights = model.trainable_variables
report(weights, tape.gradient(loss, weights))
