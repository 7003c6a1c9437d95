# cause: host_round_trip
# line: 63
# affected: log_rates.first log_rates.second
# symptom: none
# expect: log_rates.first=None log_rates.second=None network.out.weight=nonzero
# also: 74
"""MAML on sines of unknown phase and height, with inner step sizes that are learnt (Meta-SGD)."""

import logging
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("maml")


class Regressor(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.first = nn.Linear(1, width)
        self.second = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.out(torch.tanh(self.second(h)))


class SineTasks:
    """Sines with a height and a phase of their own; a task gives support and query points."""

    def __init__(self, shots=8, queries=12):
        self.shots, self.queries = shots, queries

    def draw(self):
        height, phase = 0.5 + 1.5 * torch.rand(()), math.pi * torch.rand(())
        x = 6.0 * torch.rand(self.shots + self.queries, 1) - 3.0
        y = height * torch.sin(x + phase)
        return (x[: self.shots], y[: self.shots]), (x[self.shots :], y[self.shots :])

    def batch(self, n):
        return [self.draw() for _ in range(n)]


class MetaLearner(nn.Module):
    """A start for all tasks, and for each part of the network a step size to leave it with."""

    def __init__(self, network, inner_steps=2, rate=0.05):
        super().__init__()
        self.network, self.inner_steps = network, inner_steps
        self.log_rates = nn.ParameterDict(
            {
                part: nn.Parameter(torch.tensor(math.log(rate)))
                for part, _ in network.named_children()
            }
        )

    def step_sizes(self):
        return {part: self.log_rates[part].exp().item() for part in self.log_rates}

    def _inner_loss(self, weights, support):
        x, y = support
        return F.mse_loss(functional_call(self.network, weights, (x,)), y)

    def _moved(self, weights, gradients):
        sizes = self.step_sizes()
        moved = {}
        for (name, value), gradient in zip(weights.items(), gradients):
            part = name.partition(".")[0]
            moved[name] = value - sizes[part] * gradient
        return moved

    def adapt(self, support, create_graph=True):
        weights = dict(self.network.named_parameters())
        for _ in range(self.inner_steps):
            loss = self._inner_loss(weights, support)
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=create_graph)
            weights = self._moved(weights, gradients)
        return weights

    def forward(self, support, query):
        weights = self.adapt(support)
        return self._inner_loss(weights, query)


class MetaTrainer:
    def __init__(self, learner, tasks, rate=3e-3, per_step=4):
        self.learner, self.tasks, self.per_step = learner, tasks, per_step
        self.optimizer = torch.optim.Adam(
            [
                {"params": learner.network.parameters(), "lr": rate},
                {"params": learner.log_rates.parameters(), "lr": 10.0 * rate},
            ]
        )

    def step(self):
        losses = [
            self.learner(support, query) for support, query in self.tasks.batch(self.per_step)
        ]
        loss = torch.stack(losses).mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(self.learner.parameters(), 5.0)
        self.optimizer.step()
        return loss.item()

    def fit(self, steps):
        smooth = None
        for step in range(steps):
            loss = self.step()
            smooth = loss if smooth is None else 0.9 * smooth + 0.1 * loss
            if step % 6 == 0:
                log.info("step %d  loss %.4f", step, smooth)


def evaluate(learner, tasks, n=8):
    """Mean error on the queries before and after the adaptation."""
    before = after = 0.0
    for support, query in tasks.batch(n):
        weights = learner.adapt(support, create_graph=False)
        with torch.no_grad():
            start = dict(learner.network.named_parameters())
            before += learner._inner_loss(start, query).item() / n
            after += learner._inner_loss(weights, query).item() / n
    return before, after


def main():
    torch.manual_seed(0)
    learner, tasks = MetaLearner(Regressor()), SineTasks()
    trainer = MetaTrainer(learner, tasks)
    trainer.fit(steps=24)
    log.info("error before and after: %.3f %.3f", *evaluate(learner, tasks))
    if log.isEnabledFor(logging.INFO):
        shown = "  ".join(f"{part} {size:.4f}" for part, size in learner.step_sizes().items())
        log.info("step sizes: %s", shown)
    for name in ("log_rates.first", "log_rates.second", "network.out.weight"):
        gradient = learner.get_parameter(name).grad
        said = "None" if gradient is None else "nonzero" if gradient.any() else "zero"
        print(f"{name}: {said}")


if __name__ == "__main__":
    main()
