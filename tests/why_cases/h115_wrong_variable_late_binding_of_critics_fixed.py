# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: critic_0=1.967 critic_1=3.250
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(3)
critics = [hg.Variable(rng.normal(size=(5, 1)), name=f"critic_{i}") for i in range(2)]
optimizers = [optim.SGD(0.05) for _ in critics]
steps = []
for critic, optimizer in zip(critics, optimizers):

    def step(gradient, optimizer=optimizer, critic=critic):
        optimizer.apply_gradients([(gradient, critic)])

    steps.append(step)


def critic_losses(state, action, goal):
    inputs = hg.concat([state, action], axis=1)
    return [hg.mean((inputs @ critic - goal) ** 2) for critic in critics]


for _step in range(4):
    state, action = rng.normal(size=(8, 3)), rng.uniform(-1.0, 1.0, size=(8, 2))
    goal = np.sum(state[:, :2] * action, axis=1, keepdims=True)
    with hg.GradientTape(persistent=True) as tape:
        losses = critic_losses(state, action, goal)
    for i in range(2):
        steps[i](tape.gradient(losses[i], critics[i]))
for c in critics:
    print(f"{c.name}: {float(hg.norm(c)):.3f}")
