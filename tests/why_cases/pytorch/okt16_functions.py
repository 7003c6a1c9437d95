# cause: none
# line: 0
# affected: -
# symptom: legit: gradients of functions of the weights; what comes back is applied by hand
# expect: plain=updated each=updated many=updated smooth=updated tangents=updated hyper=updated
# also: -
# stops: 40
"""torch.func in training: gradients of each example, ensembles, Jacobians, hypernetworks."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacrev,
    jvp,
    stack_module_state,
    vjp,
    vmap,
)


def data(n=32):
    x = torch.randn(n, 4)
    return x, torch.tanh(x[:, :1] - x[:, 1:2])


def network():
    return nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 1))


def plain():
    """The weights are a dictionary of tensors; a step makes a new one."""
    net = network()
    weights = {name: p.detach() for name, p in net.named_parameters()}

    def loss(weights, x, y):
        return F.mse_loss(functional_call(net, weights, (x,)), y)

    history = []
    for _ in range(6):
        slopes, value = grad_and_value(loss)(weights, *data())
        weights = {name: w - 0.1 * slopes[name] for name, w in weights.items()}
        history.append(value.item())
    moved = any(not torch.equal(weights[name], p) for name, p in net.named_parameters())
    return moved


def each():
    """Gradients of each example, clipped one by one and with noise (DP-SGD)."""
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    before = net[0].weight.detach().clone()

    def loss(weights, x, y):
        return F.mse_loss(functional_call(net, weights, (x[None],)), y[None])

    for _ in range(4):
        x, y = data()
        weights = {name: p.detach() for name, p in net.named_parameters()}
        slopes = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, y)
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in slopes.values()]).norm(dim=0)
        factors = (1.0 / (norms + 1e-6)).clamp(max=1.0)
        optimizer.zero_grad()
        for name, p in net.named_parameters():
            clipped = torch.einsum("n,n...->...", factors, slopes[name]) / len(x)
            p.grad = clipped + 0.01 * torch.randn_like(p)
        optimizer.step()
    return not torch.equal(net[0].weight, before)


def many(members=3):
    """All members in one batched call, with one optimizer for the stacked weights."""
    nets = [network() for _ in range(members)]
    weights, buffers = stack_module_state(nets)
    base = copy.deepcopy(nets[0]).to("meta")
    optimizer = torch.optim.Adam(weights.values(), lr=1e-2)
    before = weights["0.weight"].detach().clone()

    def call(weights, buffers, x):
        return functional_call(base, (weights, buffers), (x,))

    for _ in range(4):
        x, y = data()
        out = vmap(call, in_dims=(0, 0, None))(weights, buffers, x)
        loss = (out - y).pow(2).mean((1, 2)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return not torch.equal(weights["0.weight"], before)


def smooth(weight=0.01):
    """A penalty on the Jacobian of the outputs by the inputs."""
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    before = net[0].weight.detach().clone()
    for _ in range(4):
        x, y = data()
        jacobian = vmap(jacrev(lambda one: net(one)))(x)
        loss = F.mse_loss(net(x), y) + weight * jacobian.pow(2).sum((1, 2)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, y = data(2)
    curvature = hessian(lambda one: net(one).sum())(x[0])
    assert curvature.shape == (4, 4)
    return not torch.equal(net[0].weight, before)


def tangents():
    """A directional derivative in the loss, and a product from the left for the log."""
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    before = net[0].weight.detach().clone()
    for _ in range(4):
        x, y = data()
        direction = torch.randn_like(x)
        out, along = jvp(net, (x,), (direction,))
        goal = (1.0 - y.pow(2)) * (direction[:, :1] - direction[:, 1:2])
        loss = F.mse_loss(out, y) + 0.1 * F.mse_loss(along, goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _, pull = vjp(net, x.detach())
    (back,) = pull(torch.ones(len(x), 1))
    assert back.detach().numpy().shape == (32, 4)
    return not torch.equal(net[0].weight, before)


class Hyper(nn.Module):
    """A network that makes the weights of another one, which has none of its own that learn."""

    def __init__(self):
        super().__init__()
        self.inner = network().requires_grad_(False)
        self.sizes = {name: p.shape for name, p in self.inner.named_parameters()}
        total = sum(size.numel() for size in self.sizes.values())
        self.make = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, total))

    def forward(self, context, x):
        parts = self.make(context).split([size.numel() for size in self.sizes.values()])
        weights = {n: part.view(size) for (n, size), part in zip(self.sizes.items(), parts)}
        return functional_call(self.inner, weights, (x,))


def hyper():
    net = Hyper()
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-2)
    before = net.make[0].weight.detach().clone()
    for _ in range(4):
        x, y = data()
        loss = F.mse_loss(net(torch.randn(2), x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return not torch.equal(net.make[0].weight, before)


torch.manual_seed(0)
for train in (plain, each, many, smooth, tangents, hyper):
    print(f"{train.__name__}: {'updated' if train() else 'still'}")
