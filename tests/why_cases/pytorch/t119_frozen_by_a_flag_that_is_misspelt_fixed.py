# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=frozen 0.bias=frozen
# also: -
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
    p.requires_grad = False  # linear probing: only the head is to learn
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
