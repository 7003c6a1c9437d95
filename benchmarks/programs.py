"""The training steps that TensorFlow and Headgate share, word for word.

Each function takes the module `tf` (`tensorflow` or `headgate.tf`) and the variables by group,
and returns a step: a function of the batch that trains once and returns its losses.
Only variables, low-level ops, `GradientTape`, `assign_sub` and `assign_add` are used; for tables,
of whose rows few have a gradient, Keras' optimizers.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.workloads import (
    CHAIN_LENGTH,
    HEADS,
    WISHART_DEGREES,
    WISHART_SCALE,
    mixture_constant,
)

LEARNING_RATE = 1e-3
ADAM_BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-8
NORM_EPSILON = 1e-5

Step = Callable[..., tuple[Any, ...]]
Variables = dict[str, list[Any]]


def mlp(tf: Any, x: Any, variables: list[Any]) -> Any:
    """Apply dense layers with relu between them."""
    *hidden, (last_kernel, last_bias) = zip(variables[::2], variables[1::2], strict=True)
    for kernel, bias in hidden:
        x = tf.nn.relu(tf.matmul(x, kernel) + bias)
    return tf.matmul(x, last_kernel) + last_bias


def descend(variables: list[Any], gradients: list[Any]) -> None:
    """Take one step of gradient descent."""
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign_sub(LEARNING_RATE * gradient)


def chain(tf: Any, variables: Variables) -> Step:
    """Differentiate a sum behind a chain of sines; nothing is updated."""
    (x,) = variables["x"]

    def step() -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            y = x
            for _ in range(CHAIN_LENGTH):
                y = tf.sin(y)
            total = tf.reduce_sum(y)
        return total, tape.gradient(total, x)

    return step


def scalar(tf: Any, variables: Variables) -> Step:
    """Differentiate a scalar expression with one stop; nothing is updated."""
    (x,), (y,) = variables["x"], variables["y"]

    def step() -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            z = x * x + tf.stop_gradient(y) * x
        return z, tape.gradient(z, x)

    return step


def gan(tf: Any, variables: Variables) -> Step:
    """Train the discriminator on stopped fakes, then the generator through the discriminator."""
    generator, discriminator = variables["generator"], variables["discriminator"]

    def cross_entropy(logits: Any, labels: Any) -> Any:
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))

    def step(real: Any, noise: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            fake = tf.stop_gradient(tf.tanh(mlp(tf, noise, generator)))
            real_logits = mlp(tf, real, discriminator)
            fake_logits = mlp(tf, fake, discriminator)
            discriminator_loss = cross_entropy(
                real_logits, tf.ones_like(real_logits)
            ) + cross_entropy(fake_logits, tf.zeros_like(fake_logits))
        descend(discriminator, tape.gradient(discriminator_loss, discriminator))

        with tf.GradientTape() as tape:
            fake_logits = mlp(tf, tf.tanh(mlp(tf, noise, generator)), discriminator)
            generator_loss = cross_entropy(fake_logits, tf.ones_like(fake_logits))
        descend(generator, tape.gradient(generator_loss, generator))
        return discriminator_loss, generator_loss

    return step


def actor_critic(tf: Any, variables: Variables) -> Step:
    """Train the actor on a stopped advantage and the critic on its squared error."""
    actor, critic = variables["actor"], variables["critic"]

    def step(states: Any, actions: Any, returns: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            advantage = returns - tf.squeeze(mlp(tf, states, critic), axis=1)
            surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=actions, logits=mlp(tf, states, actor)
            )
            actor_loss = tf.reduce_mean(tf.stop_gradient(advantage) * surprise)
        descend(actor, tape.gradient(actor_loss, actor))

        with tf.GradientTape() as tape:
            values = tf.squeeze(mlp(tf, states, critic), axis=1)
            critic_loss = tf.reduce_mean(tf.square(returns - values))
        descend(critic, tape.gradient(critic_loss, critic))
        return actor_loss, critic_loss

    return step


def vae(tf: Any, variables: Variables) -> Step:
    """Minimise cross entropy and divergence from the prior, with the noise given."""
    encoder, decoder = variables["encoder"], variables["decoder"]

    def step(images: Any, noise: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(mlp(tf, images, encoder), 2, axis=1)
            code = mean + tf.exp(0.5 * log_variance) * noise
            cross_entropy = tf.reduce_sum(
                tf.nn.sigmoid_cross_entropy_with_logits(
                    labels=images, logits=mlp(tf, code, decoder)
                )
            )
            divergence = -0.5 * tf.reduce_sum(
                1.0 + log_variance - tf.square(mean) - tf.exp(log_variance)
            )
            loss = (cross_entropy + divergence) / images.shape[0]
        weights = encoder + decoder
        descend(weights, tape.gradient(loss, weights))
        return (loss,)

    return step


def conv_net(tf: Any, variables: Variables) -> Step:
    """Classify images with two convolutions and a dense layer."""
    first, second, head = variables["first"], variables["second"], variables["head"]

    def layer(x: Any, kernel: Any, bias: Any) -> Any:
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, strides=1, padding="SAME") + bias)
        return tf.nn.max_pool2d(x, ksize=2, strides=2, padding="SAME")

    def step(images: Any, labels: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            x = layer(layer(images, *first), *second)
            logits = mlp(tf, tf.reshape(x, (images.shape[0], -1)), head)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        weights = first + second + head
        descend(weights, tape.gradient(loss, weights))
        return (loss,)

    return step


def lstm(tf: Any, variables: Variables) -> Step:
    """Fit the last hidden state of an LSTM written out step by step."""
    input_kernel, hidden_kernel, bias = variables["cell"]

    def step(sequence: Any, target: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            hidden = memory = tf.zeros_like(target)
            for time in range(sequence.shape[0]):
                gates = (
                    tf.matmul(sequence[time], input_kernel)
                    + tf.matmul(hidden, hidden_kernel)
                    + bias
                )
                write, keep, candidate, read = tf.split(gates, 4, axis=1)
                memory = tf.sigmoid(keep) * memory + tf.sigmoid(write) * tf.tanh(candidate)
                hidden = tf.sigmoid(read) * tf.tanh(memory)
            loss = tf.reduce_mean(tf.square(hidden - target))
        descend(variables["cell"], tape.gradient(loss, variables["cell"]))
        return (loss,)

    return step


def layer_norm(tf: Any, x: Any, scale: Any, shift: Any) -> Any:
    """Give each row mean 0 and variance 1, then scale and shift it."""
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + NORM_EPSILON) * scale + shift


def attention(tf: Any, x: Any, shape: tuple[int, int], variables: list[Any]) -> Any:
    """Let each row attend to the rows of its sequence; `shape` is sequences and length."""
    kernel, bias, out_kernel, out_bias = variables
    width = x.shape[1]
    heads = tf.reshape(tf.matmul(x, kernel) + bias, (*shape, 3, HEADS, width // HEADS))
    query, key, value = tf.unstack(tf.transpose(heads, (2, 0, 3, 1, 4)))
    scores = tf.matmul(query * (width // HEADS) ** -0.5, key, transpose_b=True)
    attended = tf.matmul(tf.nn.softmax(scores), value)
    rows = tf.reshape(tf.transpose(attended, (0, 2, 1, 3)), (-1, width))
    return tf.matmul(rows, out_kernel) + out_bias


def encoder_layer(tf: Any, x: Any, shape: tuple[int, int], variables: list[Any]) -> Any:
    """Add attention and then a feed-forward network to x, each on normalised rows."""
    x = x + attention(tf, layer_norm(tf, x, *variables[:2]), shape, variables[2:6])
    kernel, bias, out_kernel, out_bias = variables[8:]
    inner = tf.nn.gelu(
        tf.matmul(layer_norm(tf, x, *variables[6:8]), kernel) + bias, approximate=True
    )
    return x + tf.matmul(inner, out_kernel) + out_bias


def transformer(tf: Any, variables: Variables) -> Step:
    """Classify each token; tokens are the rows of one matrix outside of the attention."""
    first, second, head = variables["first"], variables["second"], variables["head"]

    def step(tokens: Any, labels: Any) -> tuple[Any, ...]:
        sequences, length, width = tokens.shape
        with tf.GradientTape() as tape:
            x = tf.reshape(tokens, (-1, width))
            for layer in (first, second):
                x = encoder_layer(tf, x, (sequences, length), layer)
            logits = mlp(tf, layer_norm(tf, x, *head[:2]), head[2:])
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=tf.reshape(labels, (-1,)), logits=logits
                )
            )
        weights = first + second + head
        descend(weights, tape.gradient(loss, weights))
        return (loss,)

    return step


def mlp_adam(tf: Any, variables: Variables) -> Step:
    """Classify with dense layers and take a step of Adam, whose state are variables too."""
    network, means, squares = variables["network"], variables["means"], variables["squares"]
    (count,) = variables["count"]
    beta_1, beta_2 = ADAM_BETAS

    def step(x: Any, labels: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=labels, logits=mlp(tf, x, network)
                )
            )
        gradients = tape.gradient(loss, network)
        count.assign_add(1.0)
        rate = LEARNING_RATE / (1.0 - tf.pow(beta_1, count))
        correction = tf.math.rsqrt(1.0 - tf.pow(beta_2, count))
        for variable, g, mean, square in zip(network, gradients, means, squares, strict=True):
            mean.assign_add((1.0 - beta_1) * (g - mean))
            square.assign_add((1.0 - beta_2) * (tf.square(g) - square))
            variable.assign_sub(rate * mean / (tf.sqrt(square) * correction + ADAM_EPSILON))
        return (loss,)

    return step


def gmm(tf: Any, variables: Variables) -> Step:
    """Differentiate the log likelihood of a mixture with its Wishart prior, per point.

    Constants and signs are those of ADBench, which gives no mean over points.
    """
    alphas, means, factors = variables["mixture"]

    def step(points: Any, places: Any) -> tuple[Any, ...]:
        count, size = points.shape
        with tf.GradientTape() as tape:
            diagonal, below = tf.exp(factors[:, :size]), factors[:, size:]
            log_determinants = tf.reduce_sum(factors[:, :size], axis=1)
            entries = tf.concat([diagonal, below, tf.zeros_like(diagonal[:, :1])], axis=1)
            centred = points - tf.expand_dims(means, 1)
            whitened = tf.matmul(centred, tf.gather(entries, places, axis=1), transpose_b=True)
            exponents = tf.expand_dims(alphas + log_determinants, 1) - 0.5 * tf.reduce_sum(
                tf.square(whitened), axis=2
            )
            log_likelihood = tf.reduce_sum(
                tf.reduce_logsumexp(exponents, axis=0)
            ) - count * tf.reduce_logsumexp(alphas)
            prior = 0.5 * WISHART_SCALE**2 * (
                tf.reduce_sum(tf.square(diagonal)) + tf.reduce_sum(tf.square(below))
            ) - WISHART_DEGREES * tf.reduce_sum(log_determinants)
            constant = mixture_constant(count, alphas.shape[0], size)
            objective = (log_likelihood + prior + constant) / count
        return objective, *tape.gradient(objective, [alphas, means, factors])

    return step


def cross(tf: Any, left: Any, right: Any) -> Any:
    """Return the cross product of each row with the other's."""
    return tf.roll(left, -1, 1) * tf.roll(right, -2, 1) - tf.roll(left, -2, 1) * tf.roll(
        right, -1, 1
    )


