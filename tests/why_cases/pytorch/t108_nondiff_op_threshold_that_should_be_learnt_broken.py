# cause: nondiff_op integer_cast
# line: 25
# affected: fc1.threshold fc2.threshold
# symptom: none
# expect: fc1.weight=nonzero fc1.bias=nonzero fc1.threshold=None fc2.weight=nonzero fc2.bias=nonzero fc2.threshold=None
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
        keep = (size > torch.sigmoid(self.threshold)).float()
        w = self.weight * keep
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
