# cause: variable_replaced optimizer_mask
# line: 14
# affected: 2.weight 2.bias
# symptom: still
# expect: 0.weight=updated 0.bias=updated 2.weight=still 2.bias=still
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(304)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model[2] = nn.Linear(8, 3)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _step in range(4):
    x = torch.randn(16, 4)
    loss = F.cross_entropy(model(x), x[:, :3].argmax(dim=1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'updated'}")
