# cause: none
# line: 0
# affected: -
# symptom: legit: hooks, metrics, histograms and tables take values out; nothing of it comes back
# expect: model=nonzero
# also: -
# stops: 87 164
"""A loop that logs everything: hooks, histograms, confusion tables, norms, plots, checkpoints."""

import io
import json
import logging
import math
import statistics
import warnings
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

log = logging.getLogger("training")


class Shapes(Dataset):
    """Small pictures of bars and blobs, turned and shifted by NumPy."""

    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 3, n)
        self.pictures = np.stack([self.draw(rng, label) for label in self.labels])

    @staticmethod
    def draw(rng, label):
        picture = 0.1 * rng.normal(size=(8, 8)).astype(np.float32)
        at = rng.integers(1, 6)
        if label == 0:
            picture[at] += 1.0
        elif label == 1:
            picture[:, at] += 1.0
        else:
            picture[at : at + 2, at : at + 2] += 1.0
        return picture

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return torch.from_numpy(self.pictures[i]).unsqueeze(0), int(self.labels[i])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 6, 3, padding=1))
        self.norm1 = nn.GroupNorm(2, 6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.drop = nn.Dropout2d(0.1)
        self.gate = nn.Parameter(torch.zeros(1))
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        h = F.relu(self.norm1(self.conv1(x)))
        # ReZero: the branch has the factor 0 at first.
        h = h + self.gate * F.silu(self.conv2(h))
        return self.fc(self.drop(h).mean((2, 3)))


class Recorder:
    """Keeps statistics of activations and gradients by hooks."""

    def __init__(self, model):
        self.activations, self.gradients = defaultdict(list), defaultdict(list)
        self.handles = []
        for name, module in model.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                self.handles.append(module.register_forward_hook(self.forward_hook(name)))
            if isinstance(module, nn.Linear):
                self.handles.append(module.register_full_backward_hook(self.backward_hook(name)))
        for name, p in model.named_parameters():
            self.handles.append(p.register_hook(self.gradient_hook(name)))

    def forward_hook(self, name):
        def hook(module, inputs, output):
            values = output.detach().cpu().numpy()
            self.activations[name].append((float(values.mean()), float((values <= 0).mean())))

        return hook

    def backward_hook(self, name):
        def hook(module, grad_input, grad_output):
            self.gradients[f"{name}.out"].append(grad_output[0].norm().item())

        return hook

    def gradient_hook(self, name):
        def hook(gradient):
            self.gradients[name].append(gradient.abs().mean().item())
            return torch.nan_to_num(gradient).clamp(-5.0, 5.0)

        return hook

    def close(self):
        for handle in self.handles:
            handle.remove()


class Meter:
    def __init__(self):
        self.total, self.count = 0.0, 0

    def update(self, value, n=1):
        self.total += float(value) * n
        self.count += n

    @property
    def mean(self):
        return self.total / max(self.count, 1)


def confusion(logits, labels, classes=3):
    table = np.zeros((classes, classes), dtype=int)
    for guess, label in zip(logits.argmax(1).tolist(), labels.tolist()):
        table[label, guess] += 1
    return table


@torch.inference_mode()
def evaluate(model, loader):
    was, table, meter = model.training, np.zeros((3, 3), dtype=int), Meter()
    model.eval()
    for x, labels in loader:
        logits = model(x)
        table += confusion(logits, labels)
        meter.update(F.cross_entropy(logits, labels), len(labels))
    model.train(was)
    return meter.mean, table.trace() / table.sum()


def histogram(model, bins=8):
    return {
        name: np.histogram(p.detach().numpy().ravel(), bins=bins)[0].tolist()
        for name, p in model.named_parameters()
    }


def train(model, epochs=2):
    data = Shapes(96, seed=0)
    weights = 1.0 / np.bincount(data.labels)[data.labels]
    sampler = WeightedRandomSampler(torch.from_numpy(weights), num_samples=len(data))
    loader = DataLoader(data, batch_size=16, sampler=sampler)
    held_out = DataLoader(Shapes(48, seed=1), batch_size=24)
    optimizer = torch.optim.NAdam(model.parameters(), lr=1e-2)
    recorder, history, file = Recorder(model), [], io.BytesIO()
    counts = torch.tensor(np.bincount(data.labels), dtype=torch.float32)
    for epoch in range(epochs):
        meter, smooth = Meter(), None
        for x, labels in loader:
            optimizer.zero_grad()
            logits = model(x)
            loss = F.cross_entropy(logits, labels, weight=counts.sum() / counts / 3)
            each = F.cross_entropy(logits.detach(), labels, reduction="none")
            hardest = x[each.argmax()].numpy().copy()
            loss.backward()
            norms = [p.grad.norm().item() for p in model.parameters() if p.grad is not None]
            if not math.isfinite(sum(norms)):
                warnings.warn("skipped a step", stacklevel=1)
                continue
            optimizer.step()
            smooth = loss.item() if smooth is None else 0.9 * smooth + 0.1 * loss.item()
            meter.update(loss.item(), len(x))
            log.debug("%.4f %.3f %s", loss, statistics.median(norms), hardest.shape)
        error, right = evaluate(model, held_out)
        history.append({"epoch": epoch, "loss": meter.mean, "error": error, "right": right})
        log.debug("%s", json.dumps(histogram(model)))
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    recorder.close()
    # Go on from what was saved, for one more step.
    file.seek(0)
    kept = torch.load(file, weights_only=True)
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    x, labels = next(iter(loader))
    optimizer.zero_grad()
    F.cross_entropy(model(x), labels).backward()
    optimizer.step()
    return history


torch.manual_seed(0)
model = Net()
history = train(model)
assert len(history) == 2
missing = any(p.grad is None or not p.grad.any() for p in model.parameters())
print(f"model: {'missing' if missing else 'nonzero'}")
