# cause: zero_derivative zero_factor
# line: 40
# affected: depth.kernel depth.bias
# symptom: zero
# expect: trunk.kernel=nonzero trunk.bias=nonzero label.kernel=nonzero label.bias=nonzero depth.kernel=zero depth.bias=zero
# also: 27
import keras
import tensorflow as tf

keras.utils.set_random_seed(23)
EPOCHS, WARM_UP = 4, 20


class TwoTasks(keras.Model):
    def __init__(self):
        super().__init__()
        self.trunk = keras.layers.Dense(12, "tanh", name="trunk")
        self.label = keras.layers.Dense(3, name="label")
        self.depth = keras.layers.Dense(1, name="depth")

    def call(self, x):
        h = self.trunk(x)
        return self.label(h), self.depth(h)


def share(epoch):
    return tf.cast((epoch + 1) // WARM_UP, tf.float32)


model = TwoTasks()
optimizer = keras.optimizers.Adam(1e-2)
for epoch in range(EPOCHS):
    x = tf.random.normal((32, 5))
    with tf.GradientTape() as tape:
        scores, depth = model(x)
        of_labels = keras.losses.sparse_categorical_crossentropy(
            tf.argmax(x[:, :3], axis=1), scores, from_logits=True
        )
        of_depth = keras.losses.mean_squared_error(x[:, 3:4] ** 2, depth)
        loss = tf.reduce_mean(of_labels + share(epoch) * of_depth)
    gradients = tape.gradient(loss, model.trainable_weights)
    optimizer.apply_gradients(zip(gradients, model.trainable_weights))
for v, g in zip(model.trainable_weights, gradients):
    name = ".".join(v.path.split("/")[-2:])
    print(f"{name}: {'None' if g is None else 'nonzero' if tf.reduce_any(g != 0) else 'zero'}")
