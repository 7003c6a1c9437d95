"""The article's example 2: a GAN whose generator gets no gradient, and the same one corrected.

As written, the discriminator's judgement is stopped in the generator's step, "otherwise the
discriminator's gradients would directly influence the generator's weights". That influence is all
that a generator ever learns from: with the stop it gets nothing. (The discriminator needs no such
protection: its variables are not in the list that this step changes.) Where a stop does belong is
the discriminator's step, on the images: it keeps that step from computing gradients for the
generator, and changes nothing else.

Both versions train on scikit-learn's 1,797 digits of 8x8 pixels. What the article assumes is filled
in: an image is a **card**, the pixels of a digit followed by ten numbers that say which digit it is
to be, so that one can ask for a digit, and check afterwards whether it can be read as that one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import headgate.tf as tf
from headgate.examples.findings import (
    Findings,
    Progress,
    largest_difference,
    no_progress,
    norm,
    noting,
    told,
)

LATENT = 16
PIXELS = 64
DIGITS = 10
BATCH = 64
RATE = 2e-3
READABLE = 0.9
"""The share of generated digits that a reader must recognise for the run to count as a success."""

crossentropy = tf.keras.losses.BinaryCrossentropy(from_logits=True)


# -- networks --------------------------------------------------------------------------------------


def dense(units: int, name: str, activation: Any = tf.nn.leaky_relu) -> Any:
    """Make a fully connected layer."""
    return tf.keras.layers.Dense(units, activation=activation, name=name)


class Generator(tf.keras.Model):
    """Paints cards from noise; the last ten numbers of the noise say which digits to paint."""

    def __init__(self) -> None:
        super().__init__(name="generator")
        self.paint = tf.keras.Sequential(
            [
                tf.keras.layers.Input(shape=(LATENT + DIGITS,)),
                dense(128, "generator_1"),
                dense(128, "generator_2"),
                dense(PIXELS, "generator_3", "tanh"),
            ]
        )

    def call(self, noise: Any) -> Any:
        """Return cards: the pixels that were painted, and which digit was asked for."""
        return tf.concat([self.paint(noise), noise[:, LATENT:]], axis=1)


def networks() -> tuple[Any, Any, Any, Any]:
    """Make a generator, a discriminator and an optimizer for each."""
    discriminator = tf.keras.Sequential(
        [
            tf.keras.layers.Input(shape=(PIXELS + DIGITS,)),
            dense(128, "discriminator_1"),
            dense(128, "discriminator_2"),
            dense(1, "discriminator_3", None),
        ],
        name="discriminator",
    )
    of_generator, of_discriminator = (tf.keras.optimizers.Adam(RATE, beta_1=0.5) for _ in range(2))
    return Generator(), discriminator, of_generator, of_discriminator


def discriminator_loss_of(real: Any, fake: Any) -> Any:
    """Return the loss of taking real cards for fake ones and the other way round.

    Real ones are to get 0.9, not 1, which keeps the discriminator from growing too sure.
    """
    return crossentropy(0.9 * tf.ones_like(real), real) + crossentropy(tf.zeros_like(fake), fake)


def generator_loss_of(fake: Any) -> Any:
    """Return the loss of not being taken for real."""
    return crossentropy(tf.ones_like(fake), fake)


# -- as written ------------------------------------------------------------------------------------


def as_written(
    generator: Any,
    discriminator: Any,
    generator_optimizer: Any,
    discriminator_optimizer: Any,
    real_images: Any,
    noise: Any,
) -> tuple[Any, ...]:
    """Run the article's example 2 once; the data, the networks and the losses are filled in."""

    refusals: list[str] = []

    def discriminator_loss_function(real_images: Any, fake_images: Any) -> Any:
        return discriminator_loss_of(discriminator(real_images), discriminator(fake_images))

    def generator_loss_function(judged: Any, images: Any) -> Any:
        return generator_loss_of(judged)

    fake_images = generator(noise)

    with tf.GradientTape() as tape:
        discriminator_loss = discriminator_loss_function(real_images, fake_images)

    gradients = tape.gradient(discriminator_loss, discriminator.trainable_variables)
    discriminator_optimizer.apply_gradients(zip(gradients, discriminator.trainable_variables))

    with tf.GradientTape() as tape:
        fake_images_for_generator_loss = generator(noise)
        generator_loss = generator_loss_function(
            tf.stop_gradient(discriminator(fake_images_for_generator_loss)),
            fake_images_for_generator_loss,
        )

    gradients = tape.gradient(generator_loss, generator.trainable_variables)
    with noting(refusals):
        generator_optimizer.apply_gradients(zip(gradients, generator.trainable_variables))
    verdicts = tape.why(generator_loss, generator.trainable_variables)

    return generator_loss, verdicts, refusals


