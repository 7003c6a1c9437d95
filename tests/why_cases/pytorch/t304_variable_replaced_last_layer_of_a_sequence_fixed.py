# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=updated 0.bias=updated 2.weight=updated 2.bias=updated
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(304)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 10))
model[2] = nn.Linear(8, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _step in range(4):
    x = torch.randn(16, 4)
    loss = F.cross_entropy(model(x), x[:, :3].argmax(dim=1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'updated'}")
