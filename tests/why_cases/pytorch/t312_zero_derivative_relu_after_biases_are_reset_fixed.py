# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=nonzero 0.bias=nonzero 2.weight=nonzero 2.bias=nonzero
# also: -
import torch
from torch import nn

torch.manual_seed(312)
RESET = 0.0
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(60):
    if step == 15:
        nn.init.constant_(model[0].bias, RESET)
    x = torch.randn(16, 4)
    loss = (model(x).squeeze(1) - x[:, 0]).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    g = p.grad
    print(f"{name}: {'None' if g is None else 'nonzero' if g.abs().sum() else 'zero'}")