# -- corrected -------------------------------------------------------------------------------------


def discriminator_step(
    generator: Any, discriminator: Any, real_images: Any, noise: Any
) -> tuple[Any, ...]:
    """Compute the discriminator's loss; the stop spares the generator's gradients."""
    with tf.GradientTape() as tape:
        fake_images = tf.stop_gradient(generator(noise))
        loss = discriminator_loss_of(discriminator(real_images), discriminator(fake_images))
    return tape, loss


def discriminator_step_without_stop(
    generator: Any, discriminator: Any, real_images: Any, noise: Any
) -> tuple[Any, ...]:
    """Compute the discriminator's loss in the same way, but let gradient through."""
    with tf.GradientTape() as tape:
        fake_images = generator(noise)
        loss = discriminator_loss_of(discriminator(real_images), discriminator(fake_images))
    return tape, loss


def generator_step(generator: Any, discriminator: Any, noise: Any) -> tuple[Any, ...]:
    """Compute the generator's loss; nothing stops the judgement."""
    with tf.GradientTape() as tape:
        loss = generator_loss_of(discriminator(generator(noise)))
    return tape, loss


# -- data ------------------------------------------------------------------------------------------


class Digits:
    """The real digits as cards, and a reader of digits that was trained on them."""

    def __init__(self, seed: int) -> None:
        pixels, self.labels = load_digits(return_X_y=True)
        self.pixels = pixels
        self.cards = np.hstack([pixels / 8.0 - 1.0, np.eye(DIGITS)[self.labels]]).astype("float32")
        self.rng = np.random.default_rng(seed)
        self.reader = SVC(gamma=0.001, C=10.0).fit(pixels, self.labels)
        self.asked = np.arange(20 * DIGITS) % DIGITS
        self.sample = noise_for(self.asked)

    def batch(self) -> tuple[Any, Any]:
        """Draw real cards, and noise that asks for the same digits."""
        chosen = self.rng.integers(0, len(self.cards), BATCH)
        return tf.constant(self.cards[chosen]), noise_for(self.labels[chosen])

    def painted_by(self, generator: Any) -> Any:
        """Return the pixels that a generator makes of the sample, from 0 to 16 as the real ones."""
        return (generator(self.sample).numpy()[:, :PIXELS] + 1.0) * 8.0

    def readable(self, pixels: Any) -> float:
        """Return the share of the sample that the reader takes for the digit asked for."""
        return float(np.mean(self.reader.predict(pixels) == self.asked))

    def in_order(self) -> Any:
        """Return real digits in the order of the sample: 0 to 9, over and over again."""
        rows = [self.pixels[self.labels == digit][:3] for digit in range(DIGITS)]
        return np.stack(rows, axis=1).reshape(-1, PIXELS)


def noise_for(labels: Any) -> Any:
    """Draw noise that asks for these digits."""
    wishes = tf.one_hot(tf.constant(labels), DIGITS)
    return tf.concat([tf.random.normal((len(labels), LATENT)), wishes], axis=1)


# -- the program -----------------------------------------------------------------------------------


def run(seed: int = 0, quick: bool = False, progress: Progress = no_progress) -> Findings:
    """Train the GAN as written, then corrected, and find out what each stop did."""
    tf.random.set_seed(seed)
    digits = Digits(seed)
    written, verdicts, noise = train_as_written(digits, quick, progress)
    corrected, connected, stages = train_corrected(digits, quick, progress)
    history, effect = corrected["history"], corrected["stop_in_the_discriminators_step"]
    first, last = history[0], history[-1]
    rows = [
        (
            "article says",
            "the stop on the discriminator's output is essential to train the generator",
        ),
        (
            "as written",
            f"{written['connected']} of {written['variables']} generator variables get a "
            f"gradient; after {written['steps']} steps the largest change of a weight is "
            f"{written['moved_by']}\napply_gradients raises: "
            f"{written['apply_gradients_says'].split('. ')[0]}.",
        ),
        ("verdict", told(verdicts)),
        (
            "corrected",
            f"norm of the generator's gradient: {first['generator_gradient_norm']:.2f} at step "
            f"{first['step']}, {last['generator_gradient_norm']:.2f} at step {last['step']}, where "
            f"{last['fooling_rate']:.0%} of its images pass for real\n"
            f"a classifier trained on real digits reads {corrected['readable']:.1%} of the "
            f"generated ones as the digit asked for (as written: {written['readable']:.1%})",
        ),
        ("verdict", told(connected)),
        (
            "the stop",
            "as written, it cut the only path from the loss to the generator; in the "
            "discriminator's step, where it belongs, it changes the discriminator's gradients by "
            f"{effect['discriminator_gradients_differ_by']} and spares the generator's (norm "
            f"{effect['generator_gradient_norm_without_stop']:.2f} without it, none with it)",
        ),
    ]
    shortfalls = []
    if corrected["readable"] < READABLE and not quick:
        shortfalls.append(
            f"example 2: {corrected['readable']:.1%} of the generated digits can be read as the "
            f"digit asked for; expected at least {READABLE:.0%}"
        )
    return Findings(
        "Example 2: a GAN on handwritten digits",
        rows,
        {"as_written": written, "corrected": corrected},
        shortfalls,
        {"stages": [noise, *stages], "real": digits.in_order(), "history": history},
    )


