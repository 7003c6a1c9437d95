# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: mask_token=nonzero embed.weight=nonzero embed.bias=nonzero mixer.weight=nonzero mixer.bias=nonzero decode.weight=nonzero decode.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(57)


class MaskedAutoencoder(nn.Module):
    def __init__(self, patch=4, width=8):
        super().__init__()
        self.embed = nn.Linear(patch, width)
        self.mask_token = nn.Parameter(0.02 * torch.randn(width))
        self.mixer = nn.Linear(6, 6)
        self.decode = nn.Linear(width, patch)

    def forward(self, patches, masked):
        h = self.embed(patches)
        h = torch.where(masked.unsqueeze(-1), self.mask_token, h)
        h = h + self.mixer(h.transpose(1, 2)).transpose(1, 2)
        return self.decode(torch.tanh(h))


def patches_of(count):
    phase = torch.rand(count, 1)
    waves = torch.sin(torch.linspace(0, 12, 24) + 6 * phase)
    return waves.view(count, 6, 4)


model = MaskedAutoencoder()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
for _step in range(3):
    patches = patches_of(10)
    masked = torch.rand(10, 6) < 0.5
    reconstruction = model(patches, masked)
    loss = F.mse_loss(reconstruction[masked], patches[masked])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
