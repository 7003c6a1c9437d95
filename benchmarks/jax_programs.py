"""The same training steps as pure functions for JAX: weights and batch to new weights and losses.

Compiled, they are the reference for what the arithmetic costs once Python is out of the way.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, nn

from benchmarks.programs import ADAM_BETAS, ADAM_EPSILON, LEARNING_RATE, NORM_EPSILON
from benchmarks.workloads import (
    CHAIN_LENGTH,
    HEADS,
    WISHART_DEGREES,
    WISHART_SCALE,
    mixture_constant,
)

Weights = dict[str, list[jax.Array]]
Result = tuple[Weights, tuple[jax.Array, ...]]


def mlp(x: jax.Array, variables: list[jax.Array]) -> jax.Array:
    """Apply dense layers with relu between them."""
    *hidden, (last_kernel, last_bias) = zip(variables[::2], variables[1::2], strict=True)
    for kernel, bias in hidden:
        x = nn.relu(x @ kernel + bias)
    return x @ last_kernel + last_bias


def descend(weights: Any, gradients: Any) -> Any:
    """Take one step of gradient descent."""
    return jax.tree.map(lambda weight, g: weight - LEARNING_RATE * g, weights, gradients)


def binary_cross_entropy(logits: jax.Array, labels: Any) -> jax.Array:
    """Return the logistic loss of each logit."""
    return nn.softplus(logits) - labels * logits


def class_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return minus the log probability of each label."""
    return -jnp.take_along_axis(nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]


def chain(weights: Weights) -> Result:
    """Differentiate a sum behind a chain of sines; nothing is updated."""

    def total(y: jax.Array) -> jax.Array:
        for _ in range(CHAIN_LENGTH):
            y = jnp.sin(y)
        return y.sum()

    return weights, jax.value_and_grad(total)(weights["x"][0])


def scalar(weights: Weights) -> Result:
    """Differentiate a scalar expression with one stop; nothing is updated."""
    y = weights["y"][0]
    return weights, jax.value_and_grad(lambda x: x * x + lax.stop_gradient(y) * x)(weights["x"][0])


def gan(weights: Weights, real: jax.Array, noise: jax.Array) -> Result:
    """Train the discriminator on stopped fakes, then the generator through the discriminator."""

    def discriminator_loss(discriminator: list[jax.Array]) -> jax.Array:
        fake = lax.stop_gradient(jnp.tanh(mlp(noise, weights["generator"])))
        return (
            binary_cross_entropy(mlp(real, discriminator), 1).mean()
            + binary_cross_entropy(mlp(fake, discriminator), 0).mean()
        )

    first, gradients = jax.value_and_grad(discriminator_loss)(weights["discriminator"])
    discriminator = descend(weights["discriminator"], gradients)

    def generator_loss(generator: list[jax.Array]) -> jax.Array:
        logits = mlp(jnp.tanh(mlp(noise, generator)), discriminator)
        return binary_cross_entropy(logits, 1).mean()

    second, gradients = jax.value_and_grad(generator_loss)(weights["generator"])
    generator = descend(weights["generator"], gradients)
    return {"generator": generator, "discriminator": discriminator}, (first, second)


def actor_critic(
    weights: Weights, states: jax.Array, actions: jax.Array, returns: jax.Array
) -> Result:
    """Train the actor on a stopped advantage and the critic on its squared error."""

    def actor_loss(actor: list[jax.Array]) -> jax.Array:
        advantage = returns - mlp(states, weights["critic"])[:, 0]
        surprise = class_cross_entropy(mlp(states, actor), actions)
        return (lax.stop_gradient(advantage) * surprise).mean()

    def critic_loss(critic: list[jax.Array]) -> jax.Array:
        return jnp.square(returns - mlp(states, critic)[:, 0]).mean()

    first, actor_gradients = jax.value_and_grad(actor_loss)(weights["actor"])
    second, critic_gradients = jax.value_and_grad(critic_loss)(weights["critic"])
    gradients = {"actor": actor_gradients, "critic": critic_gradients}
    return descend(weights, gradients), (first, second)


