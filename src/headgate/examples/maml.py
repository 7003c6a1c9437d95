"""Model-agnostic meta-learning on sinusoids (Finn, Abbeel & Levine 2017, arXiv:1703.03400).

A task is a sine wave of unknown amplitude and phase, of which ten points are seen. MAML learns not
a wave but weights from which *one* step of gradient descent on ten points comes close to any wave.
So the loss that is trained is that after the step, and the step is part of the computation:

    adapted = weights - rate * gradient(loss of the points seen)
    loss of other points of the same wave, computed with the adapted weights

The gradient of that by the weights goes through the inner gradient, which takes second derivatives.
**The stop** makes the inner gradient a constant, and MAML the first-order approximation of the
paper's section 5.2. Nothing else differs. **Without the stop** (`--no-stop`) this is full MAML.
Both learn, which is what the paper found; a step of full MAML takes longer.

All tasks of a batch are adapted in one computation: each has a copy of the weights along a leading
axis, and the gradient of the sum of all losses by a copy is that of its own task's loss.

The loss is told for waves held out, at points that were not seen, after numbers of steps; also for
the same network before it was trained, which some steps at this rate do not bring near any wave.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import headgate as hg
from headgate import nn, optim
from headgate.examples.train import main
from headgate.examples.training import Program, Result, Run

TASKS = 25
SHOTS = 10
HIDDEN = 40
INNER_RATE = 0.01
RATE = 2e-3
HELD_OUT = 600
POINTS = 40
"""Points of a held-out wave that the adapted network is measured at."""

Weights = list[Any]


class Waves:
    """Tasks: amplitudes from 0.1 to 5, phases from 0 to pi."""

    def __init__(self, count: int) -> None:
        self.amplitude = hg.random.uniform((count, 1, 1), 0.1, 5.0, "float32")
        self.phase = hg.random.uniform((count, 1, 1), 0.0, math.pi, "float32")

    def points(self, count: int) -> tuple[Any, Any]:
        """Draw points of each wave, x from -5 to 5; return x and y of shape (tasks, count, 1)."""
        x = hg.random.uniform((len(self.phase), count, 1), -5.0, 5.0, "float32")
        return x, self.amplitude * hg.sin(x - self.phase)


def fresh_weights() -> list[hg.Variable]:
    """Make kernels and biases of a network with two hidden layers."""
    weights = []
    for number, (inputs, outputs) in enumerate(pairwise((1, HIDDEN, HIDDEN, 1)), 1):
        kernel = nn.GlorotNormal()((inputs, outputs))
        bias = nn.Zeros()((1, outputs))
        weights.append(hg.Variable(kernel, name=f"network/dense_{number}/kernel"))
        weights.append(hg.Variable(bias, name=f"network/dense_{number}/bias"))
    return weights


def copies(weights: Weights, count: int) -> Weights:
    """Return the weights once for each task, along a leading axis."""
    return [hg.broadcast_to(weight, (count, *weight.shape)) for weight in weights]


def predict(weights: Weights, x: Any) -> Any:
    """Apply each task's network to the task's points."""
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = hg.relu(x @ kernel + bias)
    return x @ weights[-2] + weights[-1]


def losses(weights: Weights, x: Any, y: Any) -> Any:
    """Return the mean squared error of each task."""
    return hg.mean(hg.square(predict(weights, x) - y), axis=(1, 2))


def adapt(weights: Weights, x: Any, y: Any, stop: Callable[[Any], Any]) -> Weights:
    """Take one step of gradient descent for each task; the step is differentiable itself."""
    with hg.GradientTape() as tape:
        tape.watch(weights)
        loss = hg.sum(losses(weights, x, y))
    gradients = tape.gradient(loss, weights)
    return [
        weight - INNER_RATE * stop(gradient)
        for weight, gradient in zip(weights, gradients, strict=True)
    ]


def losses_after(
    steps: tuple[int, ...], weights: Weights, seen: tuple[Any, Any], others: tuple[Any, Any]
) -> list[float]:
    """Return the mean loss at other points after numbers of steps on the points seen."""
    fast, found = copies(weights, HELD_OUT), []
    for step in range(steps[-1] + 1):
        if step in steps:
            found.append(float(hg.mean(losses(fast, *others))))
        fast = adapt(fast, *seen, hg.stop_gradient)
    return found


def train(run: Run) -> Result:
    """Learn weights that one step adapts to any wave; measure them on waves held out."""
    held_out = Waves(HELD_OUT)
    seen, others = held_out.points(SHOTS), held_out.points(POINTS)
    weights = fresh_weights()
    untrained = losses_after((1, 10), weights, seen, others)
    optimizer = optim.Adam(optim.schedules.CosineDecay(RATE, run.total))
    run.keep(weights=weights, optimizer=optimizer)
    for _ in run.steps():
        waves = Waves(TASKS)
        x, y = waves.points(SHOTS)
        x_other, y_other = waves.points(SHOTS)
        with hg.GradientTape() as tape:
            adapted = adapt(copies(weights, TASKS), x, y, run.stop)
            loss = hg.mean(losses(adapted, x_other, y_other))
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        if run.every(50):
            now, once = losses_after((0, 1), weights, seen, others)
            run.log(training_loss=loss, before=now, after_1=once)
    before, *after = losses_after((0, 1, 5, 10), weights, seen, others)
    return Result(
        {
            "before": before,
            "after_1": after[0],
            "after_5": after[1],
            "after_10": after[2],
            "untrained_after_1": untrained[0],
            "untrained_after_10": untrained[1],
        }
    )


PROGRAM = Program(
    "maml",
    "Meta-learn sinusoids: one step of gradient descent from weights that adapt quickly",
    train,
    steps=12000,
    curves=("after_1", "training_loss"),
    most={"after_1": 0.8, "after_10": 0.3},
    without_stop="full MAML with second derivatives learns as well, and takes longer per step",
)

if __name__ == "__main__":
    main(PROGRAM)
