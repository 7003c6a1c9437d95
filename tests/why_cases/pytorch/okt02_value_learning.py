# cause: none
# line: 0
# affected: -
# symptom: legit: targets of DQN, double DQN and TD3 are constants, and the target networks follow
# expect: dqn.q=nonzero dqn.t=None double.q=nonzero double.t=None td3.q=nonzero td3.t=None
# also: -
# stops: 45 70 75 96
"""DQN with a copied target, double DQN with an average, dueling heads, and TD3."""

import copy

import torch
import torch.nn.functional as F
from torch import nn


def transitions(n, actions):
    state = torch.randn(n, 3)
    action = torch.randint(0, actions, (n, 1))
    following = 0.9 * state + 0.1 * (action.float() - 1.0)
    reward = -following.pow(2).sum(1)
    done = (torch.rand(n) < 0.1).float()
    return state, action, reward, following, done


class Dueling(nn.Module):
    def __init__(self, actions):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3, 24), nn.ReLU())
        self.value, self.advantage = nn.Linear(24, 1), nn.Linear(24, actions)

    def forward(self, states):
        h = self.trunk(states)
        advantage = self.advantage(h)
        return self.value(h) + advantage - advantage.mean(dim=1, keepdim=True)


def dqn(steps=12):
    q = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 3))
    target = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 3))
    target.load_state_dict(q.state_dict())
    optimizer = torch.optim.Adam(q.parameters(), lr=1e-2)
    for step in range(steps):
        state, action, reward, following, done = transitions(32, 3)
        best = target(following).max(dim=1).values.detach()
        goal = reward + 0.9 * (1.0 - done) * best
        loss = F.smooth_l1_loss(q(state).gather(1, action).squeeze(1), goal)
        optimizer.zero_grad()
        loss.backward()
        for p in q.parameters():
            p.grad.data.clamp_(-1.0, 1.0)
        optimizer.step()
        if step % 4 == 0:
            target.load_state_dict(q.state_dict())
        # epsilon-greedy, as in the environment
        _chosen = q(state[:1]).argmax(dim=1).item() if step > 3 else step % 3
    return q, target


def double_dqn(steps=12, tau=0.1):
    q, target = Dueling(3), Dueling(3)
    for slow, fast in zip(target.parameters(), q.parameters()):
        slow.data.copy_(fast.data)
        slow.requires_grad = False
    optimizer = torch.optim.RMSprop(q.parameters(), lr=2e-3)
    priorities = torch.ones(32)
    for _ in range(steps):
        state, action, reward, following, done = transitions(32, 3)
        with torch.no_grad():
            best = q(following).argmax(dim=1, keepdim=True)
            goal = reward + 0.9 * (1.0 - done) * target(following).gather(1, best).squeeze(1)
        weights = (1.0 / priorities) / (1.0 / priorities).max()
        error = q(state).gather(1, action).squeeze(1) - goal
        loss = (weights * error.pow(2)).mean()
        priorities = error.detach().abs() + 1e-2
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(q.parameters(), 10.0)
        optimizer.step()
        for slow, fast in zip(target.parameters(), q.parameters()):
            slow.data.mul_(1.0 - tau).add_(tau * fast.data)
    return q, target


def network(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 24), nn.ReLU(), nn.Linear(24, outputs))


def td3(steps=12, delay=2, tau=0.1):
    actor, q1, q2 = network(3, 1), network(4, 1), network(4, 1)
    targets = [copy.deepcopy(m) for m in (actor, q1, q2)]
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=3e-3)
    critic_optimizer = torch.optim.Adam([*q1.parameters(), *q2.parameters()], lr=3e-3)
    for step in range(steps):
        state, following = torch.randn(32, 3), torch.randn(32, 3)
        action = (torch.tanh(actor(state)) + 0.1 * torch.randn(32, 1)).clamp(-1, 1).detach()
        reward = -(state[:, :1] - action).pow(2)
        with torch.no_grad():
            slow_actor, slow_q1, slow_q2 = targets
            noise = (0.2 * torch.randn(32, 1)).clamp(-0.5, 0.5)
            next_action = (torch.tanh(slow_actor(following)) + noise).clamp(-1, 1)
            seen = torch.cat([following, next_action], dim=1)
            goal = reward + 0.9 * torch.min(slow_q1(seen), slow_q2(seen))
        seen = torch.cat([state, action], dim=1)
        loss = F.mse_loss(q1(seen), goal) + F.mse_loss(q2(seen), goal)
        critic_optimizer.zero_grad()
        loss.backward()
        critic_optimizer.step()
        if step % delay == 0:
            # Only q1 is asked, and its gradient is thrown away before the next critic step.
            actor_loss = -q1(torch.cat([state, torch.tanh(actor(state))], dim=1)).mean()
            actor_optimizer.zero_grad()
            actor_loss.backward()
            actor_optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(targets, (actor, q1, q2)):
                    for a, b in zip(slow.parameters(), fast.parameters()):
                        a.lerp_(b, tau)
    return nn.ModuleList([actor, q1, q2]), nn.ModuleList(targets)


torch.manual_seed(0)
for tag, train in (("dqn", dqn), ("double", double_dqn), ("td3", td3)):
    learner, target = train()
    for name, module in (("q", learner), ("t", target)):
        gradients = [p.grad for p in module.parameters()]
        said = "None" if all(g is None for g in gradients) else "nonzero"
        print(f"{tag}.{name}: {said}")
