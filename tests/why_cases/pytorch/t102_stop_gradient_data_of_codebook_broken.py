# cause: stop_gradient dead_term
# line: 22
# affected: quantizer.embed.weight
# symptom: not updated
# expect: encoder.0.weight=learns encoder.0.bias=learns encoder.2.weight=learns encoder.2.bias=learns quantizer.embed.weight=still decoder.weight=learns decoder.bias=learns
# also: 25
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(1)


class Quantizer(nn.Module):
    def __init__(self, codes, width, beta=0.25):
        super().__init__()
        self.embed = nn.Embedding(codes, width)
        self.embed.weight.data.uniform_(-1 / codes, 1 / codes)
        self.beta = beta

    def forward(self, z):
        codes = self.embed.weight.data
        distances = z.pow(2).sum(1, keepdim=True) - 2 * z @ codes.t() + codes.pow(2).sum(1)
        chosen = distances.argmin(dim=1)
        q = codes[chosen]
        loss = F.mse_loss(q, z.detach()) + self.beta * F.mse_loss(z, q.detach())
        return z + (q - z).detach(), loss


class VQVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
        self.quantizer = Quantizer(5, 3)
        self.decoder = nn.Linear(3, 6)

    def forward(self, x):
        q, loss = self.quantizer(self.encoder(x))
        return self.decoder(q), loss


model = VQVAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _step in range(4):
    x = torch.randn(16, 6)
    reconstruction, quantization = model(x)
    loss = F.mse_loss(reconstruction, x) + quantization
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'learns'}")
