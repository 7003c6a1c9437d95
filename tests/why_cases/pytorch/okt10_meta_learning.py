# cause: none
# line: 0
# affected: -
# symptom: legit: weights are adapted and thrown away; first order methods stop the inner gradient
# expect: second=updated first=updated copied=updated reptile=updated on_head=updated sizes=updated
# also: -
# stops: 51
"""MAML, first order MAML, Reptile, ANIL and learnt step sizes, by functions of the weights."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call


def task(shots=8):
    height, phase = 0.5 + torch.rand(()), 3.0 * torch.rand(())
    x = 4.0 * torch.rand(2 * shots, 1) - 2.0
    y = height * torch.sin(2.0 * x + phase)
    return x[:shots], y[:shots], x[shots:], y[shots:]


def network():
    inner = nn.Linear(16, 16)
    return nn.Sequential(nn.Linear(1, 16), nn.Tanh(), inner, nn.Tanh(), nn.Linear(16, 1))


def second(net, optimizer):
    optimizer.zero_grad()
    for _ in range(3):
        x, y, qx, qy = task()
        weights = dict(net.named_parameters())
        for _ in range(2):
            loss = F.mse_loss(functional_call(net, weights, (x,)), y)
            slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {n: w - 0.05 * g for (n, w), g in zip(weights.items(), slopes)}
        outer = F.mse_loss(functional_call(net, weights, (qx,)), qy) / 3
        outer.backward()
    optimizer.step()


def first(net, optimizer):
    """The inner gradients are constants to the outer loss."""
    optimizer.zero_grad()
    x, y, qx, qy = task()
    weights = dict(net.named_parameters())
    loss = F.mse_loss(functional_call(net, weights, (x,)), y)
    slopes = torch.autograd.grad(loss, list(weights.values()))
    weights = {n: w - 0.05 * g.detach() for (n, w), g in zip(weights.items(), slopes)}
    F.mse_loss(functional_call(net, weights, (qx,)), qy).backward()
    optimizer.step()


def copied(net, optimizer):
    """The gradient of an adapted copy is handed to the original."""
    x, y, qx, qy = task()
    clone = copy.deepcopy(net)
    inner = torch.optim.SGD(clone.parameters(), lr=0.05)
    for _ in range(2):
        inner.zero_grad()
        F.mse_loss(clone(x), y).backward()
        inner.step()
    slopes = torch.autograd.grad(F.mse_loss(clone(qx), qy), clone.parameters())
    optimizer.zero_grad()
    for p, g in zip(net.parameters(), slopes):
        p.grad = g
    optimizer.step()


def reptile(net, optimizer):
    x, y, _, _ = task()
    clone = copy.deepcopy(net)
    inner = torch.optim.SGD(clone.parameters(), lr=0.05)
    for _ in range(3):
        inner.zero_grad()
        F.mse_loss(clone(x), y).backward()
        inner.step()
    with torch.no_grad():
        for slow, fast in zip(net.parameters(), clone.parameters()):
            slow.add_(0.2 * (fast - slow))


def on_head(net, optimizer):
    """ANIL: the inner loop adapts the last layer alone."""
    x, y, qx, qy = task()
    body, head = net[:-1], net[-1]
    weight, bias = head.weight, head.bias
    h, qh = body(x), body(qx)
    for _ in range(2):
        loss = F.mse_loss(F.linear(h, weight, bias), y)
        gw, gb = torch.autograd.grad(loss, (weight, bias), create_graph=True)
        weight, bias = weight - 0.05 * gw, bias - 0.05 * gb
    optimizer.zero_grad()
    F.mse_loss(F.linear(qh, weight, bias), qy).backward()
    optimizer.step()


class StepSizes(nn.Module):
    """A step size for each parameter, learnt with the start."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.sizes = nn.ParameterList(torch.full_like(p, 0.05) for p in net.parameters())

    def adapted(self, x, y):
        weights = dict(self.net.named_parameters())
        loss = F.mse_loss(functional_call(self.net, weights, (x,)), y)
        slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        return {
            name: w - size * g for (name, w), size, g in zip(weights.items(), self.sizes, slopes)
        }


def sizes(net, optimizer):
    if not hasattr(optimizer, "meta"):
        optimizer.meta = StepSizes(net)
        optimizer.add_param_group({"params": optimizer.meta.sizes.parameters(), "lr": 1e-3})
    x, y, qx, qy = task()
    outer = F.mse_loss(functional_call(net, optimizer.meta.adapted(x, y), (qx,)), qy)
    optimizer.zero_grad()
    outer.backward()
    optimizer.step()


torch.manual_seed(0)
for step in (
    second,
    first,
    copied,
    reptile,
    on_head,
    sizes,
):
    net = network()
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(4):
        step(net, optimizer)
    still = any(torch.equal(p, b) for p, b in zip(net.parameters(), before))
    print(f"{step.__name__}: {'still' if still else 'updated'}")
