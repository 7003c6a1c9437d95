# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: image=nonzero
# also: -
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(gradients):
    for name, g in gradients.items():
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


model = keras.Sequential(
    [keras.layers.Dense(6, activation="relu", name="hid"), keras.layers.Dense(3, name="out")]
)
image = tf.random.normal((1, 8))
label = tf.constant([2])
with tf.GradientTape() as tape:
    tape.watch(image)
    logits = model(image)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)
g = tape.gradient(loss, image)
report({"image": g})
