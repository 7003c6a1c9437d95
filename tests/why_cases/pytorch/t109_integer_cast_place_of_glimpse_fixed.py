# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: locator.0.weight=nonzero locator.0.bias=nonzero locator.2.weight=nonzero locator.2.bias=nonzero reader.weight=nonzero reader.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(8)
SIZE, PATCH = 12, 4


class Glimpse(nn.Module):
    """Look where it matters, then say what is there."""

    def __init__(self):
        super().__init__()
        self.locator = nn.Sequential(nn.Linear(SIZE * SIZE, 16), nn.ReLU(), nn.Linear(16, 2))
        self.reader = nn.Linear(PATCH * PATCH, 3)

    def crop(self, images, centre):
        steps = torch.linspace(-1, 1, PATCH) * PATCH / SIZE
        rows, columns = torch.meshgrid(steps, steps, indexing="ij")
        grid = torch.stack([columns, rows], dim=-1) + centre[:, None, None, :]
        return F.grid_sample(images[:, None], grid, align_corners=False)[:, 0]

    def forward(self, images):
        centre = torch.tanh(self.locator(images.flatten(1)))
        return self.reader(self.crop(images, centre).flatten(1))


def images_of(labels):
    images = 0.1 * torch.randn(len(labels), SIZE, SIZE)
    for image, label in zip(images, labels.tolist()):
        image[2 : 4 + label, 5 : 7 + label] += 1.0
    return images


model = Glimpse()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for _step in range(3):
    labels = torch.randint(0, 3, (8,))
    loss = F.cross_entropy(model(images_of(labels)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
