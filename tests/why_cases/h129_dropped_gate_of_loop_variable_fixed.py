# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: memory=1.854
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(2)
memory = hg.Variable(0.5 * rng.normal(size=(4, 4)), name="memory")
read = hg.Variable(0.5 * rng.normal(size=(4, 4)), name="read")
optimizer = optim.SGD(0.05)


def summaries(segments):
    """What the earlier segments leave behind, without going back through them."""
    kept = [hg.tanh(segment @ memory) for segment in segments[:-1]]
    kept = [hg.stop_gradient(state) for state in kept]
    return hg.mean(hg.stack(kept), axis=0)


def forward(segments):
    now = hg.tanh(segments[-1] @ memory)
    return (now + summaries(segments)) @ read


for _step in range(4):
    segments = [rng.normal(size=(6, 4)) for _ in range(3)]
    with hg.GradientTape() as tape:
        loss = hg.mean((forward(segments) - segments[-1]) ** 2)
    weights = [memory, read]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"memory: {float(hg.norm(memory)):.3f}")
