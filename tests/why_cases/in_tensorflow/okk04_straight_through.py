# cause: none
# line: 0
# affected: -
# symptom: legit: hard values forward and soft gradients backward, in four ways
# expect: quantised.kernel=nonzero gumbel.logits=nonzero custom.kernel=nonzero vq.encoder=nonzero vq.codebook=nonzero
# also: -
# stops: 26 40 41 84 85 87 88
"""Quantised weights, hard Gumbel-softmax, a custom rule, and a codebook."""

import keras
import tensorflow as tf

tf.random.set_seed(304)
keras.utils.set_random_seed(304)


def said(g):
    return "None" if g is None else "nonzero" if tf.reduce_any(g != 0) else "zero"


def quantised(steps=3):
    kernel, optimizer = tf.Variable(tf.random.normal((4, 2))), keras.optimizers.SGD(0.1)
    for _ in range(steps):
        x = tf.random.normal((8, 4))
        with tf.GradientTape() as tape:
            coarse = kernel + tf.stop_gradient(tf.round(4.0 * kernel) / 4.0 - kernel)
            loss = tf.reduce_mean(tf.square(x @ coarse - x[:, :2]))
        (gradient,) = tape.gradient(loss, [kernel])
        optimizer.apply_gradients([(gradient, kernel)])
    return {"kernel": gradient}


def gumbel(steps=3):
    logits = tf.Variable(tf.random.normal((5,)), name="logits")
    prices = tf.constant([1.0, 2.0, 0.5, 3.0, 1.5])
    for _ in range(steps):
        with tf.GradientTape() as tape:
            noise = -tf.math.log(-tf.math.log(tf.random.uniform((16, 5), 1e-6, 1.0 - 1e-6)))
            soft = tf.nn.softmax((logits + noise) / 0.7)
            hard = tf.cast(tf.equal(soft, tf.reduce_max(soft, axis=1, keepdims=True)), tf.float32)
            choice = tf.stop_gradient(hard - soft) + soft
            loss = tf.reduce_mean(choice @ prices[:, None])
        gradient = tape.gradient(loss, logits)
        logits.assign_sub(0.5 * gradient)
    return {"logits": gradient}


@tf.custom_gradient
def binarise(x):
    def backward(g):
        return tf.where(tf.abs(x) <= 1.0, g, tf.zeros_like(g))

    return tf.where(x >= 0.0, tf.ones_like(x), -tf.ones_like(x)), backward


def custom(steps=3):
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    optimizer = keras.optimizers.Adam(1e-2)

    @tf.function
    def gradients_of(x):
        with tf.GradientTape() as tape:
            y = binarise(x @ binarise(layer.kernel.value) + layer.bias)
            loss = tf.reduce_mean(tf.square(y - tf.sign(x[:, :3])))
        return tape.gradient(loss, layer.trainable_variables)

    for _ in range(steps):
        gradients = gradients_of(tf.random.normal((16, 4)))
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables))
    return {"kernel": gradients[0]}


def vq(steps=3):
    encoder = tf.Variable(tf.random.normal((4, 2)), name="encoder")
    codebook = tf.Variable(tf.random.normal((6, 2)), name="codebook")
    decoder = tf.Variable(tf.random.normal((2, 4)), name="decoder")
    variables = [encoder, codebook, decoder]
    for _ in range(steps):
        x = tf.random.normal((12, 4))
        with tf.GradientTape() as tape:
            z = x @ encoder
            far = tf.reduce_sum(tf.square(z[:, None] - codebook[None]), axis=-1)
            nearest = tf.gather(codebook, tf.argmin(far, axis=1))
            passed = z + tf.stop_gradient(nearest - z)
            loss = tf.reduce_mean(tf.square(passed @ decoder - x))
            loss += tf.reduce_mean(tf.square(tf.stop_gradient(z) - nearest))
            loss += 0.25 * tf.reduce_mean(tf.square(z - tf.stop_gradient(nearest)))
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        for variable, gradient in zip(variables, gradients):
            variable.assign_sub(0.05 * gradient)
    return {"encoder": gradients[0], "codebook": gradients[1]}


for train in (quantised, gumbel, custom, vq):
    for name, gradient in train().items():
        print(f"{train.__name__}.{name}: {said(gradient)}")
