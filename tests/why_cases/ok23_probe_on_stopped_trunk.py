# cause: none
# line: 0
# affected: -
# symptom: legit: a probe reads the features without changing them
# expect: probe=0.200
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(3)
trunk = hg.Variable(0.5 * rng.normal(size=(5, 6)), name="trunk")
head = hg.Variable(0.5 * rng.normal(size=(6, 1)), name="head")
probe = hg.Variable(np.zeros((6, 3)), name="probe")
optimizer, probe_optimizer = optim.Adam(0.01), optim.SGD(0.1)

for _step in range(4):
    x = rng.normal(size=(12, 5))
    labels = np.argmax(x[:, :3], axis=1)
    with hg.GradientTape() as tape:
        h = hg.tanh(x @ trunk)
        task = hg.mean((h @ head - x[:, 3:4]) ** 2)
        logits = hg.stop_gradient(h) @ probe
        probing = hg.mean(hg.sparse_softmax_cross_entropy(logits, labels))
        loss = task + probing
    for_trunk, for_head, for_probe = tape.gradient(loss, [trunk, head, probe])
    optimizer.apply_gradients([(for_trunk, trunk), (for_head, head)])
    probe_optimizer.apply_gradients([(for_probe, probe)])
print(f"probe: {float(hg.norm(probe)):.3f}")
