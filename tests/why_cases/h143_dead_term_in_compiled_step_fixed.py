# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: w=2.018 b=0.075
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(14)
w = hg.Variable(rng.normal(size=(4, 3)), name="w")
b = hg.Variable(np.zeros(3), name="b")
optimizer = optim.SGD(0.05)


def smoothness(logits):
    """Neighbours in the sequence should agree."""
    before = hg.stop_gradient(logits[:-1])
    after = logits[1:]
    return hg.mean((after - before) ** 2)


@hg.function
def train_step(x, labels):
    with hg.GradientTape() as tape:
        logits = x @ w + b
        cross = hg.mean(hg.sparse_softmax_cross_entropy(logits, labels))
        loss = cross + 5.0 * smoothness(logits)
    weights = [w, b]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    return cross


for _step in range(5):
    x = rng.normal(size=(12, 4))
    train_step(x, np.argmax(x[:, :3], axis=1))
for v in (w, b):
    print(f"{v.name}: {float(hg.norm(v)):.3f}")
