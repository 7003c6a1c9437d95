"""The same training steps as pure functions for JAX: weights and batch to new weights and losses.

Compiled, they are the reference for what the arithmetic costs once Python is out of the way.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, nn

from benchmarks.programs import LEARNING_RATE
from benchmarks.workloads import CHAIN_LENGTH

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
