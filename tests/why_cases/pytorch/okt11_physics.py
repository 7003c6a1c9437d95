# cause: none
# line: 0
# affected: -
# symptom: legit: gradients by the inputs are parts of losses, targets are constants
# expect: heat=nonzero hamiltonian=nonzero ode=nonzero score_matching=nonzero
# also: -
# stops: 64 110
"""Derivatives in losses: a heat equation with unknown rate, a Hamiltonian, an ODE, a score."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def mlp(inputs, outputs, width=20):
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.Tanh(),
        nn.Linear(width, width),
        nn.Tanh(),
        nn.Linear(width, outputs),
    )


def slope(y, x, again=True):
    return torch.autograd.grad(y, x, torch.ones_like(y), create_graph=again, retain_graph=True)[0]


def heat(steps=12):
    """u_t = k u_xx, where k is not known, with points of some data."""
    net, log_rate = mlp(2, 1), nn.Parameter(torch.tensor(-2.0))
    optimizer = torch.optim.Adam([*net.parameters(), log_rate], lr=1e-2)
    for step in range(steps):
        x = torch.rand(64, 1, requires_grad=True)
        t = torch.rand(64, 1, requires_grad=True)
        u = net(torch.cat([x, t], dim=1))
        u_x, u_t = slope(u, x), slope(u, t)
        u_xx = slope(u_x, x)
        physics = (u_t - log_rate.exp() * u_xx).pow(2).mean()
        with torch.no_grad():
            seen = torch.exp(-t) * torch.sin(math.pi * x)
        data = F.mse_loss(u, seen)
        edge = net(torch.cat([torch.zeros(16, 1), torch.rand(16, 1)], dim=1)).pow(2).mean()
        loss = physics + data + edge
        if step % 4 == 0:
            # What each term pulls with, for the log.
            pull = torch.autograd.grad(physics, net[0].weight, retain_graph=True)[0].norm().item()
            assert math.isfinite(pull)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return nn.ModuleList([net, nn.ParameterList([log_rate])])


def hamiltonian(steps=12):
    """Learn an energy from the motion that follows from it."""
    energy = mlp(2, 1)
    optimizer = torch.optim.Adam(energy.parameters(), lr=1e-2)
    for _ in range(steps):
        state = torch.randn(48, 2, requires_grad=True)
        dq, dp = slope(energy(state), state).split(1, dim=1)
        truth = torch.cat([state[:, 1:], -torch.sin(state[:, :1])], dim=1).detach()
        loss = F.mse_loss(torch.cat([dp, -dq], dim=1), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The last bias is in no derivative, so an energy is known up to a constant.
    return energy[:4]


def ode(steps=8, pieces=6, dt=0.1):
    """Runge and Kutta's steps through a network, with the start given."""
    field = mlp(2, 2)
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-2)
    for _ in range(steps):
        state = 0.5 * torch.randn(16, 2)
        truth, path, goal = state.clone(), [], []
        for _ in range(pieces):
            k1 = field(state)
            k2 = field(state + 0.5 * dt * k1)
            state = state + dt * k2
            truth = truth + dt * torch.stack([truth[:, 1], -truth[:, 0]], dim=1)
            path.append(state)
            goal.append(truth)
        loss = F.mse_loss(torch.stack(path), torch.stack(goal))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return field


def score_matching(steps=12):
    """The score of an energy, with slices of its derivative (Song et al., 2019)."""
    energy = mlp(2, 1)
    optimizer = torch.optim.Adam(energy.parameters(), lr=5e-3)
    for _ in range(steps):
        x = (0.5 * torch.randn(48, 2) + 1.0).requires_grad_()
        score = -slope(energy(x), x)
        v = torch.randn_like(x)
        turned = slope((score * v).sum(1, keepdim=True), x)
        loss = ((turned * v).sum(1) + 0.5 * (score * v).sum(1).pow(2)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # Langevin's walk: the derivative by the input only, no graph is kept.
    x = torch.randn(8, 2)
    for _ in range(5):
        x = x.detach().requires_grad_(True)
        g = torch.autograd.grad(energy(x).sum(), x)[0]
        x = x - 0.01 * g + 0.14 * torch.randn_like(x)
    return energy[:4]


torch.manual_seed(0)
for train in (heat, hamiltonian, ode, score_matching):
    module = train()
    missing = any(p.grad is None or not p.grad.any() for p in module.parameters())
    print(f"{train.__name__}: {'missing' if missing else 'nonzero'}")
