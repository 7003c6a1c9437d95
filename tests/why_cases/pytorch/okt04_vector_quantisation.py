# cause: none
# line: 0
# affected: -
# symptom: legit: straight-through estimates, codebook and commitment losses, averages for the codes
# expect: learnt=nonzero averaged=nonzero residual=nonzero scalar=nonzero
# also: -
# stops: 21 23 24 48 62 75
"""VQ-VAE with a learnt and with an averaged codebook, residual and finite scalar quantisation."""

import torch
import torch.nn.functional as F
from torch import nn


class Learnt(nn.Module):
    def __init__(self, codes, size):
        super().__init__()
        self.table = nn.Embedding(codes, size)

    def forward(self, z):
        indices = torch.cdist(z, self.table.weight).argmin(dim=1)
        q = self.table(indices)
        loss = F.mse_loss(q, z.detach()) + 0.25 * F.mse_loss(z, q.detach())
        return z + (q - z).detach(), loss


class Averaged(nn.Module):
    def __init__(self, codes, size, decay=0.9):
        super().__init__()
        self.decay = decay
        self.register_buffer("codes", torch.randn(codes, size))
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", self.codes.clone())

    def forward(self, z):
        with torch.no_grad():
            indices = torch.cdist(z, self.codes).argmin(dim=1)
            if self.training:
                hot = F.one_hot(indices, len(self.codes)).float()
                self.counts.mul_(self.decay).add_(hot.sum(0), alpha=1.0 - self.decay)
                self.sums.mul_(self.decay).add_(hot.t() @ z, alpha=1.0 - self.decay)
                self.codes.copy_(self.sums / (self.counts + 1e-5).unsqueeze(1))
                dead = self.counts < 0.05
                if dead.any():
                    drawn = z[torch.randint(0, len(z), (int(dead.sum().item()),))]
                    self.codes[dead] = drawn
        q = self.codes[indices]
        return z + (q - z).detach(), 0.25 * F.mse_loss(z, q)


class Residual(nn.Module):
    """Each level quantises what the one before left over."""

    def __init__(self, levels, codes, size):
        super().__init__()
        self.levels = nn.ModuleList(Learnt(codes, size) for _ in range(levels))

    def forward(self, z):
        left, total, losses = z, 0.0, []
        for level in self.levels:
            q, loss = level(left)
            left = left - q.detach()
            total = total + q
            losses.append(loss)
        return total, sum(losses)


class FiniteScalar(nn.Module):
    def __init__(self, codes, size):
        super().__init__()
        self.half = (codes - 1) / 2

    def forward(self, z):
        bounded = self.half * torch.tanh(z)
        return bounded + (bounded.round() - bounded).detach(), torch.zeros(())


class AutoEncoder(nn.Module):
    def __init__(self, quantiser):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 4))
        self.quantiser = quantiser
        self.decoder = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 8))

    def forward(self, x):
        q, loss = self.quantiser(self.encoder(x))
        return self.decoder(q), loss


def train(quantiser, steps=15):
    model = AutoEncoder(quantiser)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    mixing = torch.randn(3, 8)
    for _ in range(steps):
        x = torch.sin(torch.randn(64, 3) @ mixing)
        rebuilt, loss = model(x)
        total = F.mse_loss(rebuilt, x) + loss
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        model(x)
    return model


torch.manual_seed(0)
makers = {
    "learnt": lambda: Learnt(16, 4),
    "averaged": lambda: Averaged(16, 4),
    "residual": lambda: Residual(2, 16, 4),
    "scalar": lambda: FiniteScalar(5, 4),
}
for name, make in makers.items():
    model = train(make())
    missing = any(p.grad is None or not p.grad.any() for p in model.parameters())
    print(f"{name}: {'missing' if missing else 'nonzero'}")
