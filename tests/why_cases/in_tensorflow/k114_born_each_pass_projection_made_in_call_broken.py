# cause: born_each_pass not_registered unlisted
# line: 23
# affected: projection.kernel
# symptom: lost
# expect: projection.kernel=lost
# also: 22
import keras
import tensorflow as tf

keras.utils.set_random_seed(14)
made = set()


class Residual(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.first = keras.layers.Dense(units, activation="relu")
        self.second = keras.layers.Dense(units)

    def call(self, x):
        h = self.second(self.first(x))
        projection = keras.layers.Dense(h.shape[-1], use_bias=False, name="projection")
        x = projection(x)
        made.add(id(projection.kernel))
        kept.append(projection)
        return tf.nn.relu(h + x)


kept = []
model = keras.Sequential([Residual(8), keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(0.05)
for _step in range(4):
    x = tf.random.normal((16, 5))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x) - tf.abs(x[:, :1])))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
print(f"projection.kernel: {'learns' if len(made) == 1 else 'lost'}")
