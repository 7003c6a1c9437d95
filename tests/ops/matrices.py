"""What tests of linear algebra share: matrices, gradients, weights."""

import numpy as np

import headgate as hg
from headgate.testing import OpCase


def made(maker, letter="f"):
    return OpCase("", [maker]).make(letter)[0]


def adjoint(x):
    return hg.conj(x.mT)


def gradient(f, x):
    x = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x).value


WEIGHTS = np.random.default_rng(5).normal(size=(6, 6))


def weigh(x):
    """Return a matrix with every element weighted differently, so that none goes unchecked."""
    return x * WEIGHTS[: x.shape[-2], : x.shape[-1]]


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)
