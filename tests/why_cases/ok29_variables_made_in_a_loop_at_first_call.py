# cause: none
# line: 0
# affected: -
# symptom: legit: blocks make their weights at the first call, within the tape
# expect: blocks=6
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(9)


class Block:
    def __init__(self, index, width):
        self.index, self.width = index, width
        self.weights = []

    def __call__(self, x):
        if not self.weights:
            shape = (x.shape[-1], self.width)
            self.weights = [
                hg.Variable(0.4 * rng.normal(size=shape), name=f"block_{self.index}/w"),
                hg.Variable(np.zeros(self.width), name=f"block_{self.index}/b"),
            ]
        w, b = self.weights
        return hg.tanh(x @ w + b)


blocks = [Block(i, width) for i, width in enumerate((6, 5, 1))]
optimizer = optim.Adam(0.02)
for _step in range(4):
    x = rng.normal(size=(8, 3))
    with hg.GradientTape() as tape:
        h = x
        for block in blocks:
            h = block(h)
        loss = hg.mean((h - 0.5 * x[:, :1]) ** 2)
    weights = [w for block in blocks for w in block.weights]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"blocks: {len(weights)}")
