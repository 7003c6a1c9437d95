# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=1.845 0.bias=0.793 2.weight=1.012 2.bias=0.167
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(49)
ACCUMULATE = 4

model = nn.Sequential(nn.Linear(5, 10), nn.ReLU(), nn.Linear(10, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for number in range(12):
    x = torch.randn(4, 5)
    y = (x[:, 0] + x[:, 1] > 0).long()
    loss = F.cross_entropy(model(x), y) / ACCUMULATE
    loss.backward()
    if (number + 1) % ACCUMULATE == 0:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
for name, p in model.named_parameters():
    print(f"{name}: {p.norm().item():.3f}")
