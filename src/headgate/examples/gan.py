"""A GAN on digits: a generator that learns from what a discriminator takes for real.

Goodfellow et al. 2014, arXiv:1406.2661. The generator paints digits from noise and is never told
which: that all ten occur is a result. Its loss is the paper's second one, -log D(G(z)). Both
networks see images through noise that fades out in the course of training (Arjovsky & Bottou 2017,
arXiv:1701.04862), which keeps the discriminator from being right too easily.

**The stop** is in the discriminator's step, on the generated images. That step changes only the
discriminator, so the generator's gradient would be computed for nothing (and, in a library that
adds it up in the variables, would have to be wiped out again).

**Without it** the discriminator's gradients are the same, number for number, and so is all of the
training. What differs is the cost. `GradientTape.gradient` goes only where the sources that it is
asked for can be reached, so a step that asks for the discriminator's gradients alone (`d_step_ms`)
hardly notices: the tape has recorded the generator as well, for nothing. A step that asks for all
there is, as other libraries' backward passes do (`d_step_ms_all`), pays for the way through the
generator; `wasted_gradient` is the norm of what it finds there.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import headgate as hg
from headgate import losses, nn, optim
from headgate.data import Batches
from headgate.examples import digits
from headgate.examples.findings import norm
from headgate.examples.train import main
from headgate.examples.training import Program, Result, Run

LATENT = 16
UNITS = 128
BATCH = 64
RATE = 2e-3
BLUR = 0.5
"""Standard deviation of the noise on all images at the beginning."""

REAL = 0.9
"""What the discriminator is to say of real images; not 1, so that it does not grow too sure."""

crossentropy = losses.BinaryCrossentropy(from_logits=True)


def networks() -> tuple[nn.Model, nn.Model]:
    """Make a generator of images from noise, and a discriminator that gives images a logit."""
    generator = nn.Sequential(
        [
            nn.Input((LATENT,)),
            nn.Dense(UNITS, "leaky_relu"),
            nn.Dense(UNITS, "leaky_relu"),
            nn.Dense(digits.PIXELS, "sigmoid"),
        ],
        name="generator",
    )
    discriminator = nn.Sequential(
        [
            nn.Input((digits.PIXELS,)),
            nn.Dense(UNITS, "leaky_relu"),
            nn.Dense(UNITS, "leaky_relu"),
            nn.Dense(1),
        ],
        name="discriminator",
    )
    return generator, discriminator


def draw(*shape: int) -> Any:
    """Draw from the normal distribution."""
    return hg.random.normal(shape, dtype="float32")


def called(answer: float, logits: Any) -> Any:
    """Return the loss of not giving this answer to each image."""
    return crossentropy(hg.full_like(logits, answer), logits)


def train(run: Run) -> Result:
    """Train both networks in turn; judge what the generator paints."""
    generator, discriminator = networks()
    generator_optimizer, discriminator_optimizer = (
        optim.Adam(lambda step: RATE * max(0.05, 1.0 - step / run.total), beta_1=0.5)
        for _ in range(2)
    )
    batches = Batches(digits.load().images, batch_size=BATCH, seed=run.seed)
    run.keep(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=generator_optimizer,
        discriminator_optimizer=discriminator_optimizer,
        batches=batches,
    )
    times, times_asking_for_all = [], []

    def judged(images: Any) -> Any:
        """Return the discriminator's logits of images, which it sees through noise."""
        blur = BLUR * (1.0 - run.step / run.total)
        return discriminator(images + blur * draw(*images.shape))

    def discriminator_gradients(real: Any, sources: Any) -> tuple[Any, Any, float]:
        """Return the discriminator's loss, its gradients, and the CPU milliseconds spent."""
        began = time.process_time()
        with hg.GradientTape() as tape:
            fake = run.stop(generator(draw(BATCH, LATENT)))
            loss = called(REAL, judged(real)) + called(0.0, judged(fake))
        gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
        return loss, gradients, 1000.0 * (time.process_time() - began)

    for _ in run.steps():
        (real,) = next(batches)

        variables = discriminator.trainable_variables
        discriminator_loss, gradients, spent = discriminator_gradients(real, variables)
        discriminator_optimizer.apply_gradients(zip(gradients, variables))
        times.append(spent)

        with hg.GradientTape() as tape:
            generator_loss = called(1.0, judged(generator(draw(BATCH, LATENT))))
        variables = generator.trainable_variables
        wanted = tape.gradient(generator_loss, variables)
        generator_optimizer.apply_gradients(zip(wanted, variables))

        if run.every(100):
            both = (discriminator.trainable_variables, generator.trainable_variables)
            _, (_, wasted), spent = discriminator_gradients(real, both)
            times_asking_for_all.append(spent)
            run.log(
                discriminator_loss=discriminator_loss,
                generator_loss=generator_loss,
                discriminator_gradient=norm(gradients),
                generator_gradient=norm(wanted),
                wasted_gradient=norm(wasted),
            )

    images = generator(draw(1000, LATENT)).numpy()
    figures, classes = digits.appraise(images)
    figures["discriminator_gradient"] = run.history[-1]["discriminator_gradient"]
    figures["wasted_gradient"] = float(np.mean([row["wasted_gradient"] for row in run.history]))
    figures["d_step_ms"] = float(np.median(times or 0.0))
    figures["d_step_ms_all"] = float(np.median(times_asking_for_all or 0.0))
    return Result(figures, *digits.beside_nearest(images, classes))


PROGRAM = Program(
    "gan",
    "A GAN on digits",
    train,
    steps=7000,
    curves=("discriminator_loss", "generator_loss", "discriminator_gradient", "wasted_gradient"),
    least={"classes": 10, "top_probability": 0.8},
    most={"copies": 0.05},
    without_stop="the discriminator's gradients are the same; only what a step costs differs",
)

if __name__ == "__main__":
    main(PROGRAM)
