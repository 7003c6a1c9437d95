# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: fc/kernel=nonzero fc/bias=nonzero temperature=nonzero
# also: -
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


temperature = tf.Variable(2.0, name="temperature")
model = keras.Sequential(
    [
        keras.layers.Dense(3, name="fc"),
        keras.layers.Lambda(lambda logits: logits / temperature),
    ]
)
x, labels = tf.random.normal((9, 4)), tf.constant([0, 1, 2] * 3)
with tf.GradientTape() as tape:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(x))
    loss = tf.reduce_mean(losses)
weights = [*model.trainable_variables, temperature]
report(weights, tape.gradient(loss, weights))
if not any(v is temperature for v in weights):
    print("temperature: absent")
