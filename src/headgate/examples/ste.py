"""A network of plus and minus ones, trained straight through its sign functions.

Every weight and every hidden activation is -1 or +1, as in BinaryNet (Courbariaux et al. 2016,
arXiv:1602.02830). The sign is flat, so its derivative is zero almost everywhere. The
straight-through estimator (Bengio et al. 2013, arXiv:1308.3432) takes the derivative of another
function in its place, here of the identity from -1 to 1:

    soft = clip(x, -1, 1)
    soft + stop_gradient(sign(x) - soft)

**The stop** makes the difference a constant: the value is the sign, and the gradient is that of
`soft`. **Without it** (`--no-stop`) the two `soft` cancel in the backward pass as well. What
remains is the derivative of the sign, not one weight ever changes, and the accuracy is that of
guessing.

What is trained are the real numbers whose signs are the weights; they are kept from -1 to 1, since
beyond no gradient would reach them. There are no other parameters: the normalization before each
sign has neither scale nor offset.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import headgate as hg
from headgate import losses, nn, optim
from headgate.data import Batches
from headgate.examples import digits
from headgate.examples.train import main
from headgate.examples.training import Program, Result, Run

HIDDEN = 256
BATCH = 64
RATE = 3e-3

Stop = Callable[[Any], Any]


def binarize(x: Any, stop: Stop) -> Any:
    """Return the signs of x (up to rounding), with the gradient of x where it is from -1 to 1."""
    soft = hg.clip(x, -1.0, 1.0)
    return soft + stop(hg.sign(x) - soft)


class BinaryDense(nn.Layer):
    """A fully connected layer without bias whose weights are -1 or +1."""

    def __init__(self, units: int, stop: Stop, name: str) -> None:
        super().__init__(name=name)
        self.units = units
        self.stop = stop

    def build(self, input_shape: Any) -> None:
        """Make the real numbers whose signs are the weights."""
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(shape, nn.RandomUniform(-1.0, 1.0), name="kernel")

    def call(self, x: Any) -> Any:
        """Multiply; divide by the root of the number of terms, so that sizes stay near one."""
        return x @ binarize(self.kernel, self.stop) / math.sqrt(self.kernel.shape[0])


def network(stop: Stop) -> nn.Sequential:
    """Make a network with two hidden layers of signs."""

    def signs(number: int) -> list[nn.Layer]:
        return [
            BinaryDense(HIDDEN, stop, f"dense_{number}"),
            nn.BatchNormalization(center=False, scale=False, name=f"normalize_{number}"),
            nn.Lambda(lambda x: binarize(x, stop), name=f"sign_{number}"),
        ]

    return nn.Sequential(
        [
            nn.Input((digits.PIXELS,)),
            *signs(1),
            *signs(2),
            BinaryDense(digits.CLASSES, stop, "logits"),
        ],
        name="network",
    )


def accuracy(model: nn.Sequential, images: Any, labels: Any) -> float:
    """Return the share of the images that are recognised."""
    return float(np.mean(model(images).numpy().argmax(1) == labels))


def signs_of(model: nn.Sequential) -> Any:
    """Return the signs of all weights in one row."""
    return np.concatenate([np.sign(v.numpy()).ravel() for v in model.trainable_variables])


def train(run: Run) -> Result:
    """Train the binary network on digits; test it on those held out."""
    images, labels, test_images, test_labels = digits.load()
    model = network(run.stop)
    loss_of = losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = optim.Adam(RATE)
    batches = Batches(images, labels, batch_size=BATCH, seed=run.seed)
    before = signs_of(model)
    run.keep(model=model, optimizer=optimizer, batches=batches)
    for _ in run.steps():
        x, y = next(batches)
        with hg.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        for kernel in model.trainable_variables:
            kernel.assign(hg.clip(kernel, -1.0, 1.0))
        if run.every(100):
            run.log(loss=loss, accuracy=accuracy(model, test_images, test_labels))
    return Result(
        {
            "accuracy": accuracy(model, test_images, test_labels),
            "training_accuracy": accuracy(model, images, labels),
            "signs_changed": float(np.mean(signs_of(model) != before)),
        }
    )


PROGRAM = Program(
    "ste",
    "Train a network of binary weights and activations straight through its signs",
    train,
    steps=2000,
    curves=("accuracy", "loss"),
    least={"accuracy": 0.9},
    without_stop="every gradient is zero, no weight changes: accuracy as by chance",
)

if __name__ == "__main__":
    main(PROGRAM)