def vae(weights: Weights, images: jax.Array, noise: jax.Array) -> Result:
    """Minimise cross entropy and divergence from the prior, with the noise given."""

    def objective(weights: Weights) -> jax.Array:
        mean, log_variance = jnp.split(mlp(images, weights["encoder"]), 2, axis=1)
        code = mean + jnp.exp(0.5 * log_variance) * noise
        cross_entropy = binary_cross_entropy(mlp(code, weights["decoder"]), images).sum()
        divergence = -0.5 * (1 + log_variance - mean**2 - jnp.exp(log_variance)).sum()
        return (cross_entropy + divergence) / images.shape[0]

    loss, gradients = jax.value_and_grad(objective)(weights)
    return descend(weights, gradients), (loss,)


def conv_net(weights: Weights, images: jax.Array, labels: jax.Array) -> Result:
    """Classify images with two convolutions and a dense layer."""

    def layer(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
        x = lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        window = (1, 2, 2, 1)
        return lax.reduce_window(nn.relu(x + bias), -jnp.inf, lax.max, window, window, "SAME")

    def objective(weights: Weights) -> jax.Array:
        x = layer(layer(images, *weights["first"]), *weights["second"])
        logits = mlp(x.reshape(images.shape[0], -1), weights["head"])
        return class_cross_entropy(logits, labels).mean()

    loss, gradients = jax.value_and_grad(objective)(weights)
    return descend(weights, gradients), (loss,)


def lstm(weights: Weights, sequence: jax.Array, target: jax.Array) -> Result:
    """Fit the last hidden state of an LSTM scanned over the sequence."""

    def objective(weights: Weights) -> jax.Array:
        input_kernel, hidden_kernel, bias = weights["cell"]

        def advance(state: Any, inputs: jax.Array) -> Any:
            hidden, memory = state
            gates = inputs @ input_kernel + hidden @ hidden_kernel + bias
            write, keep, candidate, read = jnp.split(gates, 4, axis=1)
            memory = nn.sigmoid(keep) * memory + nn.sigmoid(write) * jnp.tanh(candidate)
            return (nn.sigmoid(read) * jnp.tanh(memory), memory), None

        zeros = jnp.zeros_like(target)
        (hidden, _), _ = lax.scan(advance, (zeros, zeros), sequence)
        return jnp.square(hidden - target).mean()

    loss, gradients = jax.value_and_grad(objective)(weights)
    return descend(weights, gradients), (loss,)


def layer_norm(x: jax.Array, scale: jax.Array, shift: jax.Array) -> jax.Array:
    """Give each row mean 0 and variance 1, then scale and shift it."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = jnp.square(centred).mean(axis=-1, keepdims=True)
    return centred * lax.rsqrt(variance + NORM_EPSILON) * scale + shift


def attention(x: jax.Array, shape: tuple[int, int], variables: list[jax.Array]) -> jax.Array:
    """Let each row attend to the rows of its sequence; `shape` is sequences and length."""
    kernel, bias, out_kernel, out_bias = variables
    heads = (x @ kernel + bias).reshape(*shape, 3, HEADS, -1)
    query, key, value = heads.transpose(2, 0, 3, 1, 4)
    chances = nn.softmax(query * query.shape[-1] ** -0.5 @ key.mT)
    return (chances @ value).transpose(0, 2, 1, 3).reshape(x.shape) @ out_kernel + out_bias


def encoder_layer(x: jax.Array, shape: tuple[int, int], variables: list[jax.Array]) -> jax.Array:
    """Add attention and then a feed-forward network to x, each on normalised rows."""
    x = x + attention(layer_norm(x, *variables[:2]), shape, variables[2:6])
    kernel, bias, out_kernel, out_bias = variables[8:]
    inner = nn.gelu(layer_norm(x, *variables[6:8]) @ kernel + bias, approximate=True)
    return x + inner @ out_kernel + out_bias


def transformer(weights: Weights, tokens: jax.Array, labels: jax.Array) -> Result:
    """Classify each token; tokens are the rows of one matrix, which XLA multiplies quickest."""
    sequences, length, width = tokens.shape

    def objective(weights: Weights) -> jax.Array:
        x = tokens.reshape(-1, width)
        for layer in (weights["first"], weights["second"]):
            x = encoder_layer(x, (sequences, length), layer)
        scale, shift, kernel, bias = weights["head"]
        logits = layer_norm(x, scale, shift) @ kernel + bias
        return class_cross_entropy(logits, labels.ravel()).mean()

    loss, gradients = jax.value_and_grad(objective)(weights)
    return descend(weights, gradients), (loss,)


def mlp_adam(weights: Weights, x: jax.Array, labels: jax.Array) -> Result:
    """Classify with dense layers and take a step of Adam."""

    def objective(network: list[jax.Array]) -> jax.Array:
        return class_cross_entropy(mlp(x, network), labels).mean()

    loss, gradients = jax.value_and_grad(objective)(weights["network"])
    beta_1, beta_2 = ADAM_BETAS
    count = weights["count"][0] + 1

    def moved(beta: float) -> Any:
        return lambda moment, value: beta * moment + (1 - beta) * value

    def updated(variable: jax.Array, mean: jax.Array, square: jax.Array) -> jax.Array:
        mean = mean / (1 - beta_1**count)
        square = square / (1 - beta_2**count)
        return variable - LEARNING_RATE * mean / (jnp.sqrt(square) + ADAM_EPSILON)

    means = jax.tree.map(moved(beta_1), weights["means"], gradients)
    squares = jax.tree.map(moved(beta_2), weights["squares"], jax.tree.map(jnp.square, gradients))
    network = jax.tree.map(updated, weights["network"], means, squares)
    return {"network": network, "means": means, "squares": squares, "count": [count]}, (loss,)


def gmm(weights: Weights, points: jax.Array, places: jax.Array) -> Result:
    """Differentiate the log likelihood of a mixture with its Wishart prior, per point."""

    def objective(mixture: list[jax.Array]) -> jax.Array:
        alphas, means, factors = mixture
        count, size = points.shape
        diagonal, below = jnp.exp(factors[:, :size]), factors[:, size:]
        log_determinants = factors[:, :size].sum(axis=1)
        entries = jnp.concatenate([diagonal, below, jnp.zeros_like(diagonal[:, :1])], axis=1)
        whitened = jnp.einsum("kij,knj->kni", entries[:, places], points - means[:, None])
        exponents = (alphas + log_determinants)[:, None] - 0.5 * jnp.square(whitened).sum(axis=2)
        log_likelihood = nn.logsumexp(exponents, axis=0).sum() - count * nn.logsumexp(alphas)
        prior = (
            0.5 * WISHART_SCALE**2 * (jnp.square(diagonal).sum() + jnp.square(below).sum())
            - WISHART_DEGREES * log_determinants.sum()
        )
        return (log_likelihood + prior + mixture_constant(count, len(alphas), size)) / count

    value, gradients = jax.value_and_grad(objective)(weights["mixture"])
    return weights, (value, *gradients)


def project(camera: jax.Array, point: jax.Array) -> jax.Array:
    """Return where a camera sees a point: Rodrigues' rotation, perspective, distortion."""
    rotation, centre, focal, principal, radial = jnp.split(camera, [3, 6, 7, 9])
    from_centre = point - centre
    angle = jnp.linalg.norm(rotation)
    axis = rotation / angle
    turned = (
        from_centre * jnp.cos(angle)
        + jnp.cross(axis, from_centre) * jnp.sin(angle)
        + axis * (axis @ from_centre) * (1 - jnp.cos(angle))
    )
    plane = turned[:2] / turned[2]
    squared = plane @ plane
    return plane * (1 + radial[0] * squared + radial[1] * squared**2) * focal + principal


def ba(weights: Weights, seen_by: jax.Array, seen: jax.Array, features: jax.Array) -> Result:
    """Differentiate the sum of squared residuals of a scene, in place of their sparse Jacobian."""

    def objective(scene: list[jax.Array]) -> jax.Array:
        cameras, points, importance = scene
        projected = jax.vmap(project)(cameras[seen_by], points[seen])
        residuals = importance[:, None] * (projected - features)
        return jnp.square(residuals).sum() + jnp.square(1 - jnp.square(importance)).sum()

    loss, gradients = jax.value_and_grad(objective)(weights["scene"])
    return weights, (loss, *gradients)


def adbench_lstm(weights: Weights, sequence: jax.Array, state: jax.Array) -> Result:
    """Differentiate the loss of predicting each next row with ADBench's LSTM, scanned."""

    def objective(weights: Weights) -> jax.Array:
        main, (scale_in, scale_out, shift_out) = weights["main"], weights["extra"]

        def advance(state: jax.Array, x: jax.Array) -> Any:
            rows = []
            for weight, bias, hidden, memory in zip(main[::2], main[1::2], state[::2], state[1::2]):
                gates = jnp.stack([x, hidden, x, hidden]) * weight + bias
                keep, write, read = nn.sigmoid(gates[:3])
                memory = keep * memory + write * jnp.tanh(gates[3])
                x = read * jnp.tanh(memory)
                rows += [x, memory]
            return jnp.stack(rows), x

        _, tops = lax.scan(advance, state, sequence[:-1] * scale_in)
        predicted = tops * scale_out + shift_out
        log_sums = jnp.log(2 + jnp.exp(predicted).sum(axis=1, keepdims=True))
        return -(sequence[1:] * (predicted - log_sums)).mean()

    loss, gradients = jax.value_and_grad(objective)(weights)
    return weights, (loss, *gradients["main"], *gradients["extra"])


def distance(rows: jax.Array, target: jax.Array) -> jax.Array:
    """Return the mean squared distance of rows from a target."""
    return jnp.square(rows - target).sum() / len(target)


def embedding(weights: Weights, ids: jax.Array, target: jax.Array) -> Result:
    """Move some rows of a table by gradient descent; the gradient is that by the rows."""
    (table,) = weights["table"]
    loss, g = jax.value_and_grad(distance)(table[ids], target)
    return {"table": [table.at[ids].add(-LEARNING_RATE * g)]}, (loss,)


def embedding_adam(weights: Weights, ids: jax.Array, target: jax.Array) -> Result:
    """Move some rows of a table and their moments by Adam."""
    (table,), (means,), (squares,) = (weights[name] for name in ("table", "means", "squares"))
    loss, g = jax.value_and_grad(distance)(table[ids], target)
    beta_1, beta_2 = ADAM_BETAS
    count = weights["count"][0] + 1
    rows, places = jnp.unique(ids, return_inverse=True, size=ids.size, fill_value=len(table))
    g = jnp.zeros_like(g).at[places].add(g)
    mean = beta_1 * means[rows] + (1 - beta_1) * g
    square = beta_2 * squares[rows] + (1 - beta_2) * jnp.square(g)
    size = jnp.sqrt(1 - beta_2**count) / (1 - beta_1**count)
    change = LEARNING_RATE * size * mean / (jnp.sqrt(square) + ADAM_EPSILON)
    new = {
        "table": [table.at[rows].add(-change, mode="drop")],
        "means": [means.at[rows].set(mean, mode="drop")],
        "squares": [squares.at[rows].set(square, mode="drop")],
        "count": [count],
    }
    return new, (loss,)


def jacobian(weights: Weights) -> Result:
    """Differentiate each output of a network by its input; nothing is updated."""
    (x,) = weights["x"]
    return weights, (jax.jacrev(lambda x: mlp(x, weights["network"]))(x),)


def tall_jacobian(weights: Weights, times: jax.Array) -> Result:
    """Differentiate each value of a curve by its parameters; nothing is updated."""

    def curve(parameters: jax.Array) -> jax.Array:
        heights, centres, widths = parameters.reshape(2, 3).T
        bells = jnp.exp(-jnp.square((times[:, None] - centres) / widths))
        return bells @ heights

    return weights, (jax.jacfwd(curve)(weights["curve"][0]),)


def lstm_unrolled(weights: Weights, sequence: jax.Array, target: jax.Array) -> Result:
    """Fit the last hidden state of an LSTM written out step by step."""

    def objective(weights: Weights) -> jax.Array:
        input_kernel, hidden_kernel, bias = weights["cell"]
        hidden = memory = jnp.zeros_like(target)
        for time in range(len(sequence)):
            gates = sequence[time] @ input_kernel + hidden @ hidden_kernel + bias
            write, keep, candidate, read = jnp.split(gates, 4, axis=1)
            memory = nn.sigmoid(keep) * memory + nn.sigmoid(write) * jnp.tanh(candidate)
            hidden = nn.sigmoid(read) * jnp.tanh(memory)
        return jnp.square(hidden - target).mean()

    loss, gradients = jax.value_and_grad(objective)(weights)
    return descend(weights, gradients), (loss,)
