# cause: cancelled
# line: 21
# affected: hidden
# symptom: zero
# expect: hidden=still
# also: 20 25
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(1)
hidden = hg.Variable(rng.normal(size=(4, 6)), name="hidden")
out = hg.Variable(rng.normal(size=(6, 1)), name="out")
optimizer = optim.SGD(0.05)


def binarize(h):
    """+1 or -1, with the gradient of the identity."""
    hard = hg.stop_gradient(hg.sign(h))
    return h + hard - h


def predict(x):
    return binarize(x @ hidden) @ out


start = hidden.numpy()
for _step in range(3):
    x = rng.normal(size=(8, 4))
    y = np.sign(x[:, :1] * x[:, 1:2])
    with hg.GradientTape() as tape:
        loss = hg.mean((predict(x) - y) ** 2)
    weights = [hidden, out]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"hidden: {'learns' if (hidden.numpy() != start).any() else 'still'}")
