"""The variational autoencoder of `headgate.examples.vae` in plain JAX: the same program, compiled.

Sizes, learning rate, data and the way a test ELBO is measured are those of the program itself. All
else is written here once more: initialisation, batches, the loss, its gradient and Adam. What the
two reach may then differ by chance only.

    python -m benchmarks.jax_vae
"""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn, random

from headgate.examples import digits
from headgate.examples.training import Run
from headgate.examples.vae import (
    BATCH,
    DOTS,
    HIDDEN,
    LATENT,
    PROGRAM,
    RATE,
    WAYS,
    held_out,
)

SEEDS = (0, 1, 2)
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7

Layer = tuple[jax.Array, jax.Array]
Weights = list[Layer]


def dense(key: jax.Array, inputs: int, outputs: int) -> Layer:
    """Draw a kernel as Glorot and Bengio do, uniformly; the bias is zero."""
    limit = (6 / (inputs + outputs)) ** 0.5
    return random.uniform(key, (inputs, outputs), minval=-limit, maxval=limit), jnp.zeros(outputs)


def autoencoder(key: jax.Array) -> Weights:
    """Make the weights: two layers of the encoder, two of the decoder."""
    sizes = (digits.PIXELS, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, digits.PIXELS)
    return [dense(k, *size) for k, size in zip(random.split(key, len(sizes)), sizes, strict=True)]


def mlp(x: jax.Array, first: Layer, second: Layer) -> jax.Array:
    """Apply two dense layers with relu between them."""
    return nn.relu(x @ first[0] + first[1]) @ second[0] + second[1]


def bound(weights: Weights, x: jax.Array, ways: jax.Array, noise: jax.Array) -> jax.Array:
    """Return the mean ELBO of images, with one draw of z for each."""
    mean, log_variance = jnp.split(mlp(x, *weights[:2]), 2, axis=-1)
    logits = mlp(mean + jnp.exp(0.5 * log_variance) * noise, *weights[2:])
    cross_entropy = nn.softplus(logits) - x * logits
    divergence = 0.5 * (jnp.exp(log_variance) + mean**2 - 1.0 - log_variance).sum(-1)
    return ((ways - DOTS * cross_entropy).sum(-1) - divergence).mean()


@jax.jit
def epoch(state: Any, x: jax.Array, ways: jax.Array, noise: jax.Array) -> Any:
    """Take a step of Adam for each batch; x, ways and noise have batches along their first axis."""

    def step(state: Any, batch: Any) -> tuple[Any, None]:
        weights, m, v, count = state
        count = count + 1
        g = jax.grad(lambda weights: -bound(weights, *batch))(weights)
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, g)
        rate = RATE * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
        weights = jax.tree.map(
            lambda x, m, v: x - rate * m / (jnp.sqrt(v) + EPSILON), weights, m, v
        )
        return (weights, m, v, count), None

    return lax.scan(step, state, (x, ways, noise))[0]


def logarithms(x: Any) -> Any:
    """Return for each pixel the logarithm of the number of ways to have so many dots."""
    return WAYS[np.rint(DOTS * x).astype(int)]


def elbo(seed: int, steps: int) -> float:
    """Train for some steps and return the test ELBO, in nats per image."""
    images = digits.load().images
    order = np.random.default_rng(seed)
    key, noise_key = random.split(random.key(seed))
    weights = autoencoder(key)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = weights, zeros, zeros, 0
    in_epoch = len(images) // BATCH
    for number, start in enumerate(range(0, steps, in_epoch)):
        count = min(in_epoch, steps - start)
        rows = order.permutation(len(images))[: count * BATCH].reshape(count, BATCH)
        x = images[rows]
        noise = random.normal(random.fold_in(noise_key, number), (count, BATCH, LATENT))
        state = epoch(state, x, logarithms(x), noise)
    test, noise = held_out()
    return float(bound(state[0], test, logarithms(test), noise))


def main() -> None:
    """Measure both programs, and print a line for each seed and the means."""
    pairs = []
    for seed in SEEDS:
        began = time.process_time()
        ours = PROGRAM.train(Run(PROGRAM.steps, seed)).figures["elbo"]
        between = time.process_time()
        pairs.append((ours, elbo(seed, PROGRAM.steps)))
        print(
            f"seed {seed}: headgate {ours:.3f} in {between - began:.1f} s, "
            f"jax {pairs[-1][1]:.3f} in {time.process_time() - between:.1f} s",
            flush=True,
        )
    ours, theirs = np.mean(pairs, axis=0)
    print(f"mean: headgate {ours:.3f}, jax {theirs:.3f}, headgate/jax - 1 {ours / theirs - 1:+.2%}")


if __name__ == "__main__":
    main()
