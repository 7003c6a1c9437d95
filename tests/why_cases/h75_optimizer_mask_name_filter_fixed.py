# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: fc/kernel=updated fc/bias=updated out/kernel=updated out/bias=updated
# also: -
import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(0)

model = keras.Sequential(
    [keras.layers.Dense(4, activation="tanh", name="fc"), keras.layers.Dense(1, name="out")]
)
optimizer = keras.optimizers.Adam(0.01)
x = tf.random.normal((8, 3))
model.build((None, 3))
weights = model.trainable_variables
before = [v.numpy() for v in weights]
for _step in range(3):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - 1.0) ** 2)
    gradients = tape.gradient(loss, weights)
    pairs = [(g, v) for g, v in zip(gradients, weights) if "norm" not in v.name]
    optimizer.apply_gradients(pairs)
for v, old in zip(weights, before):
    print(f"{v.name}: {'updated' if (v.numpy() != old).any() else 'unchanged'}")
