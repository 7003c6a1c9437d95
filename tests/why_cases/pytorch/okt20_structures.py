# cause: none
# line: 0
# affected: -
# symptom: legit: parts are made late, shared, sparse, written in place, or used in turn
# expect: all=updated
# also: -
# stops: 114 137
"""Structures: lazy layers, sharing, sparse tables, graphs, attention by slots, kernels, trees."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def fit(module, loss_of, steps=6, optimizer=None):
    optimizer = optimizer or torch.optim.Adam(module.parameters(), lr=1e-2)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    for _ in range(steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return all(not torch.equal(p, before[name]) for name, p in module.named_parameters())


def lazy():
    net = nn.Sequential(nn.LazyConv1d(4, 3), nn.LazyBatchNorm1d(), nn.ReLU(), nn.Flatten())
    net.append(nn.LazyLinear(2))
    net(torch.randn(2, 3, 8))
    return fit(net, lambda: F.cross_entropy(net(torch.randn(8, 3, 8)), torch.arange(8) % 2))


class Shared(nn.Module):
    """One layer used three times, and a plain list that only points to what is registered."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(6, 6), nn.Linear(6, 1)
        self.order = [self.inner, self.inner, self.inner]
        self.best = None

    def forward(self, x):
        for layer in self.order:
            x = x + torch.tanh(layer(x))
        return self.outer(x)


def shared():
    net = Shared()
    return fit(net, lambda: net(torch.randn(16, 6)).sub(1.0).pow(2).mean())


def sparse():
    """Only the rows that were looked up get a gradient."""
    table = nn.EmbeddingBag(30, 5, mode="mean", sparse=True)
    optimizer = torch.optim.SparseAdam(table.parameters(), lr=1e-2)

    def loss_of():
        words, starts = torch.randint(0, 10, (20,)), torch.arange(0, 20, 4)
        return (table(words, starts) - 1.0).pow(2).mean()

    return fit(table, loss_of, optimizer=optimizer)


class Graph(nn.Module):
    """Messages along edges, added up at the nodes; then the nodes are pooled."""

    def __init__(self, width=6):
        super().__init__()
        self.message, self.update = nn.Linear(2 * width, width), nn.GRUCell(width, width)
        self.read = nn.Linear(width, 1)

    def forward(self, h, edges):
        source, target = edges
        for _ in range(2):
            sent = F.relu(self.message(torch.cat([h[source], h[target]], dim=1)))
            gathered = torch.zeros_like(h).index_add_(0, target, sent)
            h = self.update(gathered, h)
        most = torch.full((4, h.shape[1]), -1e9).scatter_reduce(
            0, (torch.arange(len(h)) % 4)[:, None].expand_as(h), h, reduce="amax"
        )
        return self.read(most)


def graph():
    net = Graph()
    return fit(
        net, lambda: net(torch.randn(12, 6), torch.randint(0, 12, (2, 30))).sub(1.0).pow(2).mean()
    )


class Slots(nn.Module):
    """Slots that compete for the inputs; only the last round is in the gradient."""

    def __init__(self, slots=3, width=6):
        super().__init__()
        self.mean, self.log_std = nn.Parameter(torch.randn(width)), nn.Parameter(torch.zeros(width))
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.gru, self.out = nn.GRUCell(width, width), nn.Linear(width, width)
        self.slots = slots

    def round(self, slots, k, x):
        weights = (self.query(slots) @ k.t() / math.sqrt(x.shape[1])).softmax(dim=0)
        weights = weights / weights.sum(dim=1, keepdim=True)
        return self.gru(weights @ x, slots)

    def forward(self, x):
        start = self.mean + self.log_std.exp() * torch.randn(self.slots, x.shape[1])
        k, slots = self.key(x), start
        for _ in range(2):
            slots = self.round(slots, k, x)
        slots = slots.detach() + start - start.detach()
        return self.out(self.round(slots, k, x))


def slots():
    net = Slots()
    return fit(net, lambda: (net(torch.randn(10, 6)) - 1.0).pow(2).mean())


