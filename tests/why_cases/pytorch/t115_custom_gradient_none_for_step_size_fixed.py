# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: first.step=nonzero first.linear.weight=nonzero first.linear.bias=nonzero second.step=nonzero second.linear.weight=nonzero second.linear.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(14)


class Quantize(torch.autograd.Function):
    """Round to whole steps; gradient goes straight through inside the range."""

    @staticmethod
    def forward(ctx, x, step, low, high):
        levels = x / step
        ctx.save_for_backward(levels)
        ctx.range = low, high
        return levels.round().clamp(low, high) * step

    @staticmethod
    def backward(ctx, grad):
        (levels,) = ctx.saved_tensors
        low, high = ctx.range
        inside = (levels >= low) & (levels <= high)
        error = torch.where(inside, levels.round() - levels, levels.clamp(low, high))
        return grad * inside, (grad * error).sum(), None, None


class QuantizedLinear(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.step = nn.Parameter(torch.tensor(0.1))

    def forward(self, x):
        w = Quantize.apply(self.linear.weight, self.step, -8, 7)
        return F.linear(x, w, self.linear.bias)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = QuantizedLinear(6, 12), QuantizedLinear(12, 2)

    def forward(self, x):
        return self.second(F.relu(self.first(x)))


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
for _step in range(3):
    x = torch.randn(24, 6)
    loss = F.cross_entropy(net(x), (x[:, 0] > x[:, 1]).long())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in net.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero' if p.grad.any() else 'zero'}")
