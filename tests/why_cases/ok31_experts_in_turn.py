# cause: none
# line: 0
# affected: -
# symptom: legit: each expert is used in every third step, and gets None in the others
# expect: experts=3
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(11)
rng = np.random.default_rng(11)


class Ring(nn.Model):
    def __init__(self, count=3):
        super().__init__(name="ring")
        self.common = nn.Dense(4, "tanh", name="common")
        self.experts = [nn.Dense(1, name=f"expert_{i}") for i in range(count)]

    def call(self, x, turn=0):
        return self.experts[turn](self.common(x))


ring = Ring()
for turn in range(3):
    ring(np.zeros((1, 3), "float32"), turn=turn)
optimizer = optim.Adam(0.01)
for step in range(9):
    x = rng.normal(size=(8, 3)).astype("float32")
    with hg.GradientTape() as tape:
        loss = hg.mean((ring(x, turn=step % 3) - x[:, step % 3, None]) ** 2)
    weights = ring.trainable_variables
    pairs = [(g, w) for g, w in zip(tape.gradient(loss, weights), weights) if g is not None]
    optimizer.apply_gradients(pairs)
print(f"experts: {len(ring.experts)}")
