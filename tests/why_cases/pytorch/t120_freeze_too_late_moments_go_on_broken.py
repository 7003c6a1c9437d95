# cause: freeze_too_late
# line: 36
# affected: encoder.weight encoder.bias
# symptom: leak
# expect: encoder.weight=moves encoder.bias=moves
# also: 27 29 33
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(19)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(5, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.tanh(self.encoder(x)))


def step(model, optimizer):
    x = torch.randn(16, 5)
    loss = F.cross_entropy(model(x), (x[:, 0] > 0).long())
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _warm_up in range(3):
    step(model, optimizer)
model.encoder.requires_grad_(False)
before = {name: p.detach().clone() for name, p in model.encoder.named_parameters(prefix="encoder")}
for _fine_tuning in range(3):
    step(model, optimizer)
for name, p in model.encoder.named_parameters(prefix="encoder"):
    print(f"{name}: {'frozen' if torch.equal(p, before[name]) else 'moves'}")
