# cause: none
# line: 0
# affected: -
# symptom: legit: reparametrised codes, a codebook of averages, noise that is predicted, flows
# expect: vae=learns codebook=learns diffusion=learns flow=learns distilled=learns
# also: -
# stops: 58 61 62 63 64
"""A VAE, a codebook that follows averages, diffusion, a coupling flow, and distillation."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(313)
dense = keras.layers.Dense
X = np.tanh(np.random.normal(size=(48, 6))).astype("float32")


def network(inputs, outputs):
    return keras.Sequential([keras.Input((inputs,)), dense(16, "gelu"), dense(outputs)])


def fit(variables, loss_of, steps=4, rate=1e-2):
    start, optimizer = [v.numpy() for v in variables], keras.optimizers.Adam(rate)
    for step in range(steps):
        x = tf.constant(X[12 * (step % 4) : 12 * (step % 4) + 12])
        with tf.GradientTape() as tape:
            loss = loss_of(x)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables))
    changed = [(v.numpy() != before).any() for v, before in zip(variables, start)]
    return "learns" if all(changed) else "still"


def vae():
    encoder, decoder = network(6, 4), network(2, 6)

    def loss_of(x):
        mean, log_var = tf.split(encoder(x), 2, axis=1)
        code = mean + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(mean))
        divergence = 0.5 * tf.reduce_sum(tf.exp(log_var) + mean**2 - 1.0 - log_var, axis=1)
        far = tf.reduce_sum(tf.square(decoder(code) - x), axis=1)
        return tf.reduce_mean(far + 0.1 * divergence)

    return fit(encoder.trainable_variables + decoder.trainable_variables, loss_of)


def codebook(decay=0.9):
    """Codes follow the averages of what is near them; no gradient moves them."""
    encoder, decoder = network(6, 3), network(3, 6)
    codes = tf.Variable(tf.random.normal((5, 3)), trainable=False, name="codes")
    counts = tf.Variable(tf.ones(5), trainable=False, name="counts")
    sums = tf.Variable(codes, trainable=False, name="sums")

    def loss_of(x):
        z = encoder(x)
        far = tf.reduce_sum((z[:, None] - codes[None]) ** 2, axis=-1)
        chosen = tf.one_hot(tf.argmin(far, axis=1), 5)
        q = chosen @ codes
        counts.assign(decay * counts + (1.0 - decay) * tf.reduce_sum(chosen, axis=0))
        sums.assign(decay * sums + (1.0 - decay) * tf.matmul(chosen, z, transpose_a=True))
        codes.assign(sums / counts[:, None])
        passed = z + tf.stop_gradient(q - z)
        commit = tf.reduce_mean((z - tf.stop_gradient(q)) ** 2)
        return tf.reduce_mean((decoder(passed) - x) ** 2) + 0.25 * commit

    return fit(encoder.trainable_variables + decoder.trainable_variables, loss_of)


def diffusion():
    net = network(7, 6)
    slow = keras.models.clone_model(net)
    slow.set_weights(net.get_weights())

    def loss_of(x):
        time = tf.random.uniform((len(x), 1))
        noise = tf.random.normal(tf.shape(x))
        noisy = tf.cos(1.5 * time) * x + tf.sin(1.5 * time) * noise
        for a, b in zip(slow.weights, net.weights):
            a.assign(0.9 * a + 0.1 * b)
        return tf.reduce_mean(tf.square(net(tf.concat([noisy, time], axis=1)) - noise))

    word = fit(net.trainable_variables, loss_of)
    x = tf.random.normal((4, 6))
    for time in (0.9, 0.5, 0.1):
        guess = slow(tf.concat([x, tf.fill((4, 1), time)], axis=1))
        x = x - 0.3 * guess
    assert np.isfinite(x).all()
    return word


def flow():
    """Two couplings; the logarithms of the scales are the determinant."""
    nets = [network(3, 6), network(3, 6)]

    def loss_of(x):
        total = 0.0
        for net in nets:
            kept, changed = tf.split(x, 2, axis=1)
            log_scale, shift = tf.split(net(kept), 2, axis=1)
            log_scale = tf.tanh(log_scale)
            x = tf.concat([changed * tf.exp(log_scale) + shift, kept], axis=1)
            total += tf.reduce_sum(log_scale, axis=1)
        return tf.reduce_mean(0.5 * tf.reduce_sum(x**2, axis=1) - total)

    return fit([v for net in nets for v in net.trainable_variables], loss_of)


def distilled():
    """A teacher that was trained before says what a student should say."""
    teacher, student = network(6, 3), network(6, 3)
    teacher.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.argmax(X[:, :3], axis=1)
    teacher.fit(X, labels, epochs=1, verbose=0)

    def loss_of(x):
        said = tf.nn.softmax(teacher(x, training=False) / 2.0)
        logits = student(x, training=True)
        hard = keras.losses.sparse_categorical_crossentropy(
            tf.argmax(x[:, :3], axis=1), logits, from_logits=True
        )
        soft = tf.reduce_sum(said * (tf.math.log(said) - tf.nn.log_softmax(logits / 2.0)), axis=1)
        return tf.reduce_mean(0.5 * hard + 2.0 * soft)

    return fit(student.trainable_variables, loss_of)


for train in (vae, codebook, diffusion, flow, distilled):
    print(f"{train.__name__}: {train()}")
