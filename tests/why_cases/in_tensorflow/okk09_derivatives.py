# cause: none
# line: 0
# affected: -
# symptom: legit: derivatives of derivatives, by tapes, Jacobians and accumulators
# expect: physics=learns contractive=learns newton=small sobolev=learns forward=learns
# also: -
# stops: 103
"""A differential equation, a contractive autoencoder, Newton steps, Sobolev training, and tangents."""

import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(309)
dense = keras.layers.Dense


def network(inputs, outputs):
    return keras.Sequential([keras.Input((inputs,)), dense(12, "tanh"), dense(outputs)])


def moved(net, start):
    pairs = zip(net.weights, start)
    return "learns" if all((v.numpy() != before).any() for v, before in pairs) else "still"


def physics(steps=4):
    """u'' = -u with u(0) = 0 and u'(0) = 1."""
    net, optimizer = network(1, 1), keras.optimizers.Adam(1e-2)
    start = net.get_weights()
    for _ in range(steps):
        t = tf.random.uniform((24, 1), 0.0, 3.0)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as second:
                second.watch(t)
                with tf.GradientTape() as first:
                    first.watch(t)
                    u = net(t)
                slope = first.gradient(u, t)
            bend = second.gradient(slope, t)
            zero = tf.zeros((1, 1))
            with tf.GradientTape() as at_zero:
                at_zero.watch(zero)
                begin = net(zero)
            begin_slope = at_zero.gradient(begin, zero)
            loss = tf.reduce_mean(tf.square(bend + u))
            loss += tf.reduce_sum(begin**2 + (begin_slope - 1.0) ** 2)
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables))
    return moved(net, start)


def contractive(steps=3):
    encoder, decoder = dense(4, "sigmoid"), dense(6)
    encoder.build((None, 6))
    decoder.build((None, 4))
    variables = encoder.trainable_variables + decoder.trainable_variables
    start, optimizer = [v.numpy() for v in variables], keras.optimizers.Adam(1e-2)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(x)
                code = encoder(x)
            jacobian = inner.batch_jacobian(code, x)
            loss = tf.reduce_mean(tf.square(decoder(code) - x))
            loss += 0.1 * tf.reduce_mean(tf.reduce_sum(jacobian**2, axis=[1, 2]))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

    for _ in range(steps):
        step(tf.random.normal((12, 6)))
    still = [np.array_equal(v.numpy(), before) for v, before in zip(variables, start)]
    return "still" if any(still) else "learns"


def newton(steps=6):
    place = tf.Variable([1.2, -0.7])
    for _ in range(steps):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                x, y = place[0], place[1]
                value = (x - 0.3) ** 4 + (x - 0.3) ** 2 + tf.cosh(y + 0.1)
            slope = inner.gradient(value, place)
        curvature = outer.jacobian(slope, place)
        place.assign_sub(tf.linalg.solve(curvature, slope[:, None])[:, 0])
    return "small" if float(tf.norm(slope)) < 1e-2 else "large"


def sobolev(steps=4):
    """Values and slopes of a function are both fitted, with one persistent tape inside."""
    net, optimizer = network(2, 1), keras.optimizers.Nadam(1e-2)
    start = net.get_weights()
    for _ in range(steps):
        x = tf.random.normal((16, 2))
        with tf.GradientTape() as tape:
            with tf.GradientTape(persistent=True) as inner:
                inner.watch(x)
                y = net(x)
                goal = tf.sin(x[:, :1]) * x[:, 1:]
            slopes = inner.gradient(y, x)
            with tape.stop_recording():
                wanted = inner.gradient(goal, x)
            del inner
            loss = tf.reduce_mean(tf.square(y - goal)) + tf.reduce_mean((slopes - wanted) ** 2)
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables))
    return moved(net, start)


def forward(steps=4):
    """A step along a random direction, by its derivative; then a product with the Hessian."""
    w = tf.Variable(tf.random.normal((4, 2)), name="w")
    start = w.numpy()
    for _ in range(steps):
        x, direction = tf.random.normal((8, 4)), tf.random.normal((4, 2))
        with tf.autodiff.ForwardAccumulator(w, direction) as accumulator:
            loss = tf.reduce_mean(tf.square(tf.tanh(x @ w) - x[:, :2]))
        w.assign_sub(0.05 * accumulator.jvp(loss) * direction)
        with tf.autodiff.ForwardAccumulator(w, direction) as accumulator:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(x @ w - x[:, :2]))
            gradient = tape.gradient(loss, w)
        product = accumulator.jvp(gradient)
        w.assign_sub(0.05 * gradient / (1.0 + tf.norm(product)))
    return "learns" if (w.numpy() != start).all() else "still"


for train in (physics, contractive, newton, sobolev, forward):
    print(f"{train.__name__}: {train()}")
