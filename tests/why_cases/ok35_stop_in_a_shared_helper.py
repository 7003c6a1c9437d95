# cause: none
# line: 0
# affected: -
# symptom: legit: a helper stops what it gets, which is a constant in one place and not in another
# expect: actor=1.589
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(15)
rng = np.random.default_rng(15)
critic = nn.Sequential([nn.Dense(6, "tanh"), nn.Dense(1)], name="critic")
actor = nn.Dense(2, name="actor")
target = nn.Sequential([nn.Dense(6, "tanh"), nn.Dense(1)], name="target")
for layer in (critic, target):
    layer.build((None, 5))
actor.build((None, 3))
optim.hard_update(target, critic)
target.trainable = False
critic_optimizer, actor_optimizer = optim.Adam(0.01), optim.Adam(0.01)


def constant(x):
    """As a number, whatever it is."""
    return hg.stop_gradient(x)


def joined(state, action):
    return hg.concat([state, action], axis=1)


for _step in range(4):
    state, after = rng.normal(size=(2, 16, 3)).astype("float32")
    action = rng.uniform(-1.0, 1.0, size=(16, 2)).astype("float32")
    reward = constant(state[:, :1] * action[:, :1])
    with hg.GradientTape() as tape:
        goal = constant(reward + 0.9 * target(joined(after, hg.tanh(actor(after)))))
        critic_loss = hg.mean((critic(joined(state, action)) - goal) ** 2)
    weights = critic.trainable_variables
    critic_optimizer.apply_gradients(zip(tape.gradient(critic_loss, weights), weights))
    with hg.GradientTape() as tape:
        gain = critic(joined(state, hg.tanh(actor(state))))
        actor_loss = -hg.mean(gain / constant(hg.mean(hg.abs(gain))))
    weights = actor.trainable_variables
    actor_optimizer.apply_gradients(zip(tape.gradient(actor_loss, weights), weights))
    optim.soft_update(target, critic, 0.1)
print(f"actor: {float(hg.norm(actor.kernel)):.3f}")
