# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: features=learns
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(3)
features = hg.Variable(0.5 * rng.normal(size=(5, 4)), name="features")
head = hg.Variable(0.5 * rng.normal(size=(4, 1)), name="head")
optimizer = optim.Adam(0.01)


class Schedule:
    """Hard examples come in later; the noise is turned off for good."""

    def __init__(self, warm_up):
        self.warm_up = warm_up

    def noise(self, step):
        return max(0.0, 1.0 - step / self.warm_up)

    def augment(self, h, step):
        amount = self.noise(step)
        if amount > 0.0:
            return h + amount * rng.normal(size=h.shape)
        return h


schedule = Schedule(warm_up=12)
history = []
for step in range(40):
    x = rng.normal(size=(8, 5))
    with hg.GradientTape() as tape:
        h = schedule.augment(hg.tanh(x @ features), step)
        loss = hg.mean((h @ head - x[:, :1]) ** 2)
    gradients = tape.gradient(loss, [features, head])
    pairs = [(g, v) for g, v in zip(gradients, [features, head]) if g is not None]
    optimizer.apply_gradients(pairs)
    history.append(features.numpy())
print(f"features: {'learns' if (history[-1] != history[12]).any() else 'still'}")
