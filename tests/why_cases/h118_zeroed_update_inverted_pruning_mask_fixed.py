# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: hidden=learns out=learns
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(7)
hidden = hg.Variable(0.5 * rng.normal(size=(4, 6)), name="hidden")
out = hg.Variable(0.5 * rng.normal(size=(6, 1)), name="out")
optimizer = optim.SGD(0.05)
kept = {"hidden": np.ones((4, 6)), "out": np.array([[1.0], [0.0], [1.0], [0.0], [1.0], [0.0]])}


def masked(variable, gradient):
    """Weights that were pruned stay at zero."""
    if variable.name not in pruned:
        return gradient
    return gradient * kept[variable.name]


pruned = {"out"}
out.assign(out * kept["out"])
start = {v.name: v.numpy() for v in (hidden, out)}
for _step in range(3):
    x = rng.normal(size=(8, 4))
    with hg.GradientTape() as tape:
        loss = hg.mean((hg.relu(x @ hidden) @ out - x[:, :1]) ** 2)
    weights = [hidden, out]
    gradients = [masked(v, g) for v, g in zip(weights, tape.gradient(loss, weights))]
    optimizer.apply_gradients(zip(gradients, weights))
for v in (hidden, out):
    print(f"{v.name}: {'learns' if (v.numpy() != start[v.name]).any() else 'still'}")
