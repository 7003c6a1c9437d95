# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: layers.0.weight=2.912 layers.2.weight=2.971 layers.4.weight=0.569
# also: -
"""A physics-informed network for advection with a source, u_t + c u_x = s, on a ring."""

import logging
import math
from dataclasses import dataclass

import torch
from torch import nn

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("pinn")


@dataclass
class Problem:
    speed: float = 1.0
    source: float = 0.5
    end: float = 1.0

    def exact(self, x, t):
        return torch.sin(2.0 * math.pi * (x - self.speed * t)) + self.source * t

    def start(self, x):
        return self.exact(x, torch.zeros_like(x))


@dataclass
class Weights:
    physics: float = 1.0
    start: float = 5.0
    ring: float = 1.0


class Fourier(nn.Module):
    """Features that are periodic in x."""

    def __init__(self, waves=2):
        super().__init__()
        self.register_buffer("waves", 2.0 * math.pi * torch.arange(1, waves + 1))

    def forward(self, x, t):
        angle = x * self.waves
        return torch.cat([angle.sin(), angle.cos(), t], dim=1)


class Field(nn.Module):
    def __init__(self, width=24, waves=2):
        super().__init__()
        self.features = Fourier(waves)
        self.layers = nn.Sequential(
            nn.Linear(2 * waves + 1, width),
            nn.Tanh(),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Linear(width, 1),
        )

    def forward(self, points):
        x, t = points[:, :1], points[:, 1:]
        return self.layers(self.features(x, t))


def derivatives(field, points):
    """Return u, u_x and u_t at the points."""
    points = points.clone().requires_grad_(True)
    u = field(points)
    (slope,) = torch.autograd.grad(u, points, torch.ones_like(u), create_graph=True)
    return u, slope[:, :1], slope[:, 1:]


class Objective:
    def __init__(self, problem, weights):
        self.problem, self.weights = problem, weights

    def residual(self, field, points):
        _, u_x, u_t = derivatives(field, points)
        return u_t + self.problem.speed * u_x - self.problem.source

    def physics(self, field, points):
        return self.residual(field, points).pow(2).mean()

    def start(self, field, x):
        guess = field(torch.cat([x, torch.zeros_like(x)], dim=1))
        return (guess - self.problem.start(x)).pow(2).mean()

    def ring(self, field, t):
        left = field(torch.cat([torch.zeros_like(t), t], dim=1))
        right = field(torch.cat([torch.ones_like(t), t], dim=1))
        return (left - right).pow(2).mean()

    def __call__(self, field, points, x, t):
        terms = {
            "physics": self.weights.physics * self.physics(field, points),
            "start": self.weights.start * self.start(field, x),
            "ring": self.weights.ring * self.ring(field, t),
        }
        return sum(terms.values()), {key: term.item() for key, term in terms.items()}


class Sampler:
    """Points inside, on the first line and on the seam, drawn anew now and then."""

    def __init__(self, problem, inside=128, border=32, every=10):
        self.problem, self.inside, self.border, self.every = problem, inside, border, every
        self.step, self.kept = 0, None

    def draw(self):
        if self.step % self.every == 0:
            inside = torch.rand(self.inside, 2)
            inside[:, 1] *= self.problem.end
            x, t = torch.rand(self.border, 1), self.problem.end * torch.rand(self.border, 1)
            self.kept = inside, x, t
        self.step += 1
        return self.kept


def train(field, problem, steps=40, rate=5e-3):
    objective, sampler = Objective(problem, Weights()), Sampler(problem)
    optimizer = torch.optim.Adam(field.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.5)
    history = []
    for step in range(steps):
        optimizer.zero_grad()
        loss, terms = objective(field, *sampler.draw())
        loss.backward()
        optimizer.step()
        schedule.step()
        history.append(loss.item())
        if step % 10 == 0:
            shown = "  ".join(f"{key} {value:.4f}" for key, value in terms.items())
            log.info("step %d  loss %.4f  %s", step, history[-1], shown)
    return history


@torch.no_grad()
def evaluate(field, problem, n=40):
    x, t = torch.meshgrid(torch.linspace(0, 1, n), torch.linspace(0, problem.end, n), indexing="ij")
    points = torch.stack([x.flatten(), t.flatten()], dim=1)
    error = field(points) - problem.exact(points[:, :1], points[:, 1:])
    return error.pow(2).mean().sqrt().item()


def main():
    torch.manual_seed(0)
    problem, field = Problem(), Field()
    train(field, problem)
    log.info("error: %.4f", evaluate(field, problem))
    for name in ("layers.0.weight", "layers.2.weight", "layers.4.weight"):
        print(f"{name}: {field.get_parameter(name).norm().item():.3f}")


if __name__ == "__main__":
    main()
