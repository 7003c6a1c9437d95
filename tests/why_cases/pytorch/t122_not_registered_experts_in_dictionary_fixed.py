# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: experts.car.weight=learns experts.car.bias=learns experts.dog.weight=learns experts.dog.bias=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(21)


class Detector(nn.Module):
    def __init__(self, classes=("car", "dog")):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 12), nn.ReLU())
        self.experts = nn.ModuleDict({name: nn.Linear(12, 4) for name in classes})

    def forward(self, x):
        h = self.backbone(x)
        return {name: expert(h) for name, expert in self.experts.items()}


detector = Detector()
optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-2)
start = {name: expert.weight.detach().clone() for name, expert in detector.experts.items()}
biases = {name: expert.bias.detach().clone() for name, expert in detector.experts.items()}
for _step in range(4):
    x = torch.randn(16, 8)
    boxes = {"car": x[:, :4], "dog": x[:, 4:]}
    losses = [F.l1_loss(box, boxes[name]) for name, box in detector(x).items()]
    loss = torch.stack(losses).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, expert in detector.experts.items():
    same = torch.equal(expert.weight, start[name]), torch.equal(expert.bias, biases[name])
    for which, still in zip(("weight", "bias"), same):
        print(f"experts.{name}.{which}: {'still' if still else 'learns'}")
