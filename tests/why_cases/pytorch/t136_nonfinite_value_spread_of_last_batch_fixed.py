# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: policy.0.weight=nonzero policy.0.bias=nonzero policy.2.weight=nonzero policy.2.bias=nonzero
# also: -
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(35)


def normalise(advantages):
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


policy = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
baseline = nn.Linear(3, 1)
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
b_optimizer = torch.optim.SGD(baseline.parameters(), lr=0.01)
states = torch.randn(33, 3)
actions = torch.randint(0, 2, (33,))
returns = states[:, 0] * (actions * 2.0 - 1.0)
loader = DataLoader(TensorDataset(states, actions, returns), batch_size=8, drop_last=True)
for s, a, r in loader:
    value = baseline(s).squeeze(1)
    advantages = normalise((r - value).detach())
    log_probs = torch.log_softmax(policy(s), dim=1).gather(1, a[:, None]).squeeze(1)
    loss = -(log_probs * advantages).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    b_loss = (value - r).pow(2).mean()
    b_optimizer.zero_grad()
    b_loss.backward()
    b_optimizer.step()
for name, p in policy.named_parameters(prefix="policy"):
    print(f"{name}: {'nonzero' if torch.isfinite(p.grad).all() else 'nan'}")
