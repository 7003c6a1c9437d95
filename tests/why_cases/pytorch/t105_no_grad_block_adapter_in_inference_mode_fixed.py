# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: backbone.adapter.down.weight=nonzero backbone.adapter.up.weight=nonzero head.weight=nonzero head.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(4)


class Adapter(nn.Module):
    def __init__(self, width, rank):
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)

    def forward(self, h):
        return h + self.up(F.gelu(self.down(h)))


class Backbone(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.first = nn.Linear(5, width)
        self.adapter = Adapter(width, 2)
        self.second = nn.Linear(width, width)

    def forward(self, x):
        h = F.relu(self.first(x))
        return self.second(self.adapter(h))


class Classifier(nn.Module):
    def __init__(self, backbone, classes):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        features = self.backbone(x)
        return self.head(features.clone())


model = Classifier(Backbone(), classes=3)
for name, p in model.backbone.named_parameters():
    p.requires_grad_(name.startswith("adapter"))
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-2)
for _step in range(3):
    x = torch.randn(12, 5)
    loss = F.cross_entropy(model(x), x[:, :3].argmax(dim=1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    if p.requires_grad:
        print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
