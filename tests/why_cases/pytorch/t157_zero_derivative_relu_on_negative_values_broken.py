# cause: zero_derivative
# line: 24
# affected: features.0.weight features.0.bias features.2.weight features.2.bias
# symptom: zero
# expect: features.0.weight=zero features.0.bias=zero features.2.weight=zero features.2.bias=zero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(56)


class ValueNet(nn.Module):
    """Predicts what a state is worth: minus the number of steps to the goal."""

    def __init__(self, states=4):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(states, 16), nn.ReLU(), nn.Linear(16, 1))
        nn.init.constant_(self.features[-1].bias, -5.0)

    def forward(self, state):
        value = self.features(state)
        return F.relu(value).squeeze(1)


def rollout(length=10):
    states = torch.randn(length, 4).cumsum(dim=0) / length
    return states, -torch.arange(length, 0, -1.0)


net = ValueNet()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
for _episode in range(3):
    states, returns = rollout()
    loss = F.smooth_l1_loss(net(states), returns)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in net.named_parameters():
    print(f"{name}: {'nonzero' if p.grad.any() else 'zero'}")
