# cause: none
# line: 0
# affected: -
# symptom: legit: teachers follow their students, and what a student is compared with is a constant
# expect: BYOL=nonzero SimSiam=nonzero DINO=nonzero MoCo=nonzero SimCLR=nonzero
# also: -
# stops: 62 80
"""BYOL, SimSiam, DINO, MoCo with a queue, and SimCLR, on noisy points."""

import copy

import torch
import torch.nn.functional as F
from torch import nn


def views(x):
    return x + 0.2 * torch.randn_like(x), x * (torch.rand_like(x) < 0.8)


def encoder(outputs=8):
    return nn.Sequential(nn.Linear(6, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, outputs))


def predictor(size=8):
    return nn.Sequential(nn.Linear(size, 16), nn.ReLU(), nn.Linear(16, size))


def distance(p, z):
    return 2.0 - 2.0 * F.cosine_similarity(p, z, dim=1).mean()


class BYOL(nn.Module):
    def __init__(self):
        super().__init__()
        self.online, self.predict = encoder(), predictor()
        self.target = copy.deepcopy(self.online)
        for p in self.target.parameters():
            p.requires_grad = False

    def forward(self, x):
        a, b = views(x)
        with torch.no_grad():
            to_a, to_b = self.target(a), self.target(b)
        return distance(self.predict(self.online(a)), to_b) + distance(
            self.predict(self.online(b)), to_a
        )

    def after_step(self):
        for slow, fast in zip(self.target.parameters(), self.online.parameters()):
            slow.data = 0.95 * slow.data + 0.05 * fast.data


class SimSiam(nn.Module):
    def __init__(self):
        super().__init__()
        self.online, self.predict = encoder(), predictor()

    def forward(self, x):
        za, zb = (self.online(view) for view in views(x))
        pa, pb = self.predict(za), self.predict(zb)
        return 0.5 * distance(pa, zb.detach()) + 0.5 * distance(pb, za.detach())

    def after_step(self):
        pass


class DINO(nn.Module):
    def __init__(self):
        super().__init__()
        self.online = encoder(12)
        self.teacher = encoder(12)
        self.teacher.load_state_dict(self.online.state_dict())
        self.teacher.requires_grad_(False)
        self.register_buffer("centre", torch.zeros(12))

    def forward(self, x):
        a, b = views(x)
        out = self.teacher(a)
        goal = F.softmax((out - self.centre) / 0.05, dim=1).detach()
        self.centre = 0.9 * self.centre + 0.1 * out.mean(0)
        return -(goal * F.log_softmax(self.online(b) / 0.1, dim=1)).sum(1).mean()

    @torch.no_grad()
    def after_step(self):
        for name, slow in self.teacher.named_parameters():
            slow.mul_(0.95).add_(self.online.get_parameter(name), alpha=0.05)


class MoCo(nn.Module):
    def __init__(self, size=48):
        super().__init__()
        self.online = encoder()
        self.keys = copy.deepcopy(self.online).requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(size, 8), dim=1))
        self.pointer = 0

    def forward(self, x):
        a, b = views(x)
        q = F.normalize(self.online(a), dim=1)
        with torch.no_grad():
            k = F.normalize(self.keys(b), dim=1)
        positive = (q * k).sum(dim=1, keepdim=True)
        negative = q @ self.queue.clone().detach().t()
        logits = torch.cat([positive, negative], dim=1) / 0.2
        self.fresh = k
        return F.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long))

    @torch.no_grad()
    def after_step(self):
        n = len(self.fresh)
        self.queue[self.pointer : self.pointer + n] = self.fresh
        self.pointer = (self.pointer + n) % len(self.queue)
        for slow, fast in zip(self.keys.parameters(), self.online.parameters()):
            slow.lerp_(fast, 0.05)


class SimCLR(nn.Module):
    def __init__(self):
        super().__init__()
        self.online = encoder()

    def forward(self, x):
        z = F.normalize(self.online(torch.cat(views(x))), dim=1)
        n = len(x)
        likeness = (z @ z.t() / 0.5).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
        return F.cross_entropy(likeness, torch.arange(2 * n).roll(n))

    def after_step(self):
        pass


def probe(model, n=64):
    """A linear probe on features that are constants to it."""
    head = nn.Linear(next(reversed(model.online)).out_features, 2)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    model.eval()
    for _ in range(3):
        x = torch.randn(n, 6)
        with torch.no_grad():
            h = model.online(x)
        loss = F.cross_entropy(head(h), (x[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


torch.manual_seed(0)
for kind in (BYOL, SimSiam, DINO, MoCo, SimCLR):
    model = kind()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.05, momentum=0.9
    )
    for _ in range(8):
        loss = model(torch.randn(24, 6))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.after_step()
    probe(model)
    missing = any(p.grad is None for p in model.online.parameters())
    print(f"{kind.__name__}: {'missing' if missing else 'nonzero'}")
