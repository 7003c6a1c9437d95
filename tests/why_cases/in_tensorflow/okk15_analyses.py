# cause: none
# line: 0
# affected: -
# symptom: legit: gradients that are looked at, not learnt from; inputs and images that are
# expect: saliency=fine attack=fine dream=fine calibrated=learns probes=fine adversarial=learns
# also: -
# stops: 87 121
"""What is done with a trained model: saliency, attacks, dreams, calibration, probes."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(315)
layers = keras.layers
X = np.random.normal(size=(48, 8)).astype("float32")
Y = np.argmax(X[:, :3], axis=1)


def trained():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, "relu", name="hidden"),
            layers.BatchNormalization(),
            layers.Dense(3, name="logits"),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def saliency(model):
    """The slope by the input, smoothed, integrated, and for each class."""
    x = tf.constant(X[:4])
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = tf.reduce_max(model(x), axis=1)
    plain = tape.gradient(scores, x)
    steps = tf.linspace(0.0, 1.0, 6)[:, None, None] * x[None]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(steps)
        out = tf.nn.softmax(model(tf.reshape(steps, (-1, 8))))
        first, second = out[:, 0], out[:, 1]
    integrated = x * tf.reduce_mean(tape.gradient(first, steps), axis=0)
    other = tape.gradient(second, steps)
    best = np.argsort(-np.abs(plain.numpy()), axis=1)[:, :2]
    return best.shape == (4, 2) and bool(tf.reduce_all(tf.math.is_finite(integrated + other[0])))


def attack(model):
    x = tf.constant(X[:6])
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    moved = x
    for _ in range(3):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(moved)
            loss = loss_of(Y[:6], model(moved, training=False))
        moved = moved + 0.05 * tf.sign(tape.gradient(loss, moved))
        moved = tf.clip_by_value(moved, x - 0.1, x + 0.1)
    return float(tf.reduce_max(tf.abs(moved - x))) <= 0.1001


def dream(model):
    """An input that makes a hidden unit large, by an optimizer; the model stays as it is."""
    part = keras.Model(model.inputs, model.get_layer("hidden").output)
    image = tf.Variable(0.1 * tf.random.normal((1, 8)), name="image")
    kept, start = model.get_weights(), image.numpy()
    optimizer = keras.optimizers.Adam(0.1)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(part(image)) + 0.1 * tf.reduce_sum(image**2)
        optimizer.apply_gradients([(tape.gradient(loss, image), image)])
        image.assign(tf.clip_by_value(image, -1.0, 1.0))

    for _ in range(4):
        step()
    same = all(np.array_equal(a, b) for a, b in zip(kept, model.get_weights()))
    return same and (image.numpy() != start).all()


def calibrated(model):
    """One temperature is fitted on the logits that the model gives once and for all."""
    logits = tf.constant(model.predict(X, verbose=0))
    log_temperature = tf.Variable(0.0, name="log_temperature")
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(Y, logits / tf.exp(log_temperature))
            )
        log_temperature.assign_sub(0.5 * tape.gradient(loss, log_temperature))
    return "learns" if float(log_temperature) != 0.0 else "still"


def probes(model):
    """The sizes of gradients, layer by layer, for a picture; nobody applies them."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(Y, model(X)))
    gradients = tape.gradient(loss, model.trainable_variables)
    sizes = {v.path: float(tf.norm(g)) for v, g in zip(model.trainable_variables, gradients)}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(X)[:, 0])
    last = tape.gradient(loss, model.layers[-1].kernel.value)
    only_first = float(tf.reduce_sum(tf.abs(last[:, 1:])))  # other classes have no part in it
    return all(size >= 0.0 for size in sizes.values()) and only_first == 0.0


def adversarial(model):
    """Training on attacked inputs: the attack's own gradient is a constant of the step."""
    net = keras.models.clone_model(model)
    net.set_weights(model.get_weights())
    optimizer, start = keras.optimizers.SGD(0.05), net.get_weights()
    for first in range(0, 48, 16):
        x, y = tf.constant(X[first : first + 16]), Y[first : first + 16]
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, net(x)))
        hard = tf.stop_gradient(x + 0.1 * tf.sign(tape.gradient(loss, x)))
        with tf.GradientTape() as tape:
            both = net(tf.concat([x, hard], axis=0), training=True)
            labels = np.concatenate([y, y])
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, both))
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables))
    changed = [(a != b).any() for a, b in zip(net.get_weights(), start)]
    return "learns" if sum(changed) >= 6 else "still"


model = trained()
for look in (saliency, attack, dream, calibrated, probes, adversarial):
    said = look(model)
    print(f"{look.__name__}: {said if isinstance(said, str) else 'fine' if said else 'odd'}")
