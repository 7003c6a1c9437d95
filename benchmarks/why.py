"""What watching costs a program: `python -m benchmarks.why`, with `--framework tensorflow` as well.

Two programs, a transformer of four layers (batch 8, 128 tokens, width 256) and a GAN on small
images, each plain and watched in turn. Measured are a pass that is looked at closely against a
plain one (the median of each), a run of many steps, of which the first three are looked at, and the
largest memory of a process that makes five steps. With `--fit`, the whole of a Keras `fit` of that
many steps instead, traced functions and all, each run in a process of its own. One thread, on the
CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

CLOSELY = 3


def transformer() -> Callable[[], None]:
    """Return a step of training a transformer of four layers."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True)
    model = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    x = torch.randn(8, 128, 256)

    def step() -> None:
        loss = (model(x) - x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def gan() -> Callable[[], None]:
    """Return both steps of training a GAN on images of 16 by 16."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    generator = nn.Sequential(
        *(nn.Linear(32, 64 * 16), nn.Unflatten(1, (64, 4, 4)), nn.BatchNorm2d(64), nn.ReLU()),
        *(nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh()),
    )
    critic = nn.Sequential(
        *(nn.Conv2d(1, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1)),
        *(nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64 * 16, 1)),
    )
    of_generator = torch.optim.Adam(generator.parameters(), lr=2e-4)
    of_critic = torch.optim.Adam(critic.parameters(), lr=2e-4)
    images = torch.randn(64, 1, 16, 16)
    bce = nn.functional.binary_cross_entropy_with_logits

    def step() -> None:
        fake = generator(torch.randn(64, 32))
        real_side = bce(critic(images), torch.ones(64, 1))
        loss = real_side + bce(critic(fake.detach()), torch.zeros(64, 1))
        of_critic.zero_grad()
        loss.backward()
        of_critic.step()
        loss = bce(critic(fake), torch.ones(64, 1))
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()

    return step


def encoder(width: int = 256, layers: int = 4) -> Any:
    """Return a transformer of Keras layers."""
    import keras

    inputs = hidden = keras.Input((128, width))
    for _ in range(layers):
        seen = keras.layers.MultiHeadAttention(4, width // 4)(hidden, hidden)
        hidden = keras.layers.LayerNormalization()(hidden + seen)
        wide = keras.layers.Dense(4 * width, "relu")(hidden)
        hidden = keras.layers.LayerNormalization()(hidden + keras.layers.Dense(width)(wide))
    return keras.Model(inputs, hidden)


def keras_transformer() -> Callable[[], None]:
    """Return an eager step of training a transformer of four layers."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model, optimizer = encoder(), keras.optimizers.AdamW(1e-4)
    x = tf.random.normal((8, 128, 256))

    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - x))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    return step


