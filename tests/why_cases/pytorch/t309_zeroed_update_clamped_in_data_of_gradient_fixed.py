# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=updated 0.bias=updated 2.weight=updated 2.bias=updated
# also: -
import torch
from torch import nn

torch.manual_seed(309)
LIMIT = 1 / 2
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _step in range(3):
    x = torch.randn(16, 4)
    loss = (model(x).squeeze(1) - x[:, 0]).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.grad.data.clamp_(-LIMIT, LIMIT)
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'updated'}")
