# cause: zero_derivative
# line: 22
# affected: log_std
# symptom: zero
# expect: log_std=zero mean.0.weight=nonzero mean.0.bias=nonzero mean.2.weight=nonzero mean.2.bias=nonzero
# also: 19
import torch
from torch import nn
from torch.distributions import Normal

torch.manual_seed(37)
LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0


class GaussianPolicy(nn.Module):
    def __init__(self, states=3, actions=2):
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(states, 16), nn.Tanh(), nn.Linear(16, actions))
        self.log_std = nn.Parameter(torch.full((actions,), 2.5))

    def forward(self, state):
        log_std = torch.clamp(self.log_std, LOG_STD_MIN, LOG_STD_MAX)
        return Normal(self.mean(state), log_std.exp())


policy = GaussianPolicy()
optimizer = torch.optim.SGD(policy.parameters(), lr=1e-2)
for _step in range(5):
    state = torch.randn(32, 3)
    distribution = policy(state)
    action = distribution.sample()
    reward = -(action - state[:, :2]).pow(2).sum(dim=1)
    advantage = reward - reward.mean()
    log_prob = distribution.log_prob(action).sum(dim=1)
    loss = -(log_prob * advantage).mean() - 0.01 * distribution.entropy().sum(dim=1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in policy.named_parameters():
    print(f"{name}: {'nonzero' if p.grad.any() else 'zero'}")
