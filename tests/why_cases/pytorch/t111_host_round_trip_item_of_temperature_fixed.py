# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: router.log_tau=nonzero router.score.weight=nonzero router.score.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(10)


class Router(nn.Module):
    def __init__(self, width, experts):
        super().__init__()
        self.score = nn.Linear(width, experts)
        self.log_tau = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        tau = self.log_tau.exp().clamp(0.1, 10.0)
        noise = -torch.empty_like(self.score(x)).exponential_().log()
        return F.softmax((self.score(x) + noise) / tau, dim=-1)


class Mixture(nn.Module):
    def __init__(self, width=6, experts=3):
        super().__init__()
        self.router = Router(width, experts)
        self.experts = nn.ModuleList(nn.Linear(width, width) for _ in range(experts))

    def forward(self, x):
        gates = self.router(x)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (gates.unsqueeze(-1) * outputs).sum(dim=1)


model = Mixture()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _step in range(3):
    x = torch.randn(16, 6)
    loss = F.mse_loss(model(x), x.roll(1, dims=1).relu())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.router.named_parameters(prefix="router"):
    print(f"{name}: {'None' if p.grad is None else 'nonzero' if p.grad.any() else 'zero'}")
