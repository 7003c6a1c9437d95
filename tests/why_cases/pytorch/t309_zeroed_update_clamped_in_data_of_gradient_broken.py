# cause: zeroed_update
# line: 21
# affected: 0.weight 0.bias 2.weight 2.bias
# symptom: still
# expect: 0.weight=still 0.bias=still 2.weight=still 2.bias=still
# also: -
import torch
from torch import nn

torch.manual_seed(309)
LIMIT = 1 // 2
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
