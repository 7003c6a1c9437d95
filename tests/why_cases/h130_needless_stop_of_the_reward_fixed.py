# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: critic/kernel=1.642
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(3)
rng = np.random.default_rng(3)


class Critic(nn.Model):
    def __init__(self):
        super().__init__(name="critic")
        self.out = nn.Dense(1, use_bias=False, name="critic")

    def call(self, state):
        return self.out(state)[:, 0]


def goal_of(critic, reward, after, discount=0.95):
    return hg.stop_gradient(reward + discount * critic(after))


critic = Critic()
optimizer = optim.Adam(0.01)
for _step in range(4):
    state = rng.normal(size=(16, 4))
    after = state + 0.1 * rng.normal(size=(16, 4))
    reward = state[:, 0] ** 2
    with hg.GradientTape() as tape:
        goal = goal_of(critic, reward, after)
        loss = hg.mean((critic(state) - goal) ** 2)
    weights = critic.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"critic/kernel: {float(hg.norm(critic.out.kernel)):.3f}")
