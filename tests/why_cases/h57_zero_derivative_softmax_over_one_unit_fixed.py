# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: out/kernel=nonzero out/bias=nonzero
# also: -
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(tf.reduce_sum(tf.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid", name="out")])
optimizer = keras.optimizers.SGD(0.1)
x = tf.random.normal((12, 4))
y = tf.cast(x[:, :1] > 0.0, tf.float32)
for _step in range(3):
    with tf.GradientTape() as tape:
        p = model(x)
        loss = tf.reduce_mean((p - y) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
report(model.trainable_variables, gradients)
