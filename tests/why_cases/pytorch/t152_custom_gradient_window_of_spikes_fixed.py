# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: hidden.weight=nonzero out.weight=nonzero out.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(51)


class Spike(torch.autograd.Function):
    """A step forward, a window around the threshold backward."""

    @staticmethod
    def forward(ctx, potential):
        ctx.save_for_backward(potential)
        return (potential > 0).float()

    @staticmethod
    def backward(ctx, grad):
        (potential,) = ctx.saved_tensors
        return grad * (potential.abs() < 0.5).float()


class SpikingNet(nn.Module):
    def __init__(self, threshold=1.0, decay=0.9):
        super().__init__()
        self.hidden = nn.Linear(6, 10, bias=False)
        self.out = nn.Linear(10, 2)
        self.threshold, self.decay = threshold, decay

    def forward(self, currents):
        potential = torch.zeros(currents.shape[1], 10)
        total = 0.0
        for current in currents:
            potential = self.decay * potential + self.hidden(current)
            spikes = Spike.apply(potential - self.threshold)
            potential = potential - spikes.detach() * self.threshold
            total = total + self.out(spikes)
        return total / len(currents)


net = SpikingNet(threshold=1.0)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _step in range(3):
    currents = torch.randn(5, 8, 6)
    labels = (currents.mean(dim=0)[:, 0] > 0).long()
    loss = F.cross_entropy(net(currents), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in net.named_parameters():
    print(f"{name}: {'nonzero' if p.grad.any() else 'zero'}")
