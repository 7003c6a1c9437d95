# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=learns 0.bias=learns 2.weight=learns 2.bias=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(6)


def fake_quantize(w, bits=4):
    """Put weights on a grid, as the integer kernels will see them."""
    levels = 2 ** (bits - 1) - 1
    scale = w.detach().abs().max() / levels
    grid = torch.round(w / scale).clamp(-levels - 1, levels)
    return w + (grid * scale - w).detach()


class QuantLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, fake_quantize(self.weight), self.bias)


model = nn.Sequential(QuantLinear(6, 16), nn.ReLU(), QuantLinear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
start = {name: p.detach().clone() for name, p in model.named_parameters()}
for _step in range(5):
    x = torch.randn(32, 6)
    loss = F.smooth_l1_loss(model(x), x[:, :1] * x[:, 1:2])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'still' if torch.equal(p, start[name]) else 'learns'}")
