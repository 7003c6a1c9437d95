# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: early.weight=nonzero early.bias=nonzero auxiliary.weight=nonzero auxiliary.bias=nonzero late.weight=nonzero late.bias=nonzero head.weight=nonzero head.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(40)


class DeepSupervision(nn.Module):
    def __init__(self, width=10, classes=3):
        super().__init__()
        self.early = nn.Linear(6, width)
        self.auxiliary = nn.Linear(width, classes)
        self.late = nn.Linear(width, width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        early = torch.tanh(self.early(x))
        return self.head(torch.tanh(self.late(early))), [self.auxiliary(early)]


def supervised(outputs, labels, weight=0.4):
    last, others = outputs
    loss = F.cross_entropy(last, labels)
    for depth, logits in enumerate(others):
        loss = loss + weight ** (depth + 1) * F.cross_entropy(logits, labels)
    return loss


model = DeepSupervision()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _step in range(3):
    x = torch.randn(16, 6)
    loss = supervised(model(x), x[:, :3].argmax(dim=1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'nonzero' if p.grad.any() else 'zero'}")
