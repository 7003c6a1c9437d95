# cause: none
# line: 0
# affected: -
# symptom: legit: a trained trunk is frozen, thawed with a new compile, adapted, or fed from afar
# expect: head.trunk=kept head.new=learns thaw.trunk=learns thaw.norm=kept lora.base=kept lora.down=learns lora.up=learns features.trunk=kept features.new=learns
# also: -
# stops: 59 71 77 91 120
"""A new head on a frozen trunk, then all of it, low-rank adapters, and features computed once."""

import functools

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(306)
layers = keras.layers
X = np.random.normal(size=(64, 6)).astype("float32")
Y = (X[:, 0] * X[:, 1] > 0).astype("float32")


def fresh():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, "relu"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(8, "tanh"),
        ]
    )


@functools.cache
def trained_weights():
    trunk = fresh()
    old = keras.Sequential([trunk, layers.Dense(3)])
    old.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    old.fit(X, np.argmax(X[:, :3], axis=1), epochs=2, verbose=0)
    return trunk.get_weights()


def pretrained():
    trunk = fresh()
    trunk.set_weights(trained_weights())
    return trunk


def values(layer):
    return [v.numpy() for v in layer.weights]


def word(layer, start, kept="kept"):
    same = all(np.array_equal(v, before) for v, before in zip(layer.weights, start))
    return kept if same else "learns"


def head():
    trunk, new = pretrained(), layers.Dense(1, "sigmoid")
    trunk.trainable = False
    inputs = keras.Input((6,))
    model = keras.Model(inputs, new(layers.Dropout(0.1)(trunk(inputs, training=False))))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], jit_compile=False)
    start = values(trunk), values(new)
    model.fit(X, Y, epochs=2, validation_split=0.25, verbose=0)
    yield "trunk", word(trunk, start[0])
    yield "new", word(new, start[1], "still")


def thaw():
    trunk, new = pretrained(), layers.Dense(1)
    trunk.trainable = False
    model = keras.Sequential([trunk, new])
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(X, Y, epochs=1, verbose=0)
    trunk.trainable = True
    norm = trunk.get_layer("norm")
    norm.trainable = False
    model.compile(keras.optimizers.Adam(1e-4), keras.losses.BinaryCrossentropy(from_logits=True))
    start = values(trunk), values(norm)
    model.fit(X, Y, epochs=2, verbose=0)
    yield "trunk", word(trunk, start[0], "still")
    yield "norm", word(norm, start[1])


class Adapted(layers.Layer):
    """A frozen dense layer with a trained change of low rank beside it."""

    def __init__(self, base, rank=2):
        super().__init__()
        self.base = base
        self.base.trainable = False
        self.down = layers.Dense(rank, use_bias=False)
        self.up = layers.Dense(base.units, use_bias=False, kernel_initializer="zeros")

    def call(self, x):
        return self.base(x) + self.up(self.down(x))


def lora(steps=4):
    base = pretrained().layers[-1]
    base.activation = keras.activations.linear
    adapted = Adapted(base)
    adapted(tf.zeros((1, 16)))
    optimizer = keras.optimizers.Adam(1e-2)
    start = values(base), values(adapted.down), values(adapted.up)
    for _ in range(steps):
        x = tf.random.normal((16, 16))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(adapted(x) - x[:, :8]))
        gradients = tape.gradient(loss, adapted.trainable_variables)
        optimizer.apply_gradients(zip(gradients, adapted.trainable_variables))
    yield "base", word(base, start[0])
    yield "down", word(adapted.down, start[1], "still")
    yield "up", word(adapted.up, start[2], "still")


def features():
    trunk, new = pretrained(), layers.Dense(1)
    start = values(trunk)
    seen = trunk.predict(X, verbose=0)
    optimizer = keras.optimizers.SGD(0.1)
    new.build(seen.shape)
    before = values(new)
    for first in range(0, 64, 16):
        x, y = tf.constant(seen[first : first + 16]), Y[first : first + 16, None]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, new(x)))
        gradients = tape.gradient(loss, new.trainable_variables)
        optimizer.apply_gradients(zip(gradients, new.trainable_variables))
    yield "trunk", word(trunk, start)
    yield "new", word(new, before, "still")


for train in (head, thaw, lora, features):
    for name, said in train():
        print(f"{train.__name__}.{name}: {said}")
