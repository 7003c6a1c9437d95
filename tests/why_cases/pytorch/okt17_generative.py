# cause: none
# line: 0
# affected: -
# symptom: legit: the divergence comes in from 0, noise levels are constants, averages follow
# expect: annealed=nonzero free_bits=nonzero flow=nonzero diffusion=nonzero matching=nonzero
# also: -
# stops: 108 119
"""Generative models: VAEs with annealing and free bits, a flow, diffusion, flow matching."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence


def moons(n=64):
    upper = torch.rand(n) < 0.5
    angle = math.pi * torch.rand(n)
    x = torch.where(upper, angle.cos(), 1.0 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return torch.stack([x, y], dim=1) + 0.05 * torch.randn(n, 2)


def mlp(inputs, outputs, width=24):
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, outputs))


def fit(parameters, loss_of, steps=10, rate=5e-3, after=None):
    optimizer = torch.optim.Adam(parameters, lr=rate)
    for step in range(steps):
        loss = loss_of(step / steps, moons())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if after is not None:
            after()


def annealed():
    """The weight of the divergence is 0 in the first steps."""
    encode, decode = mlp(2, 4), mlp(2, 2)
    log = []

    def loss_of(at, x):
        mean, log_var = encode(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        kl = -0.5 * (1.0 + log_var - mean.pow(2) - log_var.exp()).sum(1).mean()
        beta = max(0.0, 2.0 * at - 0.5)
        error = F.mse_loss(decode(z), x, reduction="none").sum(1).mean()
        log.append({"kl": kl.item(), "error": error.detach().item(), "beta": beta})
        return error + beta * kl

    fit([*encode.parameters(), *decode.parameters()], loss_of)
    return [encode, decode]


def free_bits():
    """What a dimension costs counts only beyond a bound; with torch.distributions."""
    encode, decode = mlp(2, 4), mlp(2, 2)
    prior = Normal(torch.zeros(2), torch.ones(2))

    def loss_of(_at, x):
        mean, raw = encode(x).chunk(2, dim=1)
        posterior = Normal(mean, F.softplus(raw) + 1e-3)
        kl = kl_divergence(posterior, prior).mean(0).clamp(min=0.05).sum()
        out = Independent(Normal(decode(posterior.rsample()), 0.3), 1)
        return -out.log_prob(x).mean() + kl

    fit([*encode.parameters(), *decode.parameters()], loss_of)
    return [encode, decode]


class Coupling(nn.Module):
    def __init__(self, swap):
        super().__init__()
        self.swap, self.net = swap, mlp(1, 2)

    def forward(self, x):
        a, b = x.flip(1).split(1, dim=1) if self.swap else x.split(1, dim=1)
        log_scale, shift = self.net(a).split(1, dim=1)
        log_scale = torch.tanh(log_scale)
        b = b * log_scale.exp() + shift
        out = torch.cat([b, a], dim=1) if self.swap else torch.cat([a, b], dim=1)
        return out, log_scale.squeeze(1)


def flow():
    layers = nn.ModuleList(Coupling(i % 2 == 1) for i in range(4))

    def loss_of(_at, x):
        total = torch.zeros(len(x))
        for layer in layers:
            x, log_det = layer(x)
            total = total + log_det
        return (0.5 * x.pow(2).sum(1) + math.log(2.0 * math.pi) - total).mean()

    fit(layers.parameters(), loss_of)
    return list(layers)


def diffusion(times=20, decay=0.9):
    net = mlp(3, 2)
    slow = copy.deepcopy(net)
    for p in slow.parameters():
        p.detach_()
    kept = torch.cumprod(1.0 - torch.linspace(1e-3, 0.3, times), dim=0)
    weights = torch.ones(times)

    def loss_of(_at, x):
        t = torch.randint(0, times, (len(x),))
        noise, level = torch.randn_like(x), kept[t].unsqueeze(1)
        noised = level.sqrt() * x + (1.0 - level).sqrt() * noise
        guess = net(torch.cat([noised, t.unsqueeze(1) / times], dim=1))
        error = (guess - noise).pow(2).mean(1)
        # Times with a large error are to count less.
        weights[t] = 0.9 * weights[t] + 0.1 * error.detach()
        return (error / weights[t].clamp(min=0.1)).mean()

    def after():
        with torch.no_grad():
            for a, b in zip(slow.parameters(), net.parameters()):
                a.mul_(decay).add_(b, alpha=1.0 - decay)

    fit(net.parameters(), loss_of, after=after)
    with torch.inference_mode():
        x = torch.randn(16, 2)
        for t in reversed(range(times)):
            at = torch.full((16, 1), t / times)
            x = x - 0.05 * slow(torch.cat([x, at], dim=1))
    assert x.isfinite().all()
    return [net]


def matching():
    """Straight paths from noise to data, and a student that jumps (with a stopped target)."""
    net = mlp(3, 2)

    def loss_of(at, x):
        noise, t = torch.randn_like(x), torch.rand(len(x), 1)
        path = (1.0 - t) * noise + t * x
        velocity = net(torch.cat([path, t], dim=1))
        loss = F.mse_loss(velocity, x - noise)
        if at > 0.5:
            later = (t + 0.1).clamp(max=1.0)
            with torch.no_grad():
                moved = path + (later - t) * velocity
                goal = net(torch.cat([moved, later], dim=1))
            loss = loss + 0.1 * F.mse_loss(net(torch.cat([path, t], dim=1)), goal)
        return loss

    fit(net.parameters(), loss_of)
    return [net]


torch.manual_seed(0)
for train in (annealed, free_bits, flow, diffusion, matching):
    parameters = [p for module in train() for p in module.parameters()]
    missing = any(p.grad is None or not p.grad.any() for p in parameters)
    print(f"{train.__name__}: {'missing' if missing else 'nonzero'}")
