# cause: none
# line: 0
# affected: -
# symptom: legit: several heads and losses, phases that train some of them, and labels that are missing
# expect: outputs=learns phases=learns missing=learns shared=learns regular=learns
# also: -
# stops: -
"""Several outputs in fit, heads trained in turn, missing labels, tied weights, added losses."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(310)
layers = keras.layers
X = np.random.normal(size=(64, 6)).astype("float32")


def values(model):
    return {v.path: v.numpy() for v in model.trainable_variables}


def moved(model, start):
    changed = [(v.numpy() != start[v.path]).any() for v in model.trainable_variables]
    return "learns" if all(changed) else "still"


def outputs():
    """Two losses of different weight, class weights, and a head whose weight is zero for now."""
    inputs = keras.Input((6,))
    h = layers.Dense(16, "relu")(inputs)
    label = layers.Dense(3, "softmax", name="label")(h)
    size = layers.Dense(1, name="size")(h)
    model = keras.Model(inputs, {"label": label, "size": size})
    model.compile(
        "adam",
        loss={"label": "sparse_categorical_crossentropy", "size": keras.losses.Huber()},
        loss_weights={"label": 1.0, "size": 0.2},
        metrics={"label": ["accuracy"], "size": ["mae"]},
        jit_compile=False,
    )
    start = values(model)
    goals = {"label": np.argmax(X[:, :3], axis=1), "size": X[:, :1] ** 2}
    weights = {"label": np.ones(64), "size": np.ones(64)}
    model.fit(X, goals, epochs=2, sample_weight=weights, verbose=0)
    return moved(model, start)


class TwoHeads(keras.Model):
    def __init__(self):
        super().__init__()
        self.trunk = layers.Dense(12, "tanh")
        self.first, self.second = layers.Dense(1), layers.Dense(1)

    def call(self, x):
        h = self.trunk(x)
        return self.first(h), self.second(h)


def phases():
    """The first phase trains one head and the trunk, the second the other head alone."""
    model = TwoHeads()
    model(X)
    start = values(model)
    optimizers = keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2)
    parts = (
        model.trunk.trainable_variables + model.first.trainable_variables,
        model.second.trainable_variables,
    )

    def step(phase):
        with tf.GradientTape() as tape:
            predicted = model(X)[phase]
            loss = tf.reduce_mean(tf.square(predicted - X[:, phase : phase + 1]))
        gradients = tape.gradient(loss, parts[phase])
        optimizers[phase].apply_gradients(zip(gradients, parts[phase]))

    for phase in (0, 0, 0, 1, 1, 1):
        step(phase)
    return moved(model, start)


def missing():
    """Labels of one task are there in every other batch only."""
    model = TwoHeads()
    model(X)
    start, optimizer = values(model), keras.optimizers.SGD(0.05)

    @tf.function
    def step(x, one, two, has_two):
        with tf.GradientTape() as tape:
            first, second = model(x)
            loss = tf.reduce_mean(tf.square(first - one))
            known = tf.boolean_mask(tf.square(second - two), has_two)
            count = tf.maximum(tf.reduce_sum(tf.cast(has_two, tf.float32)), 1.0)
            loss += tf.reduce_sum(known) / count
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    for batch in range(6):
        x = tf.constant(X[8 * batch : 8 * batch + 8])
        has_two = tf.fill((8,), batch % 2 == 0)
        step(x, x[:, :1], x[:, 1:2], has_two)
    return moved(model, start)


class Tied(keras.Model):
    """An autoencoder whose decoder uses the kernel of its encoder."""

    def __init__(self):
        super().__init__()
        self.encoder = layers.Dense(4)
        self.bias = self.add_weight(shape=(6,), initializer="zeros", name="bias")

    def call(self, x):
        code = tf.nn.relu(self.encoder(x))
        return tf.matmul(code, self.encoder.kernel, transpose_b=True) + self.bias


def shared():
    model = Tied()
    model.compile("rmsprop", "mse")
    model(X)
    start = values(model)
    model.fit(X, X, batch_size=16, epochs=2, verbose=0)
    return moved(model, start)


def regular():
    """Losses that layers add: decay, activity, a divergence."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(12, "relu", kernel_regularizer="l2"),
            layers.GaussianNoise(0.1),
            layers.Dense(8, activity_regularizer=keras.regularizers.L1(1e-3)),
            layers.LayerNormalization(),
            layers.Dropout(0.2),
            layers.Dense(1, kernel_constraint=keras.constraints.MaxNorm(2.0)),
        ]
    )
    start = values(model)
    model.compile(keras.optimizers.Adam(1e-2, weight_decay=1e-3), "mae", jit_compile=False)
    model.fit(X, X[:, :1], epochs=2, batch_size=16, verbose=0)
    return moved(model, start)


for train in (outputs, phases, missing, shared, regular):
    print(f"{train.__name__}: {train()}")
