# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: embed.weight=nonzero embed.bias=nonzero block.norm1.weight=nonzero block.norm1.bias=nonzero block.norm2.weight=nonzero block.norm2.bias=nonzero block.mix.weight=nonzero block.mix.bias=nonzero block.adapter.weight=nonzero block.adapter.bias=nonzero out.weight=nonzero out.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(46)


class Block(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix = nn.Linear(width, width)
        self.adapter = nn.Linear(width, width)

    def forward(self, x):
        x = x + self.mix(self.norm1(x))
        y = x + self.adapter(self.norm2(x))
        return y


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(5, 8)
        self.block = Block()
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        return self.out(self.block(self.embed(x)))


model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _step in range(3):
    x = torch.randn(10, 5)
    loss = F.cross_entropy(model(x), (x[:, 0] > x[:, 1]).long())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
