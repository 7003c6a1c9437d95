# cause: none
# line: 0
# affected: -
# symptom: legit: rules of one's own, recomputed parts, Python inside, XLA, and eager switches
# expect: rules=learns recomputed=learns inside=learns compiled=learns eager=learns retraced=learns
# also: -
# stops: -
"""Functions of many sorts, each with gradients that are right."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(314)


def network(activation):
    dense = keras.layers.Dense
    return keras.Sequential([keras.Input((4,)), dense(5, activation), dense(1)])


def descend(parameters, loss_of, steps=3, rate=0.1):
    start = [p.numpy() for p in parameters]
    for _ in range(steps):
        x = tf.random.normal((8, 4))
        with tf.GradientTape() as tape:
            loss = loss_of(x)
        for p, g in zip(parameters, tape.gradient(loss, parameters)):
            p.assign_sub(rate * g)
    changed = [(p.numpy() != before).any() for p, before in zip(parameters, start)]
    return "learns" if all(changed) else "still"


@tf.custom_gradient
def reverse(x):
    return tf.identity(x), lambda g: -0.5 * g


@tf.custom_gradient
def softplus(x):
    e = tf.exp(x)

    def backward(g):
        return g * (1.0 - 1.0 / (1.0 + e))

    return tf.math.log(1.0 + e), backward


@tf.custom_gradient
def clipped(x, limit):
    def backward(g):
        return tf.clip_by_norm(g, limit), None  # a limit has no gradient

    return tf.identity(x), backward


def rules():
    w = tf.Variable(tf.random.normal((4, 3)), name="w")
    domain = tf.Variable(tf.random.normal((3, 1)), name="domain")

    def loss_of(x):
        h = clipped(softplus(x @ w), 1.0)
        return tf.reduce_mean(h**2) + tf.reduce_mean(tf.square(reverse(h) @ domain - 1.0))

    return descend([w, domain], loss_of)


def recomputed():
    w = tf.Variable(tf.random.normal((4, 4), stddev=0.3), name="w")
    layer = keras.layers.Dense(4, "tanh")
    layer.build((None, 4))

    @tf.recompute_grad
    def block(x):
        return tf.tanh(x @ w)

    hard = tf.grad_pass_through(tf.round)

    def loss_of(x):
        return tf.reduce_mean(tf.square(hard(layer(block(x))) - x))

    return descend([w, *(v.value for v in layer.trainable_variables)], loss_of)


def inside():
    """Python within: py_function has a gradient, and what is printed needs none."""
    w = tf.Variable(tf.random.normal((4, 2)), name="w")
    seen = []

    def square(x):
        return x * x

    def note(x):
        seen.append(float(np.mean(x)))

    @tf.function
    def loss_of(x):
        h = tf.py_function(square, [x @ w], tf.float32)
        tf.numpy_function(note, [h], [])
        tf.debugging.assert_all_finite(h, "not finite")
        tf.print(tf.shape(h), output_stream="file:///dev/null")
        return tf.reduce_mean(tf.square(h - 1.0))

    word = descend([w], loss_of, rate=0.02)
    assert len(seen) == 3
    return word


def compiled():
    """The whole step is one program of XLA; then Keras compiles its own."""
    model = network("tanh")
    start, optimizer = model.get_weights(), keras.optimizers.SGD(0.1)

    @tf.function(jit_compile=True)
    def gradients_of(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - x[:, :1]))
        return tape.gradient(loss, model.trainable_variables)

    for _ in range(3):
        gradients = gradients_of(tf.random.normal((8, 4)))
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    x = np.random.normal(size=(32, 4)).astype("float32")
    model.compile("adam", "mse", jit_compile=True)
    model.fit(x, x[:, :1], epochs=1, verbose=0)
    changed = [(v != before).any() for v, before in zip(model.get_weights(), start)]
    return "learns" if all(changed) else "still"


def eager():
    """Keras step by step in Python, and all functions as Python for a while."""
    model = network("elu")
    start = model.get_weights()
    x = np.random.normal(size=(32, 4)).astype("float32")
    model.compile("adam", "mse", run_eagerly=True)
    model.fit(x, x[:, :1], batch_size=16, epochs=1, verbose=0)
    tf.config.run_functions_eagerly(True)
    try:

        @tf.function
        def step(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(x) - x[:, :1]))
            return tape.gradient(loss, model.trainable_variables)

        for variable, gradient in zip(model.trainable_variables, step(tf.constant(x))):
            variable.assign_sub(0.01 * gradient)
    finally:
        tf.config.run_functions_eagerly(False)
    changed = [(v != before).any() for v, before in zip(model.get_weights(), start)]
    return "learns" if all(changed) else "still"


def retraced():
    """A function that is traced anew for shapes and flags, with others inside it."""
    w = tf.Variable(tf.random.normal((4, 2)), name="w")
    traced = []

    @tf.function
    def hidden(x, scale):
        return scale * tf.tanh(x @ w)

    @tf.function(reduce_retracing=True)
    def loss_of(x, noisy):
        traced.append(noisy)
        x = x + tf.random.normal(tf.shape(x)) if noisy else x
        return tf.reduce_mean(tf.square(hidden(x, 2.0) - 0.5))

    start = w.numpy()
    for count, noisy in ((4, True), (6, False), (8, True), (4, True)):
        with tf.GradientTape() as tape:
            loss = loss_of(tf.random.normal((count, 4)), noisy)
        w.assign_sub(0.1 * tape.gradient(loss, w))
    assert 2 <= len(traced) <= 4
    return "learns" if (w.numpy() != start).all() else "still"


for train in (rules, recomputed, inside, compiled, eager, retraced):
    print(f"{train.__name__}: {train()}")
