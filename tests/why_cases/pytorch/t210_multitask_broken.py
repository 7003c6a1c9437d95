# cause: not_registered
# line: 104
# affected: heads.0.out.weight heads.1.out.weight
# symptom: absent
# expect: encoder.0.weight=updated heads.0.out.weight=still heads.1.out.weight=still
# also: 66 67 109 140
"""Three tasks on one encoder, with a weight for each that follows from its learnt uncertainty."""

import logging
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("multitask")


@dataclass(frozen=True)
class Task:
    name: str
    outputs: int
    kind: str


TASKS = (Task("sort", 4, "class"), Task("place", 2, "value"), Task("marks", 5, "flags"))


def dataset(n, seed):
    """Features with a sort, a place in the plane and five marks behind them."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.Generator().manual_seed(99)
    mixing = torch.randn(11, 16, generator=shared)
    sort = torch.randint(0, 4, (n,), generator=generator)
    place = torch.rand(n, 2, generator=generator) - 0.5
    marks = (torch.rand(n, 5, generator=generator) < 0.3).float()
    causes = torch.cat([F.one_hot(sort, 4).float(), 2.0 * place, marks], dim=1)
    features = torch.tanh(causes @ mixing) + 0.05 * torch.randn(n, 16, generator=generator)
    return TensorDataset(features, sort, place, marks)


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width), nn.Dropout(0.1)
        )

    def forward(self, h):
        return h + self.body(h)


class Encoder(nn.Sequential):
    def __init__(self, inputs, width, depth=2):
        super().__init__(nn.Linear(inputs, width), *(Residual(width) for _ in range(depth)))


class Head(nn.Module):
    """A small network for one task, with the loss that fits it."""

    def __init__(self, width, task):
        super().__init__()
        self.task = task
        self.hidden = nn.Linear(width, width // 2)
        self.out = nn.Linear(width // 2, task.outputs)

    def forward(self, h):
        return self.out(F.relu(self.hidden(F.relu(h))))

    def loss(self, guess, truth):
        if self.task.kind == "class":
            return F.cross_entropy(guess, truth)
        if self.task.kind == "flags":
            return F.binary_cross_entropy_with_logits(guess, truth)
        return F.smooth_l1_loss(guess, truth, beta=0.1)

    def score(self, guess, truth):
        """Accuracy of classes and flags, and the error of values."""
        if self.task.kind == "class":
            return (guess.argmax(dim=1) == truth).float().mean()
        if self.task.kind == "flags":
            return ((guess > 0) == truth.bool()).float().mean()
        return (guess - truth).abs().mean()


class Uncertainties(nn.Module):
    """Weigh the losses as Kendall, Gal and Cipolla (2018) do."""

    def __init__(self, n):
        super().__init__()
        self.log_variances = nn.Parameter(torch.zeros(n))

    def forward(self, losses):
        losses = torch.stack(losses)
        return (torch.exp(-self.log_variances) * losses + 0.5 * self.log_variances).sum()


class MultiTask(nn.Module):
    def __init__(self, inputs=16, width=32, tasks=TASKS):
        super().__init__()
        self.encoder = Encoder(inputs, width)
        self.heads = [Head(width, task) for task in tasks]
        self.weigh = Uncertainties(len(tasks))

    def forward(self, features):
        h = self.encoder(features)
        return [head(h) for head in self.heads]

    def loss(self, features, truths):
        guesses = self(features)
        parts = [head.loss(*pair) for head, *pair in zip(self.heads, guesses, truths)]
        named = {head.task.name: part.item() for head, part in zip(self.heads, parts)}
        return self.weigh(parts), named


def groups(model, decay=1e-3):
    """No decay for biases, norms and the uncertainties."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    totals, batches = {head.task.name: 0.0 for head in model.heads}, 0
    for features, *truths in loader:
        for head, guess, truth in zip(model.heads, model(features), truths):
            totals[head.task.name] += head.score(guess, truth).item()
        batches += 1
    model.train()
    return {name: total / batches for name, total in totals.items()}


def train(model, epochs=4, rate=5e-3):
    loader = DataLoader(dataset(256, seed=1), batch_size=32, shuffle=True)
    held_out = DataLoader(dataset(128, seed=2), batch_size=64)
    optimizer = torch.optim.AdamW(groups(model), lr=rate)
    steps = epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    best, patience = None, 2
    for epoch in range(epochs):
        total = 0.0
        for features, *truths in loader:
            loss, _parts = model.loss(features, truths)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += loss.item() / len(loader)
        scores = evaluate(model, held_out)
        shown = "  ".join(f"{name} {score:.2f}" for name, score in scores.items())
        log.info("epoch %d  loss %.3f  %s", epoch, total, shown)
        if best is None or total < best:
            best, patience = total, 2
        else:
            patience -= 1
            if patience == 0:
                break


def main():
    torch.manual_seed(0)
    model = MultiTask()
    watched = {
        "encoder.0.weight": model.encoder[0].weight,
        "heads.0.out.weight": model.heads[0].out.weight,
        "heads.1.out.weight": model.heads[1].out.weight,
    }
    before = {name: p.detach().clone() for name, p in watched.items()}
    train(model)
    for name, p in watched.items():
        print(f"{name}: {'still' if torch.equal(p, before[name]) else 'updated'}")


if __name__ == "__main__":
    main()
