# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w1=learns b1=learns w2=learns
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(6)
w1 = hg.Variable(0.1 * rng.normal(size=(3, 6)), name="w1")
b1 = hg.Variable(np.full(6, 0.5), name="b1")
w2 = hg.Variable(0.5 * np.abs(rng.normal(size=(6, 1))), name="w2")
b2 = hg.Variable(np.zeros(1), name="b2")
weights = [w1, b1, w2, b2]
optimizer = optim.SGD(0.02)


def forward(x):
    h = hg.relu(x @ w1 + b1)
    return h @ w2 + b2


history = []
for step in range(40):
    x = rng.uniform(0.0, 1.0, size=(8, 3))
    y = x[:, :1]
    if step == 9:
        y = y - 4.0
    with hg.GradientTape() as tape:
        loss = hg.mean((forward(x) - y) ** 2)
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights))
    history.append([v.numpy() for v in weights])
for i, v in enumerate(weights[:3]):
    print(f"{v.name}: {'learns' if (history[-1][i] != history[10][i]).any() else 'still'}")
