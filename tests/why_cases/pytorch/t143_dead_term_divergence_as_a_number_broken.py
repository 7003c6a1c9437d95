# cause: dead_term host_round_trip
# line: 30
# affected: encode.weight encode.bias
# symptom: dead
# expect: encode.weight=1.043 encode.bias=0.803
# also: 39
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(42)


class VAE(nn.Module):
    def __init__(self, latent=2):
        super().__init__()
        self.encode = nn.Linear(6, 2 * latent)
        self.decode = nn.Linear(latent, 6)

    def forward(self, x):
        mean, log_var = self.encode(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        return self.decode(z), mean, log_var


def losses(model, x, parts):
    reconstruction, mean, log_var = model(x)
    parts["reconstruction"] = F.mse_loss(reconstruction, x)
    divergence = -0.5 * (1 + log_var - mean.pow(2) - log_var.exp()).sum(dim=1).mean()
    parts["divergence"] = divergence.item()
    return parts


model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for _step in range(5):
    x = torch.randn(32, 6)
    parts = losses(model, x, {})
    loss = parts["reconstruction"] + 2.0 * parts["divergence"]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.encode.named_parameters(prefix="encode"):
    print(f"{name}: {p.norm().item():.3f}")
