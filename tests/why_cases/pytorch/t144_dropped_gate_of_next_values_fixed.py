# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=2.920 0.bias=1.764 2.weight=1.877 2.bias=0.797
# also: -
import random
from collections import deque, namedtuple

import torch
from torch import nn, optim
from torch.nn import functional as F

random.seed(0)
torch.manual_seed(43)
GAMMA, BATCH = 0.95, 16
Transition = namedtuple("Transition", "state action after reward")


class Replay:
    def __init__(self, capacity):
        self.memory = deque(maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, size):
        batch = Transition(*zip(*random.sample(self.memory, size)))
        return [torch.stack(column) for column in batch]


def learn(q, optimizer, replay):
    state, action, after, reward = replay.sample(BATCH)
    value = q(state).gather(1, action[:, None]).squeeze(1)
    next_value = q(after).max(dim=1).values
    next_value = next_value.detach()
    goal = reward + GAMMA * next_value
    loss = F.smooth_l1_loss(value, goal)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


q = nn.Sequential(nn.Linear(3, 12), nn.ReLU(), nn.Linear(12, 2))
optimizer = optim.RMSprop(q.parameters(), lr=1e-2)
replay = Replay(100)
state = torch.randn(3)
for step in range(40):
    action = q(state).argmax() if random.random() > 0.3 else torch.randint(0, 2, ())
    after = 0.9 * state + 0.3 * torch.randn(3)
    replay.push(state, action, after, (action * 2 - 1) * state[0])
    state = after
    if step >= 32:
        learn(q, optimizer, replay)
for name, p in q.named_parameters():
    print(f"{name}: {p.norm().item():.3f}")
