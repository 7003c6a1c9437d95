# cause: zero_rate
# line: 20
# affected: backbone
# symptom: not updated
# expect: backbone=still head=learns
# also: 19 31
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(10)
config = {"rate": 0.02, "backbone_scale": "0.1"}
backbone = hg.Variable(0.5 * rng.normal(size=(4, 5)), name="backbone")
head = hg.Variable(0.5 * rng.normal(size=(5, 1)), name="head")


def build_optimizers(config):
    scale = int(float(config["backbone_scale"]))
    slow = optim.Adam(config["rate"] * scale)
    return slow, optim.Adam(config["rate"])


slow, fast = build_optimizers(config)
start = {v.name: v.numpy() for v in (backbone, head)}
for _step in range(4):
    x = rng.normal(size=(10, 4))
    with hg.GradientTape() as tape:
        loss = hg.mean((hg.tanh(x @ backbone) @ head - x[:, 1:2]) ** 2)
    for_backbone, for_head = tape.gradient(loss, [backbone, head])
    slow.apply_gradients([(for_backbone, backbone)])
    fast.apply_gradients([(for_head, head)])
for v in (backbone, head):
    print(f"{v.name}: {'learns' if (v.numpy() != start[v.name]).any() else 'still'}")
