# cause: not_applied
# line: 18
# affected: weight bias
# symptom: still
# expect: weight=still bias=still
# also: -
import torch
from torch.nn import functional as F

torch.manual_seed(305)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _epoch in range(5):
    x = torch.randn(16, 4)
    loss = F.mse_loss(model(x).squeeze(1), x.sum(dim=1))
    optimizer.zero_grad()
    loss.backward()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'updated'}")
