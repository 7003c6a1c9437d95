# cause: none
# line: 0
# affected: -
# symptom: legit: gradients of the inputs are looked at, or their sign is a step
# expect: net=nonzero dream=nonzero style=nonzero
# also: -
# stops: 41 50 56 68 158
"""Gradients by the inputs: saliency, attacks, adversarial training, dreams and style."""

import torch
import torch.nn.functional as F
from torch import nn


def data(n=32):
    labels = torch.randint(0, 3, (n,))
    x = 0.3 * torch.randn(n, 1, 8, 8)
    for i, label in enumerate(labels.tolist()):
        x[i, 0, 2 * label : 2 * label + 3, 1:7] += 1.0
    return x.clamp(-1.0, 2.0), labels


def network():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 3),
    )


def fgsm(net, x, labels, size=0.1):
    x = x.clone().detach().requires_grad_(True)
    loss = F.cross_entropy(net(x), labels)
    (slope,) = torch.autograd.grad(loss, x)
    return (x + size * slope.sign()).detach()


def fgsm_with_backward(net, x, labels, size=0.1):
    """The same, and the gradients of the weights are thrown away."""
    x = x.clone()
    x.requires_grad = True
    F.cross_entropy(net(x), labels).backward()
    net.zero_grad()
    return (x + size * x.grad.sign()).detach()


def pgd(net, x, labels, size=0.1, step=0.04, times=3):
    moved = x + torch.empty_like(x).uniform_(-size, size)
    for _ in range(times):
        moved = moved.detach().requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(net(moved), labels)
        slope = torch.autograd.grad(loss, [moved])[0]
        moved = moved.detach() + step * torch.sign(slope.detach())
        moved = torch.min(torch.max(moved, x - size), x + size)
    return moved.detach()


def trades(net, x, labels, weight=2.0):
    """A loss of Zhang et al. (2019): near pictures should get near answers."""
    net.eval()
    plain = net(x).softmax(1).detach()
    near = x + 0.001 * torch.randn_like(x)
    for _ in range(2):
        near = near.detach().requires_grad_(True)
        divergence = F.kl_div(F.log_softmax(net(near), 1), plain, reduction="sum")
        near = near + 0.05 * torch.autograd.grad(divergence, near)[0].sign()
    net.train()
    logits, moved = net(x), net(near.detach())
    robust = F.kl_div(F.log_softmax(moved, 1), F.softmax(logits, 1), reduction="batchmean")
    return F.cross_entropy(logits, labels) + weight * robust


def virtual(net, x, labels, length=0.5):
    """Virtual adversarial training: the direction is found by one power iteration."""
    with torch.no_grad():
        plain = net(x).softmax(1)
    d = F.normalize(torch.randn_like(x).flatten(1), dim=1).view_as(x).requires_grad_()
    far = F.kl_div(F.log_softmax(net(x + 0.1 * d), 1), plain, reduction="batchmean")
    far.backward()
    d = F.normalize(d.grad.flatten(1), dim=1).view_as(x)
    net.zero_grad()
    smooth = F.kl_div(F.log_softmax(net(x + length * d), 1), plain, reduction="batchmean")
    return F.cross_entropy(net(x), labels) + smooth


def train(net, loss_of, steps=4):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(steps):
        loss = loss_of(net, *data())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def on_moved(attack):
    return lambda net, x, labels: F.cross_entropy(net(attack(net, x, labels)), labels)


def saliency(net):
    """Plain, smooth, integrated, and by the last pictures (Grad-CAM)."""
    net.eval()
    x, labels = data(4)
    x.requires_grad_()
    chosen = net(x).gather(1, labels[:, None]).sum()
    chosen.backward()
    maps = {"plain": x.grad.abs().amax(1)}

    path = [(k / 4 * x.detach()).requires_grad_() for k in range(1, 5)]
    slopes = [torch.autograd.grad(net(p).gather(1, labels[:, None]).sum(), p)[0] for p in path]
    maps["integrated"] = (x.detach() * torch.stack(slopes).mean(0)).sum(1)

    kept = {}
    handle = net[5].register_forward_hook(lambda _module, _inputs, out: kept.update(out=out))
    logits = net(x.detach())
    handle.remove()
    slope = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), kept["out"])[0]
    maps["cam"] = F.relu((slope.mean((2, 3), keepdim=True) * kept["out"]).sum(1))
    net.zero_grad()
    net.train()
    return {name: values.detach().numpy() for name, values in maps.items()}


def dream(net, steps=5):
    """A picture is the parameter here; the network is frozen."""
    net.eval()
    for p in net.parameters():
        p.requires_grad_(False)
    picture = torch.zeros(1, 1, 8, 8, requires_grad=True)
    optimizer = torch.optim.Adam([picture], lr=0.1)
    for _ in range(steps):
        variation = (picture[..., 1:] - picture[..., :-1]).pow(2).mean()
        loss = -net(picture)[0, 1] + variation
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            picture.clamp_(-1.0, 2.0)
    net.requires_grad_(True).train()
    return picture


def style(net, steps=3):
    """Targets are computed once; the picture is a leaf that LBFGS moves."""
    body = net[:6].eval()

    def gram(h):
        flat = h.flatten(2)
        return flat @ flat.transpose(1, 2) / flat.shape[2]

    content, look = data(2)[0].split(1)
    goal, looks = body(content).detach(), gram(body(look)).detach()
    picture = nn.Parameter(content.clone())
    optimizer = torch.optim.LBFGS([picture], max_iter=2)

    def closure():
        optimizer.zero_grad()
        h = body(picture)
        loss = F.mse_loss(h, goal) + F.mse_loss(gram(h), looks)
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return picture


torch.manual_seed(0)
net = network()
losses = [on_moved(fgsm), on_moved(fgsm_with_backward), on_moved(pgd), trades, virtual]
for loss_of in losses:
    train(net, loss_of)
missing = any(p.grad is None for p in net.parameters())
print(f"net: {'missing' if missing else 'nonzero'}")
assert set(saliency(net)) == {"plain", "integrated", "cam"}
for make in (dream, style):
    print(f"{make.__name__}: {'nonzero' if make(net).grad.any() else 'zero'}")
