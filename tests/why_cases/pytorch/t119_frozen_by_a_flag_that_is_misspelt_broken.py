# cause: frozen dropped_gate freeze_too_late
# line: 22
# affected: 0.weight 0.bias
# symptom: leak
# expect: 0.weight=moves 0.bias=moves
# also: 24
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(18)


def pretrained_features():
    layer = nn.Linear(6, 10)
    nn.init.orthogonal_(layer.weight)
    return layer


backbone = pretrained_features()
for p in backbone.parameters():
    p.require_grad = False  # linear probing: only the head is to learn
model = nn.Sequential(backbone, nn.ReLU(), nn.Linear(10, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _epoch in range(3):
    x = torch.randn(20, 6)
    loss = F.cross_entropy(model(x), x[:, :3].argmax(dim=1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in backbone.named_parameters(prefix="0"):
    print(f"{name}: {'frozen' if torch.equal(p, start[name]) else 'moves'}")
