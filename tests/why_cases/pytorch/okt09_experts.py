# cause: none
# line: 0
# affected: -
# symptom: legit: experts without a token get no gradient in that pass
# expect: TopK=updated Switch=updated Hard=updated Soft=updated
# also: -
# stops: 32 62 77 95
"""Mixtures of experts: top-k routing, one expert per token, hard choices by Gumbel, capacities."""

import torch
import torch.nn.functional as F
from torch import nn


def expert(width):
    return nn.Sequential(nn.Linear(width, 12), nn.ReLU(), nn.Linear(12, width))


class TopK(nn.Module):
    """Each token goes to k experts; a loss keeps the load even (Shazeer et al., 2017)."""

    def __init__(self, width=6, experts=6, k=2):
        super().__init__()
        self.k, self.noise = k, 0.1
        self.gate = nn.Linear(width, experts, bias=False)
        self.experts = nn.ModuleList(expert(width) for _ in range(experts))

    def forward(self, x):
        logits = self.gate(x)
        if self.training:
            logits = logits + self.noise * torch.randn_like(logits)
        values, chosen = logits.topk(self.k, dim=-1)
        weights = F.softmax(values, dim=-1)
        out = torch.zeros_like(x)
        for i, one in enumerate(self.experts):
            token, slot = torch.where(chosen == i)
            if token.numel() == 0:
                continue
            out = out.index_add(0, token, weights[token, slot].unsqueeze(1) * one(x[token]))
        share = F.one_hot(chosen, len(self.experts)).float().sum(1).mean(0)
        balance = len(self.experts) * (share * F.softmax(logits, dim=-1).mean(0)).sum()
        return out, balance


class Switch(nn.Module):
    """One expert per token with a capacity; tokens beyond it pass unchanged."""

    def __init__(self, width=6, experts=4, capacity=6):
        super().__init__()
        self.capacity = capacity
        self.gate = nn.Linear(width, experts)
        self.experts = nn.ModuleList(expert(width) for _ in range(experts))

    def forward(self, x):
        probability = self.gate(x).softmax(dim=-1)
        weight, chosen = probability.max(dim=-1)
        out = x.clone()
        for i, one in enumerate(self.experts):
            mine = (chosen == i).nonzero().squeeze(1)[: self.capacity]
            if len(mine):
                out[mine] = x[mine] + weight[mine].unsqueeze(1) * one(x[mine])
        share = F.one_hot(chosen, probability.shape[1]).float().mean(0).detach()
        return out, probability.shape[1] * (share * probability.mean(0)).sum()


class Hard(nn.Module):
    """A choice by straight-through Gumbel softmax, and a gate by a straight-through threshold."""

    def __init__(self, width=6, experts=3):
        super().__init__()
        self.gate, self.keep = nn.Linear(width, experts), nn.Linear(width, 1)
        self.experts = nn.ModuleList(expert(width) for _ in range(experts))

    def forward(self, x):
        choice = F.gumbel_softmax(self.gate(x), tau=1.0, hard=True)
        soft = torch.sigmoid(self.keep(x))
        hard = (soft > 0.5).float() - soft.detach() + soft
        out = torch.stack([one(x) for one in self.experts], dim=1)
        return hard * (choice.unsqueeze(2) * out).sum(1), x.new_zeros(())


class Soft(nn.Module):
    """Mixture density: log-sum-exp written with a maximum that is a constant."""

    def __init__(self, width=6, parts=3):
        super().__init__()
        self.mix, self.mean = nn.Linear(width, parts), nn.Linear(width, parts * width)
        self.log_scale = nn.Parameter(torch.zeros(parts))

    def nll(self, x, y):
        mean = self.mean(x).unflatten(1, (-1, y.shape[1]))
        error = (y.unsqueeze(1) - mean) * torch.exp(-self.log_scale)[:, None]
        joint = F.log_softmax(self.mix(x), dim=1) - 0.5 * error.pow(2).sum(2)
        joint = joint - y.shape[1] * self.log_scale
        top = joint.max(dim=1, keepdim=True).values.detach()
        return -(top.squeeze(1) + (joint - top).exp().sum(1).log()).mean()


def fit(layer, steps=12):
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    for _ in range(steps):
        x = torch.randn(24, 6)
        y = torch.where(x[:, :1] > 0, x.flip(1), -x)
        if isinstance(layer, Soft):
            loss = layer.nll(x, y)
        else:
            out, balance = layer(x)
            loss = F.mse_loss(out, y) + 0.01 * balance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return layer


torch.manual_seed(0)
for layer in (TopK(), Switch(), Hard(), Soft()):
    before = [p.detach().clone() for p in layer.parameters()]
    fit(layer)
    still = any(torch.equal(p, b) for p, b in zip(layer.parameters(), before))
    print(f"{type(layer).__name__}: {'still' if still else 'updated'}")
