# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: fc1.weight=nonzero fc1.bias=nonzero fc1.threshold=nonzero fc2.weight=nonzero fc2.bias=nonzero fc2.threshold=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(7)


class PrunedLinear(nn.Module):
    """Weights smaller than a learnt threshold are left out (soft threshold pruning)."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / n_in**0.5)
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.threshold = nn.Parameter(torch.tensor(-3.0))

    def forward(self, x):
        size = self.weight.abs()
        left = F.relu(size - torch.sigmoid(self.threshold))
        w = torch.sign(self.weight) * left
        return F.linear(x, w, self.bias)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = PrunedLinear(8, 16)
        self.fc2 = PrunedLinear(16, 3)

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=1e-4)
for _step in range(4):
    x = torch.randn(32, 8)
    loss = F.cross_entropy(net(x), x[:, :3].argmax(dim=1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in net.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero' if p.grad.any() else 'zero'}")