def train_as_written(
    digits: Digits, quick: bool, progress: Progress
) -> tuple[dict[str, Any], list[Any], tuple[str, Any]]:
    """Train as the article says; return figures, verdicts and a labelled sample of images."""
    made = networks()
    generator = made[0]
    start = generator.get_weights()
    steps = 20 if quick else 200
    for step in range(1, steps + 1):
        loss, verdicts, refusals = as_written(*made, *digits.batch())
        progress("example 2, as written", step, steps, f"generator's loss {float(loss):.2f}")
    pixels = digits.painted_by(generator)
    figures = {
        "steps": steps,
        "connected": sum(map(bool, verdicts)),
        "variables": len(verdicts),
        "moved_by": largest_difference(start, generator.get_weights()),
        "generator_loss": float(loss),
        "apply_gradients_says": refusals[0],
        "readable": digits.readable(pixels),
        "verdicts": list(map(str, verdicts)),
    }
    return figures, verdicts, (f"as written, {steps} steps", pixels)


def train_corrected(
    digits: Digits, quick: bool, progress: Progress
) -> tuple[dict[str, Any], list[Any], list[tuple[str, Any]]]:
    """Train with the stop where it belongs; return figures, verdicts and samples of images."""
    generator, discriminator, generator_optimizer, discriminator_optimizer = networks()
    effect = effect_of_the_stop(generator, discriminator, *digits.batch())
    steps = 60 if quick else 3000
    shown = (steps // 20, steps // 5, steps)
    stages, readable, history = [], {}, []
    for step in range(1, steps + 1):
        for optimizer in (generator_optimizer, discriminator_optimizer):
            optimizer.learning_rate = RATE * max(0.05, 1.0 - step / steps)
        real_images, noise = digits.batch()

        tape, discriminator_loss = discriminator_step(generator, discriminator, real_images, noise)
        gradients = tape.gradient(discriminator_loss, discriminator.trainable_variables)
        discriminator_optimizer.apply_gradients(zip(gradients, discriminator.trainable_variables))

        tape, generator_loss = generator_step(generator, discriminator, noise)
        gradients = tape.gradient(generator_loss, generator.trainable_variables)
        generator_optimizer.apply_gradients(zip(gradients, generator.trainable_variables))

        if step % (steps // 60) == 0:
            judged = discriminator(generator(digits.sample)).numpy()
            history.append(
                {
                    "step": step,
                    "discriminator_loss": float(discriminator_loss),
                    "generator_loss": float(generator_loss),
                    "generator_gradient_norm": norm(gradients),
                    "fooling_rate": float(np.mean(judged > 0.0)),
                }
            )
        if step in shown:
            pixels = digits.painted_by(generator)
            stages.append((f"corrected, {step} steps", pixels))
            readable[step] = digits.readable(pixels)
        note = f"losses {float(discriminator_loss):.2f} and {float(generator_loss):.2f}"
        progress("example 2, corrected", step, steps, note)
    verdicts = tape.why(generator_loss, generator.trainable_variables)
    figures = {
        "steps": steps,
        "readable": readable[steps],
        "readable_by_step": readable,
        "verdicts": list(map(str, verdicts)),
        "stop_in_the_discriminators_step": effect,
        "history": history,
    }
    return figures, verdicts, stages


def effect_of_the_stop(
    generator: Any, discriminator: Any, real_images: Any, noise: Any
) -> dict[str, Any]:
    """Compare the gradients of the discriminator's loss with and without its stop."""
    ours, theirs = discriminator.trainable_variables, generator.trainable_variables
    found = []
    for step in (discriminator_step, discriminator_step_without_stop):
        tape, loss = step(generator, discriminator, real_images, noise)
        found.append(tape.gradient(loss, (ours, theirs)))
    (stopped, generator_stopped), (through, generator_through) = found
    return {
        "discriminator_gradients_differ_by": largest_difference(stopped, through),
        "generator_gradient_norm": norm(generator_stopped),
        "generator_gradient_norm_without_stop": norm(generator_through),
    }


if __name__ == "__main__":
    print(run())
