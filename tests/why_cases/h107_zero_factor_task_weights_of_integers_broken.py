# cause: zero_factor zero_derivative
# line: 27
# affected: normals
# symptom: zero
# expect: labels=learns depth=learns normals=still
# also: 15 26
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(3)
TASKS = ("labels", "depth", "normals")
importance = np.array([4, 3, 1])
weight_of = dict(zip(TASKS, importance // 2))

trunk = hg.Variable(0.5 * rng.normal(size=(5, 6)), name="trunk")
heads = {task: hg.Variable(0.5 * rng.normal(size=(6, 2)), name=task) for task in TASKS}
optimizer = optim.Adam(0.02)


def total_loss(x, goals):
    h = hg.tanh(x @ trunk)
    total = 0.0
    for task in TASKS:
        loss = hg.mean((h @ heads[task] - goals[task]) ** 2)
        total = total + weight_of[task] * loss
    return total


before = {task: head.numpy() for task, head in heads.items()}
for _step in range(3):
    x = rng.normal(size=(10, 5))
    goals = {task: x[:, i : i + 2] for i, task in enumerate(TASKS)}
    with hg.GradientTape() as tape:
        loss = total_loss(x, goals)
    weights = [trunk, *heads.values()]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
for task, head in heads.items():
    print(f"{task}: {'learns' if (head.numpy() != before[task]).any() else 'still'}")