def keras_gan() -> Callable[[], None]:
    """Return both eager steps of training a GAN on images of 16 by 16."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(0)
    generator = keras.Sequential(
        [
            *(keras.Input((32,)), layers.Dense(64 * 16), layers.Reshape((4, 4, 64))),
            *(layers.BatchNormalization(), layers.ReLU()),
            *(layers.Conv2DTranspose(32, 4, 2, "same"), layers.BatchNormalization()),
            *(layers.ReLU(), layers.Conv2DTranspose(1, 4, 2, "same", activation="tanh")),
        ]
    )
    critic = keras.Sequential(
        [
            *(keras.Input((16, 16, 1)), layers.Conv2D(32, 4, 2, "same"), layers.LeakyReLU(0.2)),
            *(layers.Conv2D(64, 4, 2, "same"), layers.LeakyReLU(0.2), layers.Flatten()),
            layers.Dense(1),
        ]
    )
    of_generator, of_critic = keras.optimizers.Adam(2e-4), keras.optimizers.Adam(2e-4)
    images = tf.random.normal((64, 16, 16, 1))
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    ones, zeros = tf.ones((64, 1)), tf.zeros((64, 1))

    def step() -> None:
        noise = tf.random.normal((64, 32))
        fake = generator(noise, training=True)
        with tf.GradientTape() as tape:
            loss = bce(ones, critic(images)) + bce(zeros, critic(fake))
        variables = critic.trainable_variables
        of_critic.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        with tf.GradientTape() as tape:
            loss = bce(ones, critic(generator(noise, training=True)))
        variables = generator.trainable_variables
        of_generator.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    return step


PROGRAMS = {
    "torch": {"transformer": transformer, "gan": gan},
    "tensorflow": {"transformer": keras_transformer, "gan": keras_gan},
}


def watcher(framework: str) -> Any:
    """Return a watcher of a framework, which has one thread from now on."""
    if framework == "torch":
        import torch

        torch.set_num_threads(1)
    else:
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # it is at work already, with what was said first
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
    return importlib.import_module(f"headgate.flow.watch.{framework}.watch").Watch()


def fit(watched: bool, steps: int) -> float:
    """Return the seconds of a `fit` of a small transformer, from the first step to the last."""
    watch = watcher("tensorflow")
    import keras

    keras.utils.set_random_seed(0)
    model = encoder(width=64, layers=2)
    model.compile("adam", "mse")
    x = keras.random.normal((64, 128, 64))
    with watch if watched else contextlib.nullcontext():
        start = time.perf_counter()
        model.fit(x, x, batch_size=8, epochs=-(-steps // 8), verbose=0)
        return time.perf_counter() - start


def times(framework: str, name: str, watched: bool, steps: int) -> list[float]:
    """Return the seconds of each step of a program, made anew."""
    found = []
    watch = watcher(framework)
    with watch if watched else contextlib.nullcontext():
        step = PROGRAMS[framework][name]()
        for _ in range(steps):
            start = time.perf_counter()
            step()
            found.append(time.perf_counter() - start)
    return found


def alone(*options: str | int, watched: bool) -> float:
    """Return the number that a process of its own prints for these options."""
    command = [sys.executable, "-m", "benchmarks.why", *map(str, options)]
    done = subprocess.run([*command, *["--watched"] * watched], capture_output=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--framework", choices=PROGRAMS, default="torch")
    parser.add_argument("--steps", type=int, default=100, help="of a long run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fit", type=int, metavar="STEPS", help="time a fit of Keras")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--fit-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--watched", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    framework = asked.framework
    if asked.memory_of:
        times(framework, asked.memory_of, asked.watched, 5)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    if asked.fit_of:
        print(fit(asked.watched, asked.fit_of))
        return
    if asked.fit:
        runs = [
            [alone("--fit-of", asked.fit, watched=watched) for watched in (False, True)]
            for _ in range(asked.rounds)
        ]
        plain, watched = (statistics.median(each) for each in zip(*runs, strict=True))
        print(f"fit of {asked.fit} steps: {plain:.2f} s, watched {watched:.2f} s", end=", ")
        print(f"{watched - plain:+.2f} s ({watched / plain - 1.0:+.1%})")
        return
    table = Table("program", "plain ms", "looked at ms", "times", "later passes", "memory")
    for name in PROGRAMS[framework]:
        plain, close, late = [], [], []
        times(framework, name, False, 3)
        for _ in range(asked.rounds):
            plain += times(framework, name, False, 10)[1:]
            close += times(framework, name, True, CLOSELY)[1:]
        runs = [
            [times(framework, name, watched, asked.steps) for watched in (False, True)]
            for _ in range(3)
        ]
        for without, with_it in runs:
            before, after = (statistics.median(each[10:]) for each in (without, with_it))
            late.append(after / before)
        usual, looked = statistics.median(plain), statistics.median(close)
        options = ("--framework", framework, "--memory-of", name)
        share = alone(*options, watched=True) / alone(*options, watched=False)
        table.add_row(
            name,
            f"{usual * 1e3:.1f}",
            f"{looked * 1e3:.1f}",
            f"{looked / usual:.2f}",
            f"{statistics.median(late):.3f}",
            f"{share:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
