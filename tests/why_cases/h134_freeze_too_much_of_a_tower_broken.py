# cause: freeze_too_much frozen
# line: 39
# affected: block_10/kernel
# symptom: absent
# expect: block_10/kernel=still
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(1)
rng = np.random.default_rng(1)
WIDTH, DEPTH = 4, 11


class Tower(nn.Model):
    """Blocks one after the other; the first two were pre-trained."""

    def __init__(self):
        super().__init__(name="tower")
        self.blocks = [
            nn.Dense(WIDTH, "tanh", use_bias=False, name=f"block_{i}") for i in range(DEPTH)
        ]
        self.out = nn.Dense(1, use_bias=False, name="out")

    def call(self, x):
        for block in self.blocks:
            x = x + block(x)
        return self.out(x)


tower = Tower()
tower.build((None, WIDTH))
optimizer = optim.SGD(0.05)
start = tower.blocks[10].kernel.numpy()
for step in range(5):
    if step == 2:
        tower.freeze("block_0*", "block_1*")
        start = tower.blocks[10].kernel.numpy()
    x = rng.normal(size=(8, WIDTH)).astype("float32")
    with hg.GradientTape() as tape:
        loss = hg.mean((tower(x) - x[:, :1] * x[:, 1:2]) ** 2)
    weights = tower.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
learns = (tower.blocks[10].kernel.numpy() != start).any()
print(f"block_10/kernel: {'learns' if learns else 'still'}")
