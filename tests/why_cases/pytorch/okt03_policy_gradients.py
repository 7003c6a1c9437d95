# cause: none
# line: 0
# affected: -
# symptom: legit: actions are numbers, advantages are constants, and old log-probabilities too
# expect: pg.policy=nonzero ac.model=nonzero ppo.model=nonzero sac.actor=nonzero sac.alpha=nonzero
# also: -
# stops: 29 65 83 145 157
"""REINFORCE with a baseline, actor-critic, PPO and SAC on contextual tasks."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical, Normal


def pg(episodes=4, length=8):
    """REINFORCE, one state at a time: actions leave as numbers and rewards are Python floats."""
    policy = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    running = 0.0
    for _ in range(episodes):
        place, log_probs, rewards = np.zeros(2, dtype=np.float32), [], []
        for _ in range(length):
            choice = Categorical(logits=policy(torch.from_numpy(place)))
            action = choice.sample()
            place = place + np.float32(0.1) * (2 * action.item() - 1)
            log_probs.append(choice.log_prob(action))
            rewards.append(float(-abs(place[0] - 0.5)))
        returns, total = [], 0.0
        for reward in reversed(rewards):
            total = reward + 0.9 * total
            returns.insert(0, total)
        returns = torch.tensor(returns)
        running = 0.9 * running + 0.1 * returns.mean().item()
        advantage = (returns - running) / (returns.std() + 1e-6)
        loss = -(torch.stack(log_probs) * advantage).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"policy": policy}


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3, 24), nn.Tanh())
        self.actor, self.critic = nn.Linear(24, 4), nn.Linear(24, 1)

    def forward(self, states):
        h = self.trunk(states)
        return Categorical(logits=self.actor(h)), self.critic(h).squeeze(1)


def ac(steps=10):
    model = ActorCritic()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3)
    for _ in range(steps):
        states = torch.randn(32, 3)
        choice, value = model(states)
        action = choice.sample()
        reward = (action == states.argmax(dim=1)).float()
        advantage = reward - value.detach()
        policy_loss = -(choice.log_prob(action) * advantage).mean()
        loss = policy_loss + 0.5 * F.mse_loss(value, reward) - 0.01 * choice.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"model": model}


def ppo(updates=3, epochs=4):
    model = ActorCritic()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=updates)
    for _ in range(updates):
        states = torch.randn(64, 3)
        with torch.no_grad():
            choice, old_value = model(states)
            action = choice.sample()
            old = choice.log_prob(action)
            reward = (action == states.argmax(dim=1)).float()
            advantage = reward - old_value
        for _ in range(epochs):
            choice, value = model(states)
            log_ratio = choice.log_prob(action) - old
            ratio = log_ratio.exp()
            surrogate = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
            held = old_value + (value - old_value).clamp(-0.2, 0.2)
            error = torch.max((value - reward).pow(2), (held - reward).pow(2)).mean()
            loss = -surrogate + 0.5 * error - 0.01 * choice.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            with torch.no_grad():
                divergence = ((ratio - 1.0) - log_ratio).mean()
            if divergence.item() > 0.05:
                break
        schedule.step()
    return {"model": model}


class Squashed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 24), nn.ReLU())
        self.mean, self.log_std = nn.Linear(24, 1), nn.Linear(24, 1)

    def forward(self, states):
        h = self.body(states)
        normal = Normal(self.mean(h), self.log_std(h).clamp(-5.0, 2.0).exp())
        before = normal.rsample()
        action = torch.tanh(before)
        log_prob = normal.log_prob(before) - torch.log(1.0 - action.pow(2) + 1e-6)
        return action, log_prob


class Twins(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 1)) for _ in range(2)
        )

    def forward(self, states, actions):
        both = torch.cat([states, actions], dim=1)
        return [q(both) for q in self.q]


def sac(steps=12):
    actor, critics = Squashed(), Twins()
    targets = copy.deepcopy(critics).requires_grad_(False)
    log_alpha = torch.zeros(1, requires_grad=True)
    optimizers = [
        torch.optim.Adam(parameters, lr=3e-3)
        for parameters in (critics.parameters(), actor.parameters(), [log_alpha])
    ]
    for _ in range(steps):
        states, following = torch.randn(32, 3), torch.randn(32, 3)
        actions = 2.0 * torch.rand(32, 1) - 1.0
        reward = -(states[:, :1] - actions).pow(2)
        alpha = log_alpha.exp().item()
        with torch.no_grad():
            next_actions, next_log_prob = actor(following)
            least = torch.min(*targets(following, next_actions))
            goal = reward + 0.9 * (least - alpha * next_log_prob)
        losses = [sum(F.mse_loss(q, goal) for q in critics(states, actions))]
        optimizers[0].zero_grad()
        losses[0].backward()
        optimizers[0].step()

        proposed, log_prob = actor(states)
        losses.append((alpha * log_prob - torch.min(*critics(states, proposed))).mean())
        losses.append(-(log_alpha * (log_prob + (-1.0)).detach()).mean())
        for optimizer, loss in zip(optimizers[1:], losses[1:]):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(targets.parameters(), critics.parameters()):
                slow.mul_(0.95).add_(0.05 * fast)
    return {"actor": actor, "alpha": log_alpha}


torch.manual_seed(0)
for train in (pg, ac, ppo, sac):
    for name, part in train().items():
        parameters = list(part.parameters()) if isinstance(part, nn.Module) else [part]
        missing = any(p.grad is None or not p.grad.any() for p in parameters)
        print(f"{train.__name__}.{name}: {'missing' if missing else 'nonzero'}")