def project(tf: Any, cameras: Any, points: Any) -> Any:
    """Return where each camera sees its point: Rodrigues' rotation, perspective, distortion."""
    rotation, centre, focal, principal, radial = tf.split(cameras, [3, 3, 1, 2, 2], axis=1)
    from_centre = points - centre
    angle = tf.sqrt(tf.reduce_sum(tf.square(rotation), axis=1, keepdims=True))
    axis = rotation / angle
    cosine = tf.cos(angle)
    along = tf.reduce_sum(axis * from_centre, axis=1, keepdims=True)
    turned = (
        from_centre * cosine
        + cross(tf, axis, from_centre) * tf.sin(angle)
        + axis * along * (1.0 - cosine)
    )
    plane = turned[:, :2] / turned[:, 2:]
    squared = tf.reduce_sum(tf.square(plane), axis=1, keepdims=True)
    distortion = 1.0 + radial[:, :1] * squared + radial[:, 1:] * tf.square(squared)
    return plane * distortion * focal + principal


def ba(tf: Any, variables: Variables) -> Step:
    """Differentiate the sum of squared residuals of a scene, in place of their sparse Jacobian."""
    cameras, points, weights = variables["scene"]

    def step(seen_by: Any, seen: Any, features: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            projected = project(tf, tf.gather(cameras, seen_by), tf.gather(points, seen))
            residuals = tf.expand_dims(weights, 1) * (projected - features)
            loss = tf.reduce_sum(tf.square(residuals)) + tf.reduce_sum(
                tf.square(1.0 - tf.square(weights))
            )
        gradients = tape.gradient(loss, [cameras, points, weights])
        # A gather's gradient can be rows and their numbers; what is wanted is their sum.
        return loss, *(tf.convert_to_tensor(gradient) for gradient in gradients)

    return step


def adbench_lstm(tf: Any, variables: Variables) -> Step:
    """Differentiate the loss of predicting each next row with ADBench's LSTM.

    Its weights are diagonal, and the sum in its log softmax begins with 2.
    """
    main, extra = variables["main"], variables["extra"]
    scale_in, scale_out, shift_out = extra
    layers = list(zip(main[::2], main[1::2], strict=True))

    def step(sequence: Any, state: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            rows = tf.unstack(state)
            hidden, memory = rows[::2], rows[1::2]
            tops = []
            for x in tf.unstack(sequence[:-1] * scale_in):
                for index, (weight, bias) in enumerate(layers):
                    last = hidden[index]
                    keep, write, read, change = tf.unstack(
                        tf.stack([x, last, x, last]) * weight + bias
                    )
                    memory[index] = tf.sigmoid(keep) * memory[index] + tf.sigmoid(write) * tf.tanh(
                        change
                    )
                    x = hidden[index] = tf.sigmoid(read) * tf.tanh(memory[index])
                tops.append(x)
            predicted = tf.stack(tops) * scale_out + shift_out
            log_sums = tf.math.log(2.0 + tf.reduce_sum(tf.exp(predicted), axis=1, keepdims=True))
            loss = -tf.reduce_mean(sequence[1:] * (predicted - log_sums))
        return loss, *tape.gradient(loss, main + extra)

    return step


def distance(tf: Any, table: Any, ids: Any, target: Any) -> Any:
    """Return the mean squared distance of rows of a table from a target."""
    rows = tf.nn.embedding_lookup(table, ids)
    return tf.reduce_sum(tf.square(rows - target)) / ids.shape[0]


def embedding(tf: Any, variables: Variables) -> Step:
    """Move some rows of a table by gradient descent."""
    (table,) = variables["table"]
    optimizer = tf.keras.optimizers.SGD(LEARNING_RATE)
    optimizer.build([table])

    def step(ids: Any, target: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            loss = distance(tf, table, ids, target)
        optimizer.apply_gradients([(tape.gradient(loss, table), table)])
        return (loss,)

    return step


def embedding_adam(tf: Any, variables: Variables) -> Step:
    """Move some rows of a table and their moments by Adam, whose state is the optimizer's own."""
    (table,) = variables["table"]
    optimizer = tf.keras.optimizers.Adam(
        LEARNING_RATE, *ADAM_BETAS, epsilon=ADAM_EPSILON, lazy=True
    )
    optimizer.build([table])
    variables["count"], variables["means"], variables["squares"] = (
        [variable] for variable in optimizer.variables
    )

    def step(ids: Any, target: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            loss = distance(tf, table, ids, target)
        optimizer.apply_gradients([(tape.gradient(loss, table), table)])
        return (loss,)

    return step


def jacobian(tf: Any, variables: Variables) -> Step:
    """Differentiate each output of a network by its input; nothing is updated."""
    (x,), network = variables["x"], variables["network"]

    def step() -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            outputs = mlp(tf, x, network)
        return (tape.jacobian(outputs, x),)

    return step


def curve(tf: Any, parameters: Any, times: Any) -> Any:
    """Return the sum of two bells at some times."""
    height, centre, width, other_height, other_centre, other_width = tf.unstack(parameters)
    return height * tf.exp(-tf.square((times - centre) / width)) + other_height * tf.exp(
        -tf.square((times - other_centre) / other_width)
    )


def tall_jacobian(tf: Any, variables: Variables) -> Step:
    """Differentiate each value of a curve by its parameters; nothing is updated."""
    (parameters,) = variables["curve"]

    def step(times: Any) -> tuple[Any, ...]:
        with tf.GradientTape() as tape:
            values = curve(tf, parameters, times)
        return (tape.jacobian(values, parameters),)

    return step


def lstm_unrolled(tf: Any, variables: Variables) -> Step:
    """Fit the last hidden state of an LSTM written out step by step, also where it is compiled."""
    return lstm(tf, variables)
