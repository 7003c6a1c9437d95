# cause: none
# line: 0
# affected: -
# symptom: legit: terms are off in some passes, stopped on purpose, or weighed by gradients
# expect: all=nonzero
# also: -
# stops: 31 61 166 170
"""Several losses and several networks: learnt weights, projected gradients, cycles, probes."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 24), nn.ReLU())
        self.heads = nn.ModuleDict({"sort": nn.Linear(24, 3), "size": nn.Linear(24, 1)})
        self.probe = nn.Linear(24, 2)
        self.log_vars = nn.ParameterDict({name: torch.zeros(()) for name in self.heads})

    def losses(self, x):
        h = self.trunk(x)
        return {
            "sort": F.cross_entropy(self.heads["sort"](h), x[:, :3].argmax(1)),
            "size": F.smooth_l1_loss(self.heads["size"](h), x.norm(dim=1, keepdim=True)),
            # The probe reads the features and leaves them as they are.
            "probe": F.cross_entropy(self.probe(h.detach()), (x[:, 0] > 0).long()),
        }


def uncertainties(steps=8):
    model = Heads()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        losses = model.losses(torch.randn(32, 6))
        total = losses["probe"]
        for name, log_var in model.log_vars.items():
            total = total + torch.exp(-log_var) * losses[name] + 0.5 * log_var
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        _shown = {name: round(loss.item(), 3) for name, loss in losses.items()}
    return model


def balanced(steps=8):
    """Weights so that all terms pull equally; the pulls are numbers."""
    model = Heads()
    own = (model.trunk, model.heads, model.probe)
    optimizer = torch.optim.SGD([p for part in own for p in part.parameters()], lr=0.05)
    for _ in range(steps):
        losses = model.losses(torch.randn(32, 6))
        shared = list(model.trunk.parameters())
        pulls = {}
        for name in model.heads:
            slopes = torch.autograd.grad(losses[name], shared, retain_graph=True)
            pulls[name] = torch.cat([g.flatten() for g in slopes]).norm().item()
        mean = sum(pulls.values()) / len(pulls)
        total = sum(mean / (pulls[name] + 1e-8) * losses[name] for name in model.heads)
        optimizer.zero_grad()
        (total + losses["probe"]).backward()
        optimizer.step()
    return model.heads


def projected(steps=6):
    """PCGrad: what two tasks disagree about is taken out, and .grad is written by hand."""
    model = Heads()
    shared = list(model.trunk.parameters())
    optimizer = torch.optim.SGD([*shared, *model.heads.parameters()], lr=0.05)
    for _ in range(steps):
        losses = model.losses(torch.randn(32, 6))
        optimizer.zero_grad()
        (losses["sort"] + losses["size"]).backward(
            inputs=list(model.heads.parameters()), retain_graph=True
        )
        a = torch.autograd.grad(losses["sort"], shared, retain_graph=True)
        b = torch.autograd.grad(losses["size"], shared)
        dot = sum((p * q).sum() for p, q in zip(a, b))
        if dot < 0:
            length = sum(q.pow(2).sum() for q in b)
            a = [p - dot / length * q for p, q in zip(a, b)]
        for p, p_a, p_b in zip(shared, a, b):
            p.grad = p_a + p_b
        optimizer.step()
    return nn.ModuleList([model.trunk, model.heads])


def in_turn(steps=8):
    """Each batch has labels for one task only; the other head gets no gradient then."""
    model = Heads()
    optimizer = torch.optim.Adam([*model.trunk.parameters(), *model.heads.parameters()], lr=5e-3)
    for step in range(steps):
        name = ("sort", "size")[step % 2]
        optimizer.zero_grad()
        model.losses(torch.randn(32, 6))[name].backward()
        optimizer.step()
    return model.trunk


def half_labelled(steps=6):
    """Pseudo-labels where the model is sure, which is nowhere at first; some have no label."""
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Dropout(0.1), nn.Linear(24, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        x = torch.randn(32, 6)
        labels = x[:, :3].argmax(1).masked_fill(torch.rand(32) < 0.5, -100)
        loss = F.cross_entropy(model(x), labels, ignore_index=-100)
        unseen = torch.randn(32, 6)
        with torch.no_grad():
            sure, guess = model(unseen).softmax(1).max(1)
        each = F.cross_entropy(model(unseen + 0.1 * torch.randn(32, 6)), guess, reduction="none")
        loss = loss + ((sure > 0.95).float() * each).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def triplets(steps=6):
    """A margin that is soon kept by most; a penalty whose weight is 0 in the configuration."""
    config = {"margin": 0.3, "penalty": 0.0, "activity": 1e-4}
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        labels = torch.arange(32) % 4
        z = model(F.one_hot(labels, 6).float() + 0.3 * torch.randn(32, 6))
        far = torch.cdist(z, z)
        same = labels[:, None] == labels
        hardest = far.masked_fill(~same, -1.0).amax(1)
        nearest = far.masked_fill(same, 1e9).amin(1)
        loss = F.relu(hardest - nearest + config["margin"]).mean()
        loss = loss + config["penalty"] * model[0].weight.abs().sum()
        loss = loss + config["activity"] * z.pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def cycle(steps=5):
    """Two generators and two judges, with one optimizer for each pair."""
    there, back = nn.Linear(2, 2), nn.Linear(2, 2)
    judges = nn.ModuleList(
        nn.Sequential(nn.Linear(2, 12), nn.LeakyReLU(0.2), nn.Linear(12, 1)) for _ in range(2)
    )
    g_optimizer = torch.optim.Adam(itertools.chain(there.parameters(), back.parameters()), lr=2e-3)
    d_optimizer = torch.optim.Adam(judges.parameters(), lr=2e-3)
    old = []
    for _ in range(steps):
        a, b = torch.randn(32, 2) + 1.0, 0.5 * torch.randn(32, 2) - 1.0
        judges.requires_grad_(False)
        fake_b, fake_a = there(a), back(b)
        adversarial = (judges[0](fake_a) - 1.0).pow(2).mean() + (judges[1](fake_b) - 1.0).pow(
            2
        ).mean()
        loop = F.l1_loss(back(fake_b), a) + F.l1_loss(there(fake_a), b)
        g_optimizer.zero_grad()
        (adversarial + 5.0 * loop).backward()
        g_optimizer.step()
        judges.requires_grad_(True)
        old.append(fake_a.detach())
        pool = torch.cat(old[-3:])
        d_loss = (judges[0](a) - 1.0).pow(2).mean() + judges[0](pool).pow(2).mean()
        d_loss = d_loss + (judges[1](b) - 1.0).pow(2).mean()
        d_loss = d_loss + judges[1](fake_b.detach()).pow(2).mean()
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
    return nn.ModuleList([there, back, judges])


torch.manual_seed(0)
for train in (uncertainties, balanced, projected, in_turn, half_labelled, triplets, cycle):
    missing = any(p.grad is None for p in train().parameters())
    if missing:
        print(f"{train.__name__}: missing")
print("all: nonzero")
