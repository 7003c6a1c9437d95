"""A Wasserstein GAN with gradient penalty, on digits: a loss that contains a gradient.

Gulrajani et al. 2017, arXiv:1704.00028. A critic gives each image a number; the difference between
its means over real and over generated images estimates how far apart the two are, if its slope is 1
wherever it matters. So between each real and a generated image a point is drawn, and the critic
pays for a slope there that is not 1. That slope is a gradient, and the critic's loss is
differentiated through it: an inner tape within the outer one gives the second order.

The images are small and the networks too: 2 steps of the critic to one of the generator (`CRITIC`)
and a penalty of 1 (`PENALTY`) do here what 5 and 10 do in the paper.

**The stop** is in the critic's step, on the generated images, as in `gan`. **Without it** the
critic's gradients are the same, number for number, and so is all of the training: only the cost
differs. A step that asks for the critic's gradients alone (`d_step_ms`) has recorded the generator
for nothing. A step that asks for all there is (`d_step_ms_all`) also pays for the way through the
generator, to which the points in between lead as well; `wasted_gradient` is the norm of what it
finds there.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import headgate as hg
from headgate import nn, optim
from headgate.data import Batches
from headgate.examples import digits
from headgate.examples.findings import norm
from headgate.examples.train import main
from headgate.examples.training import Program, Result, Run

LATENT = 16
UNITS = 128
BATCH = 64
RATE = 3e-3
CRITIC = 2
"""Steps of the critic to each of the generator."""

PENALTY = 1.0
"""How much a slope other than 1 costs."""


def networks() -> tuple[nn.Model, nn.Model]:
    """Make a generator of images from noise, and a critic that gives images a number."""
    generator = nn.Sequential(
        [
            nn.Input((LATENT,)),
            nn.Dense(UNITS, "leaky_relu"),
            nn.Dense(UNITS, "leaky_relu"),
            nn.Dense(digits.PIXELS, "sigmoid"),
        ],
        name="generator",
    )
    critic = nn.Sequential(
        [
            nn.Input((digits.PIXELS,)),
            nn.Dense(UNITS, "leaky_relu"),
            nn.Dense(UNITS, "leaky_relu"),
            nn.Dense(1),
        ],
        name="critic",
    )
    return generator, critic


def optimizer(steps: int) -> optim.Adam:
    """Make an optimizer whose rate falls in a line over so many steps."""
    return optim.Adam(lambda step: RATE * max(0.05, 1.0 - step / steps), beta_1=0.0, beta_2=0.9)


def draw() -> Any:
    """Draw the noise that a batch of images is made from."""
    return hg.random.normal((BATCH, LATENT), dtype="float32")


def gradient_penalty(critic: nn.Model, real: Any, fake: Any) -> Any:
    """Return the mean square of what the critic's slopes between images differ from 1 by."""
    part = hg.random.uniform((BATCH, 1), dtype="float32")
    between = part * real + (1.0 - part) * fake
    with hg.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(between)
        scores = critic(between)
    slopes = hg.linalg.vector_norm(tape.gradient(scores, between), axis=1)
    return hg.mean(hg.square(slopes - 1.0))


def train(run: Run) -> Result:
    """Train both networks in turn; judge what the generator paints."""
    generator, critic = networks()
    generator_optimizer, critic_optimizer = optimizer(run.total), optimizer(run.total * CRITIC)
    batches = Batches(digits.load().images, batch_size=BATCH, seed=run.seed)
    run.keep(
        generator=generator,
        critic=critic,
        generator_optimizer=generator_optimizer,
        critic_optimizer=critic_optimizer,
        batches=batches,
    )
    times, times_asking_for_all = [], []

    def critic_gradients(real: Any, sources: Any) -> tuple[Any, Any, Any, float]:
        """Return the distance and the penalty, gradients, and the CPU milliseconds spent."""
        began = time.process_time()
        with hg.GradientTape() as tape:
            fake = run.stop(generator(draw()))
            distance = hg.mean(critic(real)) - hg.mean(critic(fake))
            penalty = gradient_penalty(critic, real, fake)
            loss = PENALTY * penalty - distance
        gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
        return distance, penalty, gradients, 1000.0 * (time.process_time() - began)

    for _ in run.steps():
        variables = critic.trainable_variables
        for _ in range(CRITIC):
            (real,) = next(batches)
            distance, penalty, gradients, spent = critic_gradients(real, variables)
            critic_optimizer.apply_gradients(zip(gradients, variables))
            times.append(spent)

        with hg.GradientTape() as tape:
            generator_loss = -hg.mean(critic(generator(draw())))
        variables = generator.trainable_variables
        wanted = tape.gradient(generator_loss, variables)
        generator_optimizer.apply_gradients(zip(wanted, variables))

        if run.every(100):
            both = (critic.trainable_variables, generator.trainable_variables)
            *_, (_, wasted), spent = critic_gradients(real, both)
            times_asking_for_all.append(spent)
            run.log(
                distance=distance,
                penalty=penalty,
                critic_gradient=norm(gradients),
                generator_gradient=norm(wanted),
                wasted_gradient=norm(wasted),
            )

    images = generator(hg.random.normal((1000, LATENT), dtype="float32")).numpy()
    figures, classes = digits.appraise(images)
    figures["penalty"] = run.history[-1]["penalty"]
    figures["critic_gradient"] = run.history[-1]["critic_gradient"]
    figures["wasted_gradient"] = float(np.mean([row["wasted_gradient"] for row in run.history]))
    figures["d_step_ms"] = float(np.median(times or 0.0))
    figures["d_step_ms_all"] = float(np.median(times_asking_for_all or 0.0))
    return Result(figures, *digits.beside_nearest(images, classes))


PROGRAM = Program(
    "wgan-gp",
    "A Wasserstein GAN with gradient penalty on digits",
    train,
    steps=3500,
    curves=("distance", "penalty", "critic_gradient", "wasted_gradient"),
    least={"classes": 10, "top_probability": 0.8},
    most={"copies": 0.05},
    without_stop="the critic's gradients are the same; only what a step costs differs",
)

if __name__ == "__main__":
    main(PROGRAM)
