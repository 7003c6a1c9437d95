# cause: dropped_gate
# line: 70
# affected: critic/kernel
# symptom: leak
# expect: critic/kernel=1.042
# also: 68 69 71
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(13)
rng = np.random.default_rng(13)
STATE, ACTION = 3, 2


class Actor(nn.Model):
    """A Gaussian whose samples are squashed."""

    def __init__(self):
        super().__init__(name="actor")
        self.body = nn.Dense(8, "relu", name="body")
        self.mean = nn.Dense(ACTION, name="mean")
        self.log_std = nn.Dense(ACTION, name="log_std")

    def call(self, state):
        h = self.body(state)
        return self.mean(h), hg.clip(self.log_std(h), -5.0, 2.0)

    def sample(self, state):
        mean, log_std = self(state)
        noise = hg.random.normal(mean.shape)
        action = hg.tanh(mean + hg.exp(log_std) * noise)
        density = -0.5 * noise**2 - log_std - hg.log(1.0 - action**2 + 1e-6)
        return action, hg.sum(density, axis=1)


class Critic(nn.Model):
    def __init__(self, name="critic"):
        super().__init__(name=name)
        self.out = nn.Dense(1, use_bias=False, name=name)

    def call(self, state, action):
        return self.out(hg.concat([state, action, state[:, :ACTION] * action], axis=1))[:, 0]


class Replay:
    def __init__(self):
        self.rows = []

    def add(self, *row):
        self.rows.append(row)

    def batch(self, size):
        chosen = rng.integers(len(self.rows), size=size)
        return [np.stack(column) for column in zip(*(self.rows[i] for i in chosen))]


class Agent:
    def __init__(self, discount=0.95, alpha=0.1):
        self.actor, self.critic = Actor(), Critic()
        self.actor_optimizer, self.critic_optimizer = optim.Adam(0.01), optim.SGD(0.1)
        self.discount, self.alpha = discount, alpha
        self.losses = {"actor": [], "critic": []}

    def goal(self, reward, after, done):
        action, log_prob = self.actor.sample(after)
        value = self.critic(after, action) - self.alpha * log_prob
        goal = reward + self.discount * (1.0 - done) * value
        hg.stop_gradient(goal)
        return goal

    def learn(self, state, action, reward, after, done):
        with hg.GradientTape() as tape:
            goal = self.goal(reward, after, done)
            critic_loss = hg.mean((self.critic(state, action) - goal) ** 2)
        weights = self.critic.trainable_variables
        self.critic_optimizer.apply_gradients(zip(tape.gradient(critic_loss, weights), weights))
        with hg.GradientTape() as tape:
            new, log_prob = self.actor.sample(state)
            actor_loss = hg.mean(self.alpha * log_prob - self.critic(state, new))
        weights = self.actor.trainable_variables
        self.actor_optimizer.apply_gradients(zip(tape.gradient(actor_loss, weights), weights))
        self.losses["actor"].append(float(actor_loss))
        self.losses["critic"].append(float(critic_loss))


agent, replay = Agent(), Replay()
state = rng.normal(size=STATE)
for step in range(24):
    action = agent.actor.sample(state[None])[0].numpy()[0]
    after = 0.9 * state + 0.3 * rng.normal(size=STATE)
    reward = float(state[:ACTION] @ action)
    replay.add(state, action, reward, after, float(step % 12 == 11))
    state = after
    if step >= 16:
        agent.learn(*replay.batch(8))
print(f"critic/kernel: {float(hg.norm(agent.critic.out.kernel)):.3f}")
