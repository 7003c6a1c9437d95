# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=1.737 0.bias=0.593 2.weight=0.792 2.bias=0.098
# also: -
import numpy as np
import torch
from torch import nn

torch.manual_seed(9)
STEP = np.array([[1.0, 0.1], [0.0, 1.0]], dtype=np.float32)
PUSH = np.array([[0.0], [0.1]], dtype=np.float32)


def dynamics(state, action):
    """Advance a cart that is pushed along a line."""
    return state @ torch.from_numpy(STEP.T) + action @ torch.from_numpy(PUSH.T)


def rollout(policy, state, horizon=6):
    cost, effort = 0.0, 0.0
    for _ in range(horizon):
        action = policy(state)
        state = dynamics(state, action)
        cost = cost + state.pow(2).sum(dim=1).mean()
        effort = effort + action.pow(2).mean()
    return cost, effort


policy = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(policy.parameters(), lr=0.05)
for _step in range(4):
    cost, effort = rollout(policy, torch.randn(16, 2))
    loss = cost + 0.01 * effort
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in policy.named_parameters():
    print(f"{name}: {p.norm().item():.3f}")
