# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=nonzero 0.bias=nonzero 2.weight=nonzero 2.bias=nonzero
# also: -
import torch
from torch import nn

torch.manual_seed(314)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(40):
    x = torch.randn(16, 4)
    sharp = model(x) * 1.25**step
    p = torch.softmax(sharp, dim=1)
    loss = -(p * torch.log_softmax(sharp, dim=1)).sum(dim=1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'nonzero' if torch.isfinite(p.grad).all() else 'nan'}")
