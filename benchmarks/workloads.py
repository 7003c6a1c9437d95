"""The workloads: initial weights and one batch each, drawn with NumPy from a fixed seed.

Weights are lists of arrays under a group name, in the order in which the programs read them.
Layouts are TensorFlow's: dense kernels (in, out), convolution kernels (height, width, in, out),
images (batch, height, width, channels).

Three objectives come from ADBench (Srajer, Kukelova and Fitzgibbon 2018, "A benchmark of selected
algorithmic differentiation tools on some problems in computer vision and machine learning"):
`gmm`, `ba` and `adbench_lstm`. Their steps are a value and its gradient; nothing is updated.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SEED = 20250130
CHAIN_LENGTH = 100
HEADS = 4
WISHART_SCALE = 1.0  # gamma and m of the prior, as in the files that ADBench supplies
WISHART_DEGREES = 0

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


def transformer(random: np.random.Generator) -> Workload:
    """Two encoder layers of width 128, 4 heads, feed-forward 512; 16 sequences of 64 tokens."""
    batch_size, length, width, inner, classes = 16, 64, 128, 512, 32

    def norm() -> list[np.ndarray]:
        return [np.ones(width, np.float32), np.zeros(width, np.float32)]

    weights = {
        name: [
            *(norm() + dense_stack(random, width, 3 * width) + dense_stack(random, width, width)),
            *(norm() + dense_stack(random, width, inner, width)),
        ]
        for name in ("first", "second")
    }
    weights["head"] = norm() + dense_stack(random, width, classes)
    labels = random.integers(0, classes, (batch_size, length)).astype(np.int32)
    batch = (normal(random, batch_size, length, width), labels)
    return Workload("transformer", "transformer, 2 layers, 64×128, batch 16", weights, batch)


def mlp_adam(random: np.random.Generator) -> Workload:
    """784-800-400-120-10, which is 997,730 parameters, with Adam's moments, batch 128."""
    network = dense_stack(random, 784, 800, 400, 120, 10)
    weights = {
        "network": network,
        "means": [np.zeros_like(array) for array in network],
        "squares": [np.zeros_like(array) for array in network],
        "count": [np.array(0, np.float32)],
    }
    labels = random.integers(0, 10, 128).astype(np.int32)
    batch = (random.random((128, 784), dtype=np.float32), labels)
    return Workload("mlp_adam", "MLP with Adam, 1.0 M parameters, batch 128", weights, batch)


