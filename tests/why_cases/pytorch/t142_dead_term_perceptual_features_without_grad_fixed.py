# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: generator.0.weight=2.193 generator.0.bias=1.058 generator.2.weight=1.676 generator.2.bias=0.410
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(41)


class Perceptual(nn.Module):
    """Compares images by the features of a network that is not trained any more."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 6))
        self.requires_grad_(False)

    def embed(self, images):
        return self.features(images)

    def forward(self, fake, real):
        return F.mse_loss(self.embed(fake), self.embed(real))


generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
perceptual = Perceptual()
optimizer = torch.optim.Adam(generator.parameters(), lr=2e-2, betas=(0.5, 0.999))
mixing = torch.randn(4, 8)
for _step in range(4):
    z = torch.randn(24, 4)
    real = torch.sin(z @ mixing)
    fake = generator(z)
    loss = F.l1_loss(fake, real) + 5.0 * perceptual(fake, real)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in generator.named_parameters(prefix="generator"):
    print(f"{name}: {p.norm().item():.3f}")
