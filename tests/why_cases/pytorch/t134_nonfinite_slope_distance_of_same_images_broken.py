# cause: nonfinite_slope
# line: 20
# affected: tower.0.weight tower.0.bias tower.2.weight tower.2.bias
# symptom: not finite
# expect: tower.0.weight=nan tower.0.bias=nan tower.2.weight=nan tower.2.bias=nan
# also: -
import torch
from torch import nn

torch.manual_seed(33)


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 4))

    def forward(self, left, right):
        apart = self.tower(left) - self.tower(right)
        return apart.pow(2).sum(dim=1).sqrt()


def contrastive(distance, same, margin=1.0):
    close = same * distance.pow(2)
    far = (1 - same) * torch.relu(margin - distance).pow(2)
    return (close + far).mean()


def pairs(images):
    """Each image with itself and with its neighbour."""
    left = torch.cat([images, images])
    right = torch.cat([images, images.roll(1, dims=0)])
    same = torch.cat([torch.ones(len(images)), torch.zeros(len(images))])
    return left, right, same


model = Siamese()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for _step in range(2):
    left, right, same = pairs(torch.randn(6, 6))
    loss = contrastive(model(left, right), same)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'nonzero' if torch.isfinite(p.grad).all() else 'nan'}")
