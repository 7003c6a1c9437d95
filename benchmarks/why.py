"""What watching costs a PyTorch program: `python -m benchmarks.why`.

Two programs, a transformer of four layers (batch 8, 128 tokens, width 256) and a GAN on small
images, each plain and watched in turn. Measured are a pass that is looked at closely against a
plain one (the median of each), a run of many steps, of which the first three are looked at, and the
largest memory of a process that makes five steps. One thread, on the CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

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


PROGRAMS = {"transformer": transformer, "gan": gan}


def times(name: str, watched: bool, steps: int) -> list[float]:
    """Return the seconds of each step of a program, made anew."""
    import torch

    from headgate.flow.watch.torch.watch import Watch

    torch.set_num_threads(1)
    found = []
    with Watch() if watched else contextlib.nullcontext():
        step = PROGRAMS[name]()
        for _ in range(steps):
            start = time.perf_counter()
            step()
            found.append(time.perf_counter() - start)
    return found


def memory(name: str, watched: bool) -> float:
    """Return the largest memory, in MB, of a process that makes five steps."""
    command = [sys.executable, "-m", "benchmarks.why", "--memory-of", name]
    done = subprocess.run([*command, *["--watched"] * watched], capture_output=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100, help="of a long run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", choices=PROGRAMS, help=argparse.SUPPRESS)
    parser.add_argument("--watched", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory_of:
        times(asked.memory_of, asked.watched, 5)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    table = Table("program", "plain ms", "looked at ms", "times", "later passes", "memory")
    for name in PROGRAMS:
        plain, close, late = [], [], []
        times(name, False, 3)
        for _ in range(asked.rounds):
            plain += times(name, False, 10)[1:]
            close += times(name, True, CLOSELY)[1:]
        runs = [(times(name, False, asked.steps), times(name, True, asked.steps)) for _ in range(3)]
        for without, with_it in runs:
            before, after = (statistics.median(each[10:]) for each in (without, with_it))
            late.append(after / before)
        usual, looked = statistics.median(plain), statistics.median(close)
        share = memory(name, True) / memory(name, False)
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
