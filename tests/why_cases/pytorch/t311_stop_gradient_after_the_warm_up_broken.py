# cause: stop_gradient
# line: 19
# affected: encoder.weight encoder.bias
# symptom: lost
# expect: encoder.weight=lost encoder.bias=lost head.weight=nonzero head.bias=nonzero
# also: -
import torch
from torch import nn

torch.manual_seed(311)
WARM_UP = 20
encoder, head = nn.Linear(4, 8), nn.Linear(8, 1)
both = nn.ModuleDict({"encoder": encoder, "head": head})
optimizer = torch.optim.SGD(both.parameters(), lr=0.02)
for step in range(60):
    x = torch.randn(16, 4)
    h = torch.tanh(encoder(x))
    if step >= WARM_UP:
        h = h.detach()
    loss = (head(h).squeeze(1) - x.sum(dim=1)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in both.named_parameters():
    g = p.grad
    print(f"{name}: {'lost' if g is None else 'nonzero' if g.abs().sum() else 'zero'}")