def looked_up(random: np.random.Generator) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return a table of 100,000 rows of 64 numbers; 256 numbers of rows, and what to be near to."""
    ids = random.integers(0, 100_000, 256).astype(np.int32)
    ids[-16:] = ids[:16]
    return np.float32(0.05) * normal(random, 100_000, 64), (ids, normal(random, 256, 64))


def embedding(random: np.random.Generator) -> Workload:
    """Gradient descent of a few rows of a large table."""
    table, batch = looked_up(random)
    title = "embedding, 100,000×64, 256 ids, gradient descent"
    return Workload("embedding", title, {"table": [table]}, batch)


def embedding_adam(random: np.random.Generator) -> Workload:
    """Adam of a few rows of a large table, which leaves the others and their moments alone."""
    table, batch = looked_up(random)
    weights = {
        "table": [table],
        "means": [np.zeros_like(table)],
        "squares": [np.zeros_like(table)],
        "count": [np.array(0, np.float32)],
    }
    title = "embedding, 100,000×64, 256 ids, lazy Adam"
    return Workload("embedding_adam", title, weights, batch)


def jacobian(random: np.random.Generator) -> Workload:
    """All 200 outputs of a network 20-64-200 by its 20 inputs."""
    weights = {"x": [normal(random, 1, 20)], "network": dense_stack(random, 20, 64, 200)}
    return Workload("jacobian", "Jacobian of an MLP, 200 outputs by 20 inputs", weights)


def tall_jacobian(random: np.random.Generator) -> Workload:
    """201 values of a curve by its 6 parameters, as a fit by least squares asks for them."""
    parameters = np.array([1.0, -1.0, 0.5, 0.7, 1.0, 0.8], np.float32)
    times = np.linspace(-3, 3, 201, dtype=np.float32)
    title = "Jacobian of a curve, 201 values by 6 parameters"
    return Workload("tall_jacobian", title, {"curve": [parameters]}, (times,))


def lstm_unrolled(random: np.random.Generator) -> Workload:
    """One LSTM cell over 20 steps, a Python loop everywhere, also where it is compiled."""
    cell = [kernel(random, 128, 512), kernel(random, 128, 512), np.zeros(512, np.float32)]
    batch = (normal(random, 20, 32, 128), normal(random, 32, 128))
    return Workload("lstm_unrolled", "LSTM as a Python loop, 20 steps", {"cell": cell}, batch)


def gmm(random: np.random.Generator) -> Workload:
    """25 Gaussians in 10 dimensions and 1000 points.

    A Gaussian has the logarithms of the diagonal of its inverse covariance's Cholesky factor, and
    then what is below the diagonal, column by column. The batch says for each entry of the factor
    where it is found in that row, with a zero behind it.
    """
    points, components, size = 1000, 25, 10
    below = size * (size - 1) // 2
    factors = 0.3 * normal(random, components, size + below)
    places = np.full((size, size), size + below, np.int32)
    places.T[np.triu_indices(size, 1)] = size + np.arange(below)
    np.fill_diagonal(places, np.arange(size))
    mixture = [normal(random, components), normal(random, components, size), factors]
    batch = (normal(random, points, size), places)
    return Workload("gmm", "ADBench GMM, d 10, K 25, N 1000", {"mixture": mixture}, batch)


def mixture_constant(points: int, components: int, size: int) -> float:
    """Return what the log likelihood of a mixture and its Wishart prior add to the variable part.

    It is the same at every step, and TensorFlow and Headgate share no multivariate gamma function.
    """
    degrees = size + WISHART_DEGREES + 1
    log_gamma = 0.25 * size * (size - 1) * math.log(math.pi) + sum(
        math.lgamma(0.5 * (degrees - index)) for index in range(size)
    )
    normaliser = degrees * size * math.log(WISHART_SCALE / math.sqrt(2)) - log_gamma
    return -0.5 * points * size * math.log(2 * math.pi) - components * normaliser


def ba(random: np.random.Generator) -> Workload:
    """49 cameras, 7776 points, 31843 observations: ADBench's smallest scene, drawn at random.

    A camera is a rotation vector, a centre, a focal length, a principal point and two radial
    distortions, 11 numbers. ADBench asks for the sparse Jacobian of the residuals. What is timed
    here, in every peer alike, is the gradient of the sum of their squares.
    """
    cameras, points, observations = 49, 7776, 31843
    rotations = 0.1 * normal(random, cameras, 3)
    centres = 0.1 * normal(random, cameras, 3) - np.array([0, 0, 5], np.float32)
    focal = 1 + 0.1 * normal(random, cameras, 1)
    rest = 0.01 * normal(random, cameras, 4)
    places = 0.5 * normal(random, points, 3)
    seen_by = random.integers(0, cameras, observations).astype(np.int32)
    seen = random.integers(0, points, observations).astype(np.int32)
    from_centre = places[seen] - centres[seen_by]
    features = from_centre[:, :2] / from_centre[:, 2:] + 0.01 * normal(random, observations, 2)
    scene = [
        np.concatenate([rotations, centres, focal, rest], axis=1),
        places,
        random.uniform(0.5, 1, observations).astype(np.float32),
    ]
    title = "ADBench BA, 49 cameras, 31843 observations"
    return Workload("ba", title, {"scene": scene}, (seen_by, seen, features))


def adbench_lstm(random: np.random.Generator) -> Workload:
    """A diagonal LSTM of two layers and width 14 over 32 steps of bits.

    A layer has a weight and a bias with a row for each of its gates: forget, input, output, change.
    The extra parameters scale the input, scale the output and shift the output. The state is a
    hidden and a memory row for each layer.
    """
    layers, length, width = 2, 32, 14
    weights = {
        "main": [normal(random, 4, width) for _ in range(2 * layers)],
        "extra": [normal(random, width) for _ in range(3)],
    }
    bits = random.integers(0, 2, (length, width)).astype(np.float32)
    batch = (bits, normal(random, 2 * layers, width))
    return Workload("adbench_lstm", "ADBench LSTM, 2 layers, 14×32", weights, batch)


MAKERS: dict[str, Callable[[np.random.Generator], Workload]] = {
    maker.__name__: maker
    for maker in (
        *(chain, scalar, gan, actor_critic, vae, conv_net, lstm, transformer, mlp_adam),
        *(gmm, ba, adbench_lstm),
        *(embedding, embedding_adam, jacobian, tall_jacobian, lstm_unrolled),
    )
}


def make(name: str) -> Workload:
    """Return the named workload; the same arrays every time, whatever else was made before."""
    return MAKERS[name](np.random.default_rng(SEED))
