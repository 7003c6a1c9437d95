# cause: stop_gradient
# line: 21
# affected: encoder.0.weight encoder.0.bias encoder.2.weight encoder.2.bias
# symptom: none
# expect: encoder.0.weight=None encoder.0.bias=None encoder.2.weight=None encoder.2.bias=None predictor.0.weight=nonzero predictor.0.bias=nonzero predictor.2.weight=nonzero predictor.2.bias=nonzero
# also: 23 27
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(54)


class SimSiam(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 6))
        self.predictor = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 6))

    def forward(self, first, second):
        z1, z2 = (self.encoder(view).detach() for view in (first, second))
        p1, p2 = self.predictor(z1), self.predictor(z2)
        return -(similarity(p1, z2) + similarity(p2, z1)) / 2


def similarity(p, z):
    return F.cosine_similarity(p, z.detach(), dim=1).mean()


model = SimSiam()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for _step in range(3):
    x = torch.randn(16, 8)
    loss = model(x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
