# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: step0=backward step1=backward step2=backward
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(30)


class GatedBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x, keep):
        gates = torch.sigmoid(self.gate(x))
        gates = gates.masked_fill(keep, 1.0)
        return x + gates * self.value(x)


class Net(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.block = GatedBlock(width)
        self.out = nn.Linear(width, 1)

    def forward(self, x, keep):
        return self.out(self.block(x, keep)).squeeze(1)


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
keep = torch.tensor([True, False, False, True, False, False])
for step in range(3):
    x = torch.randn(10, 6)
    loss = F.mse_loss(net(x, keep), x.sum(dim=1))
    optimizer.zero_grad()
    print(f"step{step}: backward")
    loss.backward()
    optimizer.step()
