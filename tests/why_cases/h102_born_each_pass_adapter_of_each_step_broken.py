# cause: born_each_pass
# line: 17
# affected: adapter/down adapter/up
# symptom: lost
# expect: adapter/down=lost adapter/up=lost
# also: 18 35 48
import numpy as np

import headgate as hg
from headgate import optim

hg.random.set_seed(9)


class Adapter:
    def __init__(self, width, rank=2):
        self.down = hg.Variable(0.2 * hg.random.normal((width, rank)), name="adapter/down")
        self.up = hg.Variable(0.2 * hg.random.normal((rank, width)), name="adapter/up")

    def __call__(self, h):
        return h + hg.relu(h @ self.down) @ self.up

    @property
    def weights(self):
        return [self.down, self.up]


base = hg.random.normal((5, 5))
head = hg.Variable(0.3 * hg.random.normal((5, 1)), name="head")
optimizer = optim.SGD(0.05)


def train_step(x, y, adapter=None):
    if adapter is None:
        adapter = Adapter(base.shape[1])
    with hg.GradientTape() as tape:
        h = adapter(hg.tanh(x @ base))
        loss = hg.mean((h @ head - y) ** 2)
    weights = [*adapter.weights, head]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    return adapter


rng = np.random.default_rng(0)
used = []
for _step in range(4):
    x = rng.normal(size=(8, 5))
    used.append(train_step(x, x[:, :1]))
for part in ("down", "up"):
    same = getattr(used[0], part) is getattr(used[-1], part)
    print(f"adapter/{part}: {'learns' if same else 'lost'}")