class Buffers(nn.Module):
    """Running means by hand, a cache, and an output that is filled in place."""

    def __init__(self, width=6):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.parts = nn.ModuleList(nn.Linear(width, 2) for _ in range(3))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("seen", torch.tensor(0))
        self.cache = {}

    def forward(self, x):
        mean = x.mean(0)
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * mean.detach())
            self.seen += 1
        h = (x - mean) * self.scale + self.shift
        out = torch.empty(len(x), 6)
        for i, part in enumerate(self.parts):
            out[:, 2 * i : 2 * i + 2] = part(h)
        self.cache["last"] = out.detach()
        return out.clone().relu_()


def buffers():
    net = Buffers()
    return fit(net, lambda: (net(torch.randn(16, 6)) - 0.5).pow(2).mean())


class Tree(nn.Module):
    """A soft decision tree; in evaluation the likeliest leaf is taken."""

    def __init__(self, depth=3, inputs=6):
        super().__init__()
        self.depth = depth
        self.split = nn.Linear(inputs, 2**depth - 1)
        self.leaves = nn.Parameter(torch.randn(2**depth, 2))

    def forward(self, x):
        right = torch.sigmoid(self.split(x))
        reach, first = x.new_ones(len(x), 1), 0
        for level in range(self.depth):
            n = 2**level
            p = right[:, first : first + n]
            reach = torch.stack([reach * (1.0 - p), reach * p], dim=2).flatten(1)
            first += n
        if not self.training:
            reach = F.one_hot(reach.argmax(1), reach.shape[1]).float()
        return reach @ self.leaves

    @torch.no_grad()
    def prune(self, below=1e-6):
        self.leaves[self.leaves.abs() < below] = 0.0


def tree():
    net = Tree()
    done = fit(net, lambda: F.cross_entropy(net(torch.randn(16, 6)), torch.arange(16) % 2))
    net.prune()
    net.eval()
    net(torch.randn(4, 6)).argmax(1).tolist()
    return done


class Process(nn.Module):
    """A Gaussian process whose marginal likelihood is the loss."""

    def __init__(self):
        super().__init__()
        self.raw = nn.ParameterDict({n: nn.Parameter(torch.zeros(())) for n in ("l", "s", "n")})
        self.mean = nn.Parameter(torch.zeros(()))

    def forward(self, x, y):
        size, scale, noise = (F.softplus(self.raw[name]) for name in ("l", "s", "n"))
        k = scale * torch.exp(-0.5 * torch.cdist(x / size, x / size).pow(2))
        k = k + (noise + 1e-4) * torch.eye(len(x))
        low = torch.linalg.cholesky(k)
        error = (y - self.mean).unsqueeze(1)
        fit = 0.5 * (error * torch.cholesky_solve(error, low)).sum()
        return (fit + low.diagonal().log().sum()) / len(x)


def process():
    net, x = Process(), torch.linspace(0.0, 3.0, 12).unsqueeze(1)
    return fit(net, lambda: net(x, torch.sin(x[:, 0]) + 0.5))


class Assignment(nn.Module):
    """Outputs are matched with targets by the cheapest assignment, found without gradient."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 9))

    def forward(self, x, boxes):
        guess = self.net(x).unflatten(1, (3, 3))
        places, score = guess[..., :2], guess[..., 2]
        with torch.no_grad():
            costs = torch.cdist(places, boxes)
            matched = torch.empty(len(x), 2, dtype=torch.long)
            for b, cost in enumerate(costs):
                left = cost.clone()
                for j in range(2):
                    matched[b, j] = left[:, j].argmin()
                    left[matched[b, j]] = torch.inf
        chosen = places.gather(1, matched.unsqueeze(2).expand(-1, -1, 2))
        there = torch.zeros_like(score).scatter_(1, matched, 1.0)
        return F.l1_loss(chosen, boxes) + F.binary_cross_entropy_with_logits(score, there)


def assignment():
    net = Assignment()
    return fit(net, lambda: net(torch.randn(12, 6), torch.rand(12, 2, 2)))


torch.manual_seed(0)
for train in (lazy, shared, sparse, graph, slots, buffers, tree, process, assignment):
    if not train():
        print(f"{train.__name__}: still")
print("all: updated")
