# cause: born_each_pass
# line: 23
# affected: squeeze/kernel squeeze/bias
# symptom: lost
# expect: squeeze/kernel=lost squeeze/bias=lost
# also: -
import numpy as np

import headgate.tf as tf
from headgate.tf import keras

tf.random.set_seed(3)


class Excite(keras.layers.Layer):
    """Channels are weighted by what all of them say (Hu et al. 2018)."""

    def __init__(self, channels, **options):
        super().__init__(**options)
        self.channels = channels

    def call(self, x):
        weight = keras.layers.Dense(self.channels, activation="sigmoid", name="squeeze")(x)
        return x * weight


class Net(keras.Model):
    def __init__(self):
        super().__init__(name="net")
        self.stem = keras.layers.Dense(5, activation="tanh", name="stem")
        self.excite = Excite(5, name="excite")
        self.out = keras.layers.Dense(1, name="out")

    def call(self, x):
        return self.out(self.excite(self.stem(x)))


net = Net()
optimizer = keras.optimizers.Adam(0.01)
rng = np.random.default_rng(0)
seen = []
for _step in range(4):
    x = rng.normal(size=(8, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(net(x) - x[:, :1]))
    weights = net.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    seen += [v for v in tape.watched_variables() if v.shape in ((5, 5), (5,))]
squeezed = [len({id(v) for v in seen if v.shape == shape}) for shape in ((5, 5), (5,))]
print(f"squeeze/kernel: {'learns' if squeezed[0] == 1 else 'lost'}")
print(f"squeeze/bias: {'learns' if squeezed[1] <= 2 else 'lost'}")
