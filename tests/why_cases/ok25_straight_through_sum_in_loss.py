# cause: none
# line: 0
# affected: -
# symptom: legit: the value of one thing with the gradient of another
# expect: logits=0.798
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(5)
logits = hg.Variable(0.5 * rng.normal(size=(6,)), name="logits")
scale = hg.Variable(1.0, name="scale")
optimizer = optim.Adam(0.05)


def bits(p):
    hard = hg.astype(p > 0.5, p.dtype)
    return p + hg.stop_gradient(hard - p)


for _step in range(4):
    goal = (rng.uniform(size=6) > 0.4).astype(float)
    with hg.GradientTape() as tape:
        p = hg.sigmoid(logits)
        b = bits(p)
        true_error = hg.mean(hg.abs(hg.round(b) - goal))
        surrogate = hg.mean((scale * b - goal) ** 2)
        loss = surrogate + hg.stop_gradient(true_error - surrogate)
    variables = [logits, scale]
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
print(f"logits: {float(hg.norm(logits)):.3f}")
