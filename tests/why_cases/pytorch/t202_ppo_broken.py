# cause: cleared
# line: 149
# affected: actor.weight actor.bias
# symptom: not updated
# expect: trunk.0.weight=updated actor.weight=still actor.bias=still critic.weight=updated
# also: 155 163 164
"""PPO with one trunk for the actor and the critic, on a plane where a point seeks its goal."""

import logging
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributions import Categorical

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("ppo")


@dataclass
class Config:
    envs: int = 16
    horizon: int = 24
    updates: int = 4
    epochs: int = 3
    minibatches: int = 4
    gamma: float = 0.95
    lam: float = 0.9
    clip: float = 0.2
    entropy: float = 0.01
    value: float = 0.5
    rate: float = 3e-3
    max_norm: float = 0.5


class PointWorld:
    """Points that step up, down, left or right; the reward is how much nearer the goal comes."""

    MOVES = torch.tensor([[0.0, 0.2], [0.0, -0.2], [0.2, 0.0], [-0.2, 0.0]])

    def __init__(self, n, length=20):
        self.n, self.length = n, length
        self.position = self.goal = self.age = None

    def _draw(self):
        return 2.0 * torch.rand(self.n, 2) - 1.0

    def reset(self):
        self.position, self.goal = self._draw(), self._draw()
        self.age = torch.zeros(self.n)
        return self.observe()

    def observe(self):
        return torch.cat([self.position, self.goal - self.position], dim=1)

    def step(self, action):
        before = (self.goal - self.position).norm(dim=1)
        self.position = (self.position + self.MOVES[action]).clamp(-1.5, 1.5)
        after = (self.goal - self.position).norm(dim=1)
        self.age += 1
        done = (self.age >= self.length) | (after < 0.15)
        fresh = done.unsqueeze(1)
        self.position = torch.where(fresh, self._draw(), self.position)
        self.goal = torch.where(fresh, self._draw(), self.goal)
        self.age[done] = 0
        return self.observe(), before - after, done.float()


class ActorCritic(nn.Module):
    def __init__(self, inputs=4, width=32, actions=4):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()
        )
        self.actor = nn.Linear(width, actions)
        self.critic = nn.Linear(width, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight, 0.01 if layer is self.actor else 1.0)
                nn.init.zeros_(layer.bias)

    def forward(self, states):
        h = self.trunk(states)
        return Categorical(logits=self.actor(h)), self.critic(h).squeeze(-1)


class Rollout:
    """What the policy met in one horizon, with advantages (GAE) and returns."""

    def __init__(self, config):
        self.config = config
        self.rows = []

    def add(self, **row):
        self.rows.append(row)

    def finish(self, last_value):
        stacked = {key: torch.stack([row[key] for row in self.rows]) for key in self.rows[0]}
        advantage, advantages = torch.zeros_like(last_value), []
        following = last_value
        for row in reversed(self.rows):
            alive = 1.0 - row["done"]
            delta = row["reward"] + self.config.gamma * alive * following - row["value"]
            advantage = delta + self.config.gamma * self.config.lam * alive * advantage
            advantages.append(advantage)
            following = row["value"]
        stacked["advantage"] = torch.stack(advantages[::-1])
        stacked["goal"] = stacked["advantage"] + stacked["value"]
        return {key: value.flatten(0, 1) for key, value in stacked.items()}


class PPO:
    def __init__(self, policy, config):
        self.policy, self.config = policy, config
        self.optimizer = torch.optim.Adam(policy.parameters(), config.rate, eps=1e-5)

    @torch.no_grad()
    def collect(self, world, states):
        rollout = Rollout(self.config)
        for _ in range(self.config.horizon):
            choice, value = self.policy(states)
            action = choice.sample()
            following, reward, done = world.step(action)
            rollout.add(
                state=states,
                action=action,
                log_prob=choice.log_prob(action),
                value=value,
                reward=reward,
                done=done,
            )
            states = following
        return rollout.finish(self.policy(states)[1]), states

    def _policy_loss(self, batch):
        choice, _ = self.policy(batch["state"])
        ratio = (choice.log_prob(batch["action"]) - batch["log_prob"]).exp()
        advantage = batch["advantage"]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = ratio.clamp(1.0 - self.config.clip, 1.0 + self.config.clip)
        surrogate = torch.min(ratio * advantage, clipped * advantage).mean()
        return -surrogate - self.config.entropy * choice.entropy().mean()

    def _value_loss(self, batch):
        _, value = self.policy(batch["state"])
        return self.config.value * (value - batch["goal"]).pow(2).mean()

    def _accumulate(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        return loss.item()

    def _apply(self):
        nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.max_norm)
        self.optimizer.step()

    def improve(self, data):
        n = len(data["reward"])
        losses = []
        for _epoch in range(self.config.epochs):
            for chosen in torch.randperm(n).chunk(self.config.minibatches):
                batch = {key: value[chosen] for key, value in data.items()}
                policy_loss = self._accumulate(self._policy_loss(batch))
                value_loss = self._accumulate(self._value_loss(batch))
                self._apply()
                losses.append((policy_loss, value_loss))
        return [sum(column) / len(losses) for column in zip(*losses)]


@torch.no_grad()
def evaluate(policy, config, steps=20):
    world = PointWorld(config.envs)
    states, total = world.reset(), 0.0
    for _ in range(steps):
        choice, _ = policy(states)
        states, reward, _ = world.step(choice.probs.argmax(dim=1))
        total += reward.mean().item()
    return total


def main():
    torch.manual_seed(0)
    config = Config()
    policy = ActorCritic()
    agent, world = PPO(policy, config), PointWorld(config.envs)
    before = {name: p.detach().clone() for name, p in policy.named_parameters()}
    states = world.reset()
    for update in range(config.updates):
        data, states = agent.collect(world, states)
        policy_loss, value_loss = agent.improve(data)
        reward = data["reward"].mean().item()
        log.info("%d  losses %.4f %.4f  reward %.4f", update, policy_loss, value_loss, reward)
    log.info("return of the greedy policy: %.3f", evaluate(policy, config))
    for name in ("trunk.0.weight", "actor.weight", "actor.bias", "critic.weight"):
        moved = not torch.equal(policy.get_parameter(name), before[name])
        print(f"{name}: {'updated' if moved else 'still'}")


if __name__ == "__main__":
    main()
