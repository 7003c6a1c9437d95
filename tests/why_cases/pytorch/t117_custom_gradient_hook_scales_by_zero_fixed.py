# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: trunk.0.weight=learns trunk.0.bias=learns heads.0.weight=learns heads.0.bias=learns heads.1.weight=learns heads.1.bias=learns heads.2.weight=learns heads.2.bias=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(16)
TASKS = 3


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 12), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(12, 1) for _ in range(TASKS))
        self.share = 1 / TASKS

    def forward(self, x):
        h = self.trunk(x)
        if h.requires_grad:  # each of the heads pulls at the trunk with its share
            h.register_hook(lambda grad: grad * self.share)
        return torch.cat([head(h) for head in self.heads], dim=1)


model = Shared()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _step in range(4):
    x = torch.randn(16, 5)
    goals = torch.stack([x.sum(1), x.prod(1), x[:, 0]], dim=1)
    loss = F.mse_loss(model(x), goals)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'learns'}")
