# cause: none
# line: 0
# affected: -
# symptom: legit: noise levels are constants, a copy follows, one output is not always used
# expect: out=1.966
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(21)
rng = np.random.default_rng(21)
STEPS = 20
betas = hg.Variable(np.linspace(1e-3, 0.2, STEPS), trainable=False, name="betas")
levels = hg.cumulative_prod(1.0 - betas)


class Denoiser(nn.Model):
    """The noise, from a point, the time and a label that is sometimes left out."""

    def __init__(self):
        super().__init__(name="denoiser")
        self.times = nn.Embedding(STEPS, 4, name="times")
        self.labels = nn.Embedding(3, 4, name="labels")
        self.hidden = nn.Dense(16, "silu", name="hidden")
        self.out = nn.Dense(2, name="out")

    def call(self, x, time, label=None):
        context = self.times(time)
        if label is not None:
            context = context + self.labels(label)
        return self.out(self.hidden(hg.concat([x, context], axis=1)))


model, follower = Denoiser(), Denoiser()
for net in (model, follower):
    net(np.zeros((1, 2)), np.zeros(1, int), np.zeros(1, int))
optim.hard_update(follower, model)
optimizer = optim.AdamW(0.01)
for step in range(6):
    label = rng.integers(0, 3, size=16)
    clean = rng.normal(size=(16, 2)) * 0.2 + label[:, None]
    time = rng.integers(0, STEPS, size=16)
    noise = rng.normal(size=(16, 2))
    level = hg.take(levels, time, axis=0)[:, None]
    noisy = hg.sqrt(level) * clean + hg.sqrt(1.0 - level) * noise
    with hg.GradientTape() as tape:
        guess = model(noisy, time, label if step % 3 else None)
        loss = hg.mean((guess - noise) ** 2)
    weights = model.trainable_variables
    pairs = [(g, w) for g, w in zip(tape.gradient(loss, weights), weights) if g is not None]
    optimizer.apply_gradients(pairs)
    optim.soft_update(follower, model, 0.05)
print(f"out: {float(hg.norm(model.out.kernel)):.3f}")
