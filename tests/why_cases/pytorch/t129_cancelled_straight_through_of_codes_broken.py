# cause: cancelled
# line: 22
# affected: encoder.weight encoder.bias
# symptom: zero
# expect: encoder.weight=zero encoder.bias=zero decoder.weight=nonzero decoder.bias=nonzero
# also: 33
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(28)


class Codes(nn.Module):
    def __init__(self, count, width):
        super().__init__()
        self.table = nn.Embedding(count, width).requires_grad_(False)

    def forward(self, z):
        chosen = torch.cdist(z, self.table.weight).argmin(dim=1)
        q = self.table(chosen)
        return z + (q - z)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 3)
        self.codes = Codes(6, 3)
        self.decoder = nn.Linear(3, 8)

    def forward(self, x):
        return self.decoder(self.codes(self.encoder(x)))


model = Autoencoder()
optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
for _step in range(4):
    x = torch.randint(-3, 4, (32, 8)) / 2
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), x)
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    if p.requires_grad:
        print(f"{name}: {'nonzero' if p.grad.any() else 'zero'}")
