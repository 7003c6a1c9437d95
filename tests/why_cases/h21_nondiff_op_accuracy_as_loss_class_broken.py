# cause: nondiff_op
# line: 21
# affected: hid/kernel hid/bias out/kernel out/bias
# symptom: none
# expect: hid/kernel=None hid/bias=None out/kernel=None out/bias=None
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
        hits = tf.equal(tf.argmax(logits, axis=1), labels)
        return 1.0 - tf.reduce_mean(tf.cast(hits, tf.float32))


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
