# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: trunk.0.weight=learns trunk.0.bias=learns label.weight=learns label.bias=learns box.weight=learns box.bias=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(39)
BACKGROUND = 0


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, 12), nn.ReLU())
        self.label = nn.Linear(12, 4)
        self.box = nn.Linear(12, 4)

    def forward(self, x):
        h = self.trunk(x)
        return self.label(h), self.box(h)


def detection_loss(logits, boxes, labels, true_boxes):
    """Boxes count only where there is something."""
    classification = F.cross_entropy(logits, labels)
    objects = (labels > BACKGROUND).float()
    per_box = F.smooth_l1_loss(boxes, true_boxes, reduction="none").sum(dim=1)
    return classification + (per_box * objects).sum() / objects.sum().clamp(min=1.0)


model = Detector()
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _step in range(4):
    x = torch.randn(16, 8)
    labels = torch.randint(0, 4, (16,))
    logits, boxes = model(x)
    loss = detection_loss(logits, boxes, labels, x[:, :4] + x[:, 4:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'learns'}")
