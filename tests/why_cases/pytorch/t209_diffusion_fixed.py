# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: class_table.weight=14.310 class_mlp.0.weight=4.118
# also: -
"""Denoising diffusion of points in a plane, with classes that can be left out for guidance."""

import copy
import logging
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("diffusion")

CLASSES = 3


@dataclass
class Config:
    steps: int = 40
    batch: int = 96
    width: int = 48
    times: int = 30
    rate: float = 2e-3
    decay: float = 0.95


class Schedule:
    """The cosine schedule of Nichol and Dhariwal."""

    def __init__(self, times, offset=0.008):
        at = (torch.linspace(0.0, 1.0, times + 1) + offset) / (1.0 + offset)
        kept = torch.cos(0.5 * math.pi * at) ** 2
        self.times = times
        self.kept = (kept / kept[0])[1:].clamp(min=1e-4)
        self.betas = 1.0 - torch.cat([self.kept[:1], self.kept[1:] / self.kept[:-1]])

    def noised(self, x, t, noise):
        kept = self.kept[t].unsqueeze(1)
        return kept.sqrt() * x + (1.0 - kept).sqrt() * noise

    def previous(self, x, noise, t):
        """One step of ancestral sampling."""
        beta, kept = self.betas[t], self.kept[t]
        mean = (x - beta / (1.0 - kept).sqrt() * noise) / (1.0 - beta).sqrt()
        return mean if t == 0 else mean + beta.sqrt() * torch.randn_like(x)


def sinusoidal(t, width):
    rates = torch.exp(-math.log(100.0) * torch.arange(width // 2) / (width // 2))
    angles = t.unsqueeze(1).float() * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.shift = nn.Linear(width, 2 * width)
        self.linear = nn.Linear(width, width)

    def forward(self, h, condition):
        scale, shift = self.shift(condition).chunk(2, dim=1)
        return h + self.linear(F.silu(self.norm(h) * (1.0 + scale) + shift))


class Denoiser(nn.Module):
    def __init__(self, width, depth=2):
        super().__init__()
        self.width = width
        self.time_mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.class_table = nn.Embedding(CLASSES + 1, width)
        self.class_mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.inputs = nn.Linear(2, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.outputs = nn.Linear(width, 2)

    def class_codes(self):
        """The codes of all classes; the last one stands for no class."""
        return self.class_mlp(self.class_table.weight)

    def forward(self, x, t, code):
        condition = self.time_mlp(sinusoidal(t, self.width)) + code
        h = self.inputs(x)
        for block in self.blocks:
            h = block(h, condition)
        return self.outputs(F.silu(h))


class Guidance:
    """Looks up the codes of the classes, and leaves some out while training."""

    def __init__(self, model, drop=0.0):
        self.codes, self.drop = model.class_codes(), drop

    def __call__(self, labels):
        dropped = torch.rand(labels.shape) < self.drop
        return self.codes[torch.where(dropped, CLASSES, labels)]

    def none(self, n):
        return self.codes[CLASSES].expand(n, -1)


def data(n):
    """Three arcs around the origin."""
    labels = torch.randint(0, CLASSES, (n,))
    angle = 2.0 * math.pi * (labels + 0.6 * torch.rand(n)) / CLASSES
    points = torch.stack([angle.cos(), angle.sin()], dim=1)
    return points * (1.0 + 0.05 * torch.randn(n, 1)), labels


def denoising_loss(model, schedule, guidance, x, labels):
    t, noise = torch.randint(0, schedule.times, (len(x),)), torch.randn_like(x)
    guess = model(schedule.noised(x, t, noise), t, guidance(labels))
    return F.mse_loss(guess, noise)


@torch.no_grad()
def follow(smooth, model, decay):
    for slow, fast in zip(smooth.parameters(), model.parameters()):
        slow.lerp_(fast, 1.0 - decay)


def train(model, schedule, config):
    optimizer = torch.optim.Adam(model.parameters(), lr=config.rate)
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 5))
    history, smooth = [], copy.deepcopy(model).requires_grad_(False).eval()
    for step in range(config.steps):
        guidance = Guidance(model, drop=0.1)
        x, labels = data(config.batch)
        loss = denoising_loss(model, schedule, guidance, x, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        warm.step()
        follow(smooth, model, config.decay)
        history.append(loss.item())
        if step % 10 == 0:
            log.info("step %d  loss %.3f", step, history[-1])
    return smooth


@torch.no_grad()
def sample(model, schedule, labels, strength=1.5):
    guidance, x = Guidance(model), torch.randn(len(labels), 2)
    for t in reversed(range(schedule.times)):
        times = torch.full((len(labels),), t)
        free = model(x, times, guidance.none(len(labels)))
        bound = model(x, times, guidance(labels))
        x = schedule.previous(x, free + strength * (bound - free), t)
    return x


def main():
    torch.manual_seed(0)
    config = Config()
    model, schedule = Denoiser(config.width), Schedule(config.times)
    try:
        smooth = train(model, schedule, config)
        points = sample(smooth, schedule, torch.arange(60) % CLASSES)
        log.info("mean radius of the samples: %.2f", points.norm(dim=1).mean().item())
    except RuntimeError as error:
        log.error("stopped: %s", str(error)[:60])
        print("error: RuntimeError")
    for name in ("class_table.weight", "class_mlp.0.weight"):
        print(f"{name}: {model.get_parameter(name).norm().item():.3f}")


if __name__ == "__main__":
    main()
