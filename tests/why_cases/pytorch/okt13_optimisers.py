# cause: none
# line: 0
# affected: -
# symptom: legit: weights are written by hand, in closures, with noise, or by evolution
# expect: all=learns
# also: -
"""Other ways to train: LBFGS, updates by hand, noise, evolution, sharpness, several optimizers."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
X = torch.randn(64, 4)
Y = torch.sin(X @ torch.tensor([[1.0], [-0.5], [0.3], [0.0]]))


def network():
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))


def lbfgs(net):
    optimizer = torch.optim.LBFGS(
        net.parameters(), lr=1.0, max_iter=8, history_size=5, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(net(X), Y)
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)


def by_hand(net):
    """As in the first tutorials: .data, and gradients set to zero in place."""
    for _ in range(5):
        loss = F.mse_loss(net(X), Y)
        loss.backward()
        for p in net.parameters():
            p.data -= 0.1 * p.grad.data
            p.grad.zero_()


def by_hand_without_graph(net):
    for _ in range(5):
        loss = F.mse_loss(net(X), Y)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for p, g in zip(net.parameters(), gradients):
                p -= 0.1 * g


def momentum_by_hand(net):
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    for step in range(5):
        net.zero_grad()
        F.mse_loss(net(X), Y).backward()
        with torch.no_grad():
            for p, v in zip(net.parameters(), velocity):
                v.mul_(0.9).add_(p.grad)
                p.sub_(0.05 / (step + 1) * v)


def langevin(net):
    for _ in range(5):
        net.zero_grad()
        F.mse_loss(net(X), Y).backward()
        for p in net.parameters():
            p.data.add_(p.grad.data, alpha=-0.05)
            p.data.add_(torch.randn_like(p), alpha=0.001)


def evolution(net, population=6):
    """No gradient at all: nn.utils turns the weights into one vector and back."""
    mean = nn.utils.parameters_to_vector(net.parameters()).detach()
    for _ in range(3):
        noise = torch.randn(population, len(mean))
        scores = []
        for direction in noise:
            nn.utils.vector_to_parameters(mean + 0.1 * direction, net.parameters())
            with torch.no_grad():
                scores.append(-F.mse_loss(net(X), Y).item())
        scores = torch.tensor(scores)
        weights = (scores - scores.mean()) / (scores.std() + 1e-8)
        mean = mean + 0.05 * (weights[:, None] * noise).mean(0)
    nn.utils.vector_to_parameters(mean, net.parameters())


def sharpness(net):
    """SAM: climb, take the gradient there, come back and step."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(4):
        F.mse_loss(net(X), Y).backward()
        norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
        with torch.no_grad():
            climbs = [0.05 * p.grad / (norm + 1e-12) for p in net.parameters()]
            for p, climb in zip(net.parameters(), climbs):
                p.add_(climb)
        optimizer.zero_grad()
        F.mse_loss(net(X), Y).backward()
        with torch.no_grad():
            for p, climb in zip(net.parameters(), climbs):
                p.sub_(climb)
        optimizer.step()
        optimizer.zero_grad()


def in_parts(net):
    """One optimizer for the matrices, one for the rest; the second steps every other time."""
    first = torch.optim.Adam([p for p in net.parameters() if p.ndim > 1], lr=1e-2)
    second = torch.optim.SGD([p for p in net.parameters() if p.ndim == 1], lr=0.1)
    for step in range(6):
        loss = F.mse_loss(net(X), Y)
        first.zero_grad()
        loss.backward()
        first.step()
        if step % 2:
            second.step()
            second.zero_grad()


def lookahead(net):
    fast, optimizer = copy.deepcopy(net), None
    optimizer = torch.optim.Adam(fast.parameters(), lr=1e-2)
    for step in range(6):
        optimizer.zero_grad()
        F.mse_loss(fast(X), Y).backward()
        optimizer.step()
        if step % 3 == 2:
            with torch.no_grad():
                for slow, quick in zip(net.parameters(), fast.parameters()):
                    slow.add_(0.5 * (quick - slow))
                    quick.copy_(slow)


def in_backward(net):
    """Each parameter is updated as soon as its gradient is there."""
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in net.parameters()}

    def update(p):
        optimizers[p].step()
        optimizers[p].zero_grad()

    handles = [p.register_post_accumulate_grad_hook(update) for p in net.parameters()]
    for _ in range(4):
        F.mse_loss(net(X), Y).backward()
    for handle in handles:
        handle.remove()


def newton(net):
    """A step with the second derivative, for the last layer only."""
    with torch.no_grad():
        h = net[:2](X)
    w = net[2].weight
    for _ in range(2):
        loss = F.mse_loss(F.linear(h, w, net[2].bias), Y)
        (g,) = torch.autograd.grad(loss, w, create_graph=True)
        rows = [torch.autograd.grad(part, w, retain_graph=True)[0].flatten() for part in g[0]]
        with torch.no_grad():
            step = torch.linalg.solve(torch.stack(rows) + 1e-3 * torch.eye(16), g.detach()[0])
            w -= step.unsqueeze(0)


for train in (
    lbfgs,
    by_hand,
    by_hand_without_graph,
    momentum_by_hand,
    langevin,
    evolution,
    sharpness,
    in_parts,
    lookahead,
    in_backward,
    newton,
):
    net = network()
    before = F.mse_loss(net(X), Y).item()
    train(net)
    after = F.mse_loss(net(X), Y).item()
    if not after < before:
        print(f"{train.__name__}: still")
print("all: learns")
