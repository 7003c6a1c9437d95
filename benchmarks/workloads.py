"""The workloads: initial weights and one batch each, drawn with NumPy from a fixed seed.

Weights are lists of arrays under a group name, in the order in which the programs read them.
Layouts are TensorFlow's: dense kernels (in, out), convolution kernels (height, width, in, out),
images (batch, height, width, channels).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SEED = 20250130
CHAIN_LENGTH = 100

Weights = dict[str, list[np.ndarray]]


@dataclass(frozen=True, slots=True)
class Workload:
    """What every peer is given: weights to start from, a batch, and how to read the time."""

    name: str
    title: str
    weights: Weights
    batch: tuple[np.ndarray, ...] = ()
    divide_by: int = 1


def dense_stack(random: np.random.Generator, *widths: int) -> list[np.ndarray]:
    """Return kernel, bias, kernel, bias, ... of dense layers between the given widths."""
    arrays = []
    for fan_in, fan_out in pairwise(widths):
        arrays += [kernel(random, fan_in, fan_out), np.zeros(fan_out, np.float32)]
    return arrays


def kernel(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Return normal weights scaled by the square root of 2 over the fan-in."""
    return normal(random, *shape) * np.float32(np.sqrt(2 / np.prod(shape[:-1])))


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Return standard normal float32 values."""
    return random.standard_normal(shape, dtype=np.float32)


def chain(random: np.random.Generator) -> Workload:
    """100 times sin on ten elements: the cost of one op, not of its arithmetic."""
    title = f"sin chain, 10 elements, per op (of {CHAIN_LENGTH})"
    return Workload("chain", title, {"x": [normal(random, 10)]}, divide_by=CHAIN_LENGTH)


def scalar(random: np.random.Generator) -> Workload:
    """Two scalars and a stop."""
    weights = {"x": [np.array(2, np.float32)], "y": [np.array(3, np.float32)]}
    return Workload("scalar", "scalar: x·x + stop(y)·x", weights)


def gan(random: np.random.Generator) -> Workload:
    """Generator 64-256-256-784 and discriminator 784-256-256-1, batch 64."""
    weights = {
        "generator": dense_stack(random, 64, 256, 256, 784),
        "discriminator": dense_stack(random, 784, 256, 256, 1),
    }
    batch = (np.tanh(normal(random, 64, 784)), normal(random, 64, 64))
    return Workload("gan", "GAN MLP, 784-256-256, batch 64", weights, batch)


def actor_critic(random: np.random.Generator) -> Workload:
    """Two separate networks 10-64-64 with four actions and one value, batch 10."""
    weights = {
        "actor": dense_stack(random, 10, 64, 64, 4),
        "critic": dense_stack(random, 10, 64, 64, 1),
    }
    actions = random.integers(0, 4, 10).astype(np.int32)
    batch = (normal(random, 10, 10), actions, normal(random, 10))
    return Workload("actor_critic", "actor-critic, 10-64-64, batch 10", weights, batch)


def vae(random: np.random.Generator) -> Workload:
    """784-400-20-400-784 with the noise given, batch 128."""
    weights = {
        "encoder": dense_stack(random, 784, 400, 2 * 20),
        "decoder": dense_stack(random, 20, 400, 784),
    }
    batch = (random.random((128, 784), dtype=np.float32), normal(random, 128, 20))
    return Workload("vae", "VAE, 784-400-20, batch 128", weights, batch)


def conv_net(random: np.random.Generator) -> Workload:
    """Two convolutions with pooling and a dense layer, 28 x 28 x 1, batch 32."""
    weights = {
        "first": [kernel(random, 3, 3, 1, 16), np.zeros(16, np.float32)],
        "second": [kernel(random, 3, 3, 16, 32), np.zeros(32, np.float32)],
        "head": dense_stack(random, 7 * 7 * 32, 10),
    }
    labels = random.integers(0, 10, 32).astype(np.int32)
    batch = (random.random((32, 28, 28, 1), dtype=np.float32), labels)
    return Workload("conv_net", "conv net, 28×28, batch 32", weights, batch)


def lstm(random: np.random.Generator) -> Workload:
    """One LSTM cell written out over 40 steps, input and hidden width 128, batch 32."""
    cell = [kernel(random, 128, 512), kernel(random, 128, 512), np.zeros(512, np.float32)]
    batch = (normal(random, 40, 32, 128), normal(random, 32, 128))
    return Workload("lstm", "LSTM, 40 steps, hidden 128, batch 32", {"cell": cell}, batch)


MAKERS: dict[str, Callable[[np.random.Generator], Workload]] = {
    maker.__name__: maker for maker in (chain, scalar, gan, actor_critic, vae, conv_net, lstm)
}


def make(name: str) -> Workload:
    """Return the named workload; the same arrays every time, whatever else was made before."""
    return MAKERS[name](np.random.default_rng(SEED))
