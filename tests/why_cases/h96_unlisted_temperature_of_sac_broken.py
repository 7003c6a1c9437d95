# cause: unlisted
# line: 20
# affected: log_alpha
# symptom: absent
# expect: log_alpha=still
# also: 44 45 46
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(0)
rng = np.random.default_rng(0)


class Agent:
    def __init__(self):
        self.actor = nn.Dense(4, name="actor")
        self.critic = nn.Dense(1, name="critic")
        self.log_alpha = hg.Variable(0.0, name="log_alpha")
        self.actor_optimizer = optim.Adam(3e-3)
        self.critic_optimizer = optim.Adam(3e-3)

    def sample(self, state):
        out = self.actor(state)
        mean, log_std = out[:, :2], hg.clip(out[:, 2:], -3.0, 1.0)
        noise = hg.random.normal(mean.shape)
        action = hg.tanh(mean + hg.exp(log_std) * noise)
        log_prob = hg.sum(-0.5 * noise**2 - log_std - hg.log(1.0 - action**2 + 1e-6), axis=1)
        return action, log_prob

    def value(self, state, action):
        return self.critic(hg.concat([state, action], axis=1))[:, 0]

    def learn(self, state, action, reward):
        with hg.GradientTape() as tape:
            error = self.value(state, action) - reward
            critic_loss = hg.mean(error**2)
        weights = self.critic.trainable_variables
        self.critic_optimizer.apply_gradients(zip(tape.gradient(critic_loss, weights), weights))
        with hg.GradientTape() as tape:
            action, log_prob = self.sample(state)
            gain = self.value(state, action)
            actor_loss = hg.mean(hg.exp(self.log_alpha) * log_prob - gain)
        weights = self.actor.trainable_variables
        self.actor_optimizer.apply_gradients(zip(tape.gradient(actor_loss, weights), weights))


agent = Agent()
for _step in range(4):
    state, action = rng.normal(size=(16, 3)), rng.uniform(-1.0, 1.0, size=(16, 2))
    agent.learn(state, action, np.sum(state[:, :2] * action, axis=1))
print(f"log_alpha: {'still' if float(agent.log_alpha) == 0.0 else 'learns'}")
