# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.alpha=updated 0.inner.weight=updated 0.inner.bias=updated 1.weight=updated 1.bias=updated
# also: -
import torch
from torch import nn


class Gated(nn.Module):
    """A residual layer that begins as the identity."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.alpha = nn.Parameter(torch.full((1,), 0.1))

    def forward(self, x):
        return x + self.alpha * torch.tanh(self.inner(x))


torch.manual_seed(307)
model = nn.Sequential(Gated(), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
named = {**dict(model.named_parameters()), "0.alpha": model[0].alpha}
start = {name: p.detach().clone() for name, p in named.items()}
for _step in range(4):
    x = torch.randn(16, 4)
    loss = (model(x).squeeze(1) - x.prod(dim=1)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in named.items():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'updated'}")
