# cause: not_registered unlisted optimizer_mask
# line: 18
# affected: experts.car.weight experts.car.bias experts.dog.weight experts.dog.bias
# symptom: not updated
# expect: experts.car.weight=still experts.car.bias=still experts.dog.weight=still experts.dog.bias=still
# also: 22 26
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(21)


class Detector(nn.Module):
    def __init__(self, classes=("car", "dog")):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 12), nn.ReLU())
        self.experts = {name: nn.Linear(12, 4) for name in classes}

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
