# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: actor.trunk.0.weight=3.296 actor.mean.weight=0.656
# also: -
"""Soft actor-critic with twin critics and a learnt temperature, on pendulums that must stay up."""

import copy
import logging
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("sac")


class Pendulums:
    """Many inverted pendulums at once; the reward is high where the angle is small."""

    def __init__(self, n=16):
        self.n = n
        self.angle = self.speed = None

    def reset(self):
        self.angle = 0.5 * torch.randn(self.n)
        self.speed = 0.2 * torch.randn(self.n)
        return self.observe()

    def observe(self):
        return torch.stack([self.angle.cos(), self.angle.sin(), self.speed], dim=1)

    def step(self, action):
        push = action.squeeze(1)
        self.speed = 0.98 * self.speed + 0.1 * (3.0 * self.angle.sin() + 4.0 * push)
        self.angle = self.angle + 0.1 * self.speed
        reward = -self.angle.pow(2) - 0.05 * self.speed.pow(2) - 0.01 * push.pow(2)
        fallen = self.angle.abs() > 1.5
        self.angle = torch.where(fallen, 0.5 * torch.randn(self.n), self.angle)
        self.speed = torch.where(fallen, torch.zeros(self.n), self.speed)
        return self.observe(), reward - 2.0 * fallen.float(), fallen.float()


class Replay:
    def __init__(self, size, shapes):
        self.size, self.count = size, 0
        self.rows = {name: torch.zeros(size, *shape) for name, shape in shapes.items()}

    def add(self, **batch):
        n = len(next(iter(batch.values())))
        at = torch.arange(self.count, self.count + n) % self.size
        for name, values in batch.items():
            self.rows[name][at] = values
        self.count += n

    def sample(self, n):
        chosen = torch.randint(0, min(self.count, self.size), (n,))
        return {name: values[chosen] for name, values in self.rows.items()}


class Actor(nn.Module):
    """A Gaussian that is squashed by tanh."""

    def __init__(self, width=32):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.mean = nn.Linear(width, 1)
        self.log_spread = nn.Linear(width, 1)

    def distribution(self, states):
        h = self.trunk(states)
        return Normal(self.mean(h), self.log_spread(h).clamp(-4.0, 1.0).exp())

    @torch.no_grad()
    def act(self, states, greedy=False):
        distribution = self.distribution(states)
        before = distribution.mean if greedy else distribution.rsample()
        return torch.tanh(before)

    def log_prob(self, states, actions):
        """Log-density of squashed actions, through the inverse of tanh."""
        before = torch.atanh(actions.clamp(-0.999, 0.999))
        slope = 2.0 * (math.log(2.0) - before - F.softplus(-2.0 * before))
        return (self.distribution(states).log_prob(before) - slope).sum(dim=1)


class TwinCritic(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.q1, self.q2 = self.network(width), self.network(width)

    @staticmethod
    def network(width):
        return nn.Sequential(
            nn.Linear(4, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 1),
        )

    def forward(self, states, actions):
        both = torch.cat([states, actions], dim=1)
        return self.q1(both).squeeze(1), self.q2(both).squeeze(1)

    def least(self, states, actions):
        return torch.min(*self(states, actions))


class SAC:
    def __init__(self, gamma=0.95, tau=0.02, rate=3e-3):
        self.actor, self.critic = Actor(), TwinCritic()
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.log_alpha = torch.tensor(math.log(0.1), requires_grad=True)
        self.goal = -1.0
        self.gamma, self.tau = gamma, tau
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=rate)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=rate)
        self.alpha_optimizer = torch.optim.Adam([self.log_alpha], lr=rate)

    @property
    def alpha(self):
        return self.log_alpha.detach().exp()

    def critic_loss(self, batch):
        with torch.no_grad():
            actions = self.actor.act(batch["following"])
            log_prob = self.actor.log_prob(batch["following"], actions)
            value = self.target.least(batch["following"], actions) - self.alpha * log_prob
            goal = batch["reward"] + self.gamma * (1.0 - batch["done"]) * value
        q1, q2 = self.critic(batch["state"], batch["action"])
        return F.mse_loss(q1, goal) + F.mse_loss(q2, goal)

    def actor_loss(self, states):
        actions = torch.tanh(self.actor.distribution(states).rsample())
        log_prob = self.actor.log_prob(states, actions)
        value = self.critic.least(states, actions)
        return (self.alpha * log_prob - value).mean(), log_prob

    def alpha_loss(self, log_prob):
        return -(self.log_alpha * (log_prob.detach() + self.goal)).mean()

    def _step(self, optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def improve(self, batch):
        critic_loss = self._step(self.critic_optimizer, self.critic_loss(batch))
        self.critic.requires_grad_(False)
        loss, log_prob = self.actor_loss(batch["state"])
        actor_loss = self._step(self.actor_optimizer, loss)
        self.critic.requires_grad_(True)
        self._step(self.alpha_optimizer, self.alpha_loss(log_prob))
        self.follow()
        return critic_loss, actor_loss

    @torch.no_grad()
    def follow(self):
        for slow, fast in zip(self.target.parameters(), self.critic.parameters()):
            slow.mul_(1.0 - self.tau).add_(fast, alpha=self.tau)


def train(agent, steps=40, warm_up=8, batch=64):
    world = Pendulums()
    shapes = {"state": (3,), "action": (1,), "reward": (), "following": (3,), "done": ()}
    replay, states = Replay(2000, shapes), world.reset()
    for step in range(steps):
        if step < warm_up:
            action = 2.0 * torch.rand(len(states), 1) - 1.0
        else:
            action = agent.actor.act(states)
        following, reward, done = world.step(action)
        replay.add(state=states, action=action, reward=reward, following=following, done=done)
        states = following
        if step >= warm_up:
            losses = agent.improve(replay.sample(batch))
            if step % 8 == 0:
                log.info("step %d  critic %.3f  actor %.3f  alpha %.3f", step, *losses, agent.alpha)


def evaluate(agent, steps=20):
    world = Pendulums(32)
    states, total = world.reset(), 0.0
    for _ in range(steps):
        states, reward, _ = world.step(agent.actor.act(states, greedy=True))
        total += reward.mean().item()
    return total


def main():
    torch.manual_seed(0)
    agent = SAC()
    train(agent)
    log.info("return: %.2f", evaluate(agent))
    for name in ("trunk.0.weight", "mean.weight"):
        print(f"actor.{name}: {agent.actor.get_parameter(name).norm().item():.3f}")


if __name__ == "__main__":
    main()
