# cause: none
# line: 0
# affected: -
# symptom: legit: argmax and comparison for the accuracy, in the tape
# expect: hid/kernel=nonzero hid/bias=nonzero out/kernel=nonzero out/bias=nonzero
# also: -
# stops: 30
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


model = keras.Sequential(
    [keras.layers.Dense(8, activation="tanh", name="hid"), keras.layers.Dense(3, name="out")]
)
optimizer = keras.optimizers.Adam(0.01)
x = tf.random.normal((12, 5))
labels = tf.argmax(x[:, :3], axis=1)
accuracies = []
for _epoch in range(3):
    with tf.GradientTape() as tape:
        logits = model(x)
        hits = tf.equal(tf.argmax(logits, axis=1), labels)
        accuracies.append(float(tf.reduce_mean(tf.cast(hits, tf.float32))))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
report(model.trainable_variables, gradients)
