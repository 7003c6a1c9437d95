# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: block_1=1.818 block_10=1.456 block_2=1.715
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(6)
blocks = [hg.Variable(0.4 * rng.normal(size=(4, 4)), name=f"block_{i}") for i in (1, 2, 10)]
out = hg.Variable(rng.normal(size=(4, 1)), name="out")
optimizer = optim.Adam(0.05)


def forward(x):
    for block in blocks:
        x = x + hg.tanh(x @ block)
    return x @ out


def by_name(variables):
    return sorted(variables, key=lambda v: v.name)


for _step in range(4):
    x = rng.normal(size=(10, 4))
    with hg.GradientTape() as tape:
        loss = hg.mean((forward(x) - x[:, :1] * x[:, 1:2]) ** 2)
    gradients = tape.gradient(loss, by_name([*blocks, out]))
    optimizer.apply_gradients(zip(gradients, by_name([*blocks, out])))
for v in by_name(blocks):
    print(f"{v.name}: {float(hg.norm(v)):.3f}")
