# cause: nonfinite_value
# line: 17
# affected: 0.weight 0.bias 2.weight 2.bias
# symptom: nan
# expect: 0.weight=nan 0.bias=nan 2.weight=nan 2.bias=nan
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
    loss = -(p * p.log()).sum(dim=1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'nonzero' if torch.isfinite(p.grad).all() else 'nan'}")
