# cause: none
# line: 0
# affected: -
# symptom: legit: gradient by the input only; the sign of it is the step
# expect: image=nonzero
# also: -
# stops: 29
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
image, label = tf.random.normal((1, 8)), tf.constant([2])
for _step in range(3):
    with tf.GradientTape() as tape:
        tape.watch(image)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(label, model(image))
    g = tape.gradient(loss, image)
    image = tf.clip_by_value(image + 0.05 * tf.sign(g), -3.0, 3.0)
report({"image": g})
