"""The programs that Headgate's are timed beside are the same programs: they give the same numbers.

Each library draws in its own way, so what it draws is replaced: here all draw weights and noise
from NumPy's generator, in the order in which they ask. Then the losses after some steps can only
agree if networks, losses, optimizers, batches, environments and the order of it all do.

TensorFlow's programs are run eagerly. Those with `tf.function` are the same text; that they learn
is tested.
"""

import itertools

import numpy as np
import pytest

import headgate as hg
from headgate.nn.initializers import VarianceScaling

for _library in ("gymnasium", "rich", "sklearn", "typer"):
    pytest.importorskip(_library)

from benchmarks import training  # noqa: E402

from headgate.examples.training import Run  # noqa: E402

STEPS = 12

# How closely, relative to the numbers. PyTorch's Adam adds epsilon after the correction of the
# bias, which makes small gradients count less in the first steps.
PEERS = [
    pytest.param("torch", 2e-3, marks=pytest.mark.torch),
    pytest.param(
        "tensorflow", 2e-4, marks=[pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]
    ),
]


class Draws:
    """One sequence of draws for all libraries."""

    def __init__(self):
        self.random = np.random.default_rng(0)

    def kernel(self, inputs, outputs):
        limit = (6.0 / (inputs + outputs)) ** 0.5
        return self.random.uniform(-limit, limit, (inputs, outputs)).astype("float32")

    def normal(self, *shape):
        return self.random.standard_normal(shape, "float32")

    def categorical(self, logits):
        """Return a number for each row, of shape (rows, 1)."""
        chances = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
        below = np.cumsum(chances, axis=-1) / np.sum(chances, axis=-1, keepdims=True)
        return (self.random.uniform(size=(len(logits), 1)) > below).sum(axis=-1, keepdims=True)


def draw_alike(peer, monkeypatch):
    """Let a library draw from a new sequence."""
    draws = Draws()
    if peer == "headgate":
        monkeypatch.setattr(
            VarianceScaling, "__call__", lambda self, shape, dtype: hg.asarray(draws.kernel(*shape))
        )
        monkeypatch.setattr(
            hg.random, "normal", lambda shape, dtype: hg.asarray(draws.normal(*shape))
        )
        monkeypatch.setattr(
            hg.random,
            "categorical",
            lambda logits, num_samples: hg.asarray(draws.categorical(logits.numpy())),
        )
    elif peer == "torch":
        import torch

        def fill(weight):
            weight.data.copy_(torch.from_numpy(draws.kernel(*reversed(weight.shape)).T))

        monkeypatch.setattr(torch.nn.init, "xavier_uniform_", fill)
        monkeypatch.setattr(torch, "randn", lambda *shape: torch.from_numpy(draws.normal(*shape)))
        monkeypatch.setattr(
            torch,
            "multinomial",
            lambda chances, count: torch.from_numpy(draws.categorical(chances.log().numpy())),
        )
    else:
        import tensorflow as tf
        from benchmarks import tensorflow_training

        monkeypatch.setattr(tensorflow_training, "glorot_uniform", draws.kernel)
        monkeypatch.setattr(tf.random, "normal", lambda shape: tf.constant(draws.normal(*shape)))
        monkeypatch.setattr(
            tf.random,
            "categorical",
            lambda logits, count: tf.constant(draws.categorical(logits.numpy())),
        )


def last_metrics(peer, name, monkeypatch):
    """Train for some steps and return what was logged in the last of them."""
    run = training.TimedRun(STEPS)
    with monkeypatch.context() as patch:
        draw_alike(peer, patch)
        training.trainer(peer, name)(run)
    (metrics,) = run.history
    return metrics


@pytest.mark.parametrize(("peer", "close"), PEERS)
@pytest.mark.parametrize("name", training.NAMES)
def test_same_numbers(name, peer, close, monkeypatch):
    expected = last_metrics("headgate", name, monkeypatch)
    found = last_metrics(peer, name, monkeypatch)
    assert len(found) > 2
    assert found == pytest.approx({key: expected[key] for key in found}, rel=close)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore")
def test_compiled_program_learns():
    def elbo(steps):
        return training.trainer("tensorflow-function", "vae")(Run(steps)).figures["elbo"]

    assert elbo(300) > elbo(1) + 50


def test_timed_run_counts_neither_the_first_steps_nor_the_last():
    run = training.TimedRun.of(3)
    passed = []
    for step in run.steps():
        passed.append(run.every(100))
        run.seconds += 1000.0 if step <= training.WARM_UP or step == run.total else 1.0
    assert passed == [False] * (training.WARM_UP + 3) + [True]
    assert run.seconds_per_step == pytest.approx(1.0, abs=0.5)


def test_turns_begin_with_another_peer_each_round():
    order = list(training.turns(["a", "b", "c"], 2))
    assert order == [*"abc", *"bca"]
    assert all(x != y for x, y in itertools.pairwise(order[:3]))
