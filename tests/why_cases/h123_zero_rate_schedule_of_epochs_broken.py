# cause: zero_rate zeroed_update
# line: 33
# affected: w
# symptom: not updated
# expect: w=still
# also: 19 20 25
import numpy as np

import headgate as hg

rng = np.random.default_rng(12)
w = hg.Variable(rng.normal(size=(6, 1)), name="w")
log_scale = hg.Variable(0.0, name="log_scale")
EPOCHS, STEPS = 3, 4


def cosine(epoch):
    """From the base rate to 0 in all epochs."""
    part = min(1.0, (epoch + 1) * STEPS / EPOCHS)
    return 0.05 * 0.5 * (1.0 + np.cos(np.pi * part))


start = w.numpy()
for epoch in range(EPOCHS):
    rate = cosine(epoch)
    for _step in range(STEPS):
        x = rng.normal(size=(8, 6))
        y = x @ np.arange(6.0)[:, None]
        with hg.GradientTape() as tape:
            error = (x @ w - y) * hg.exp(-log_scale)
            loss = hg.mean(error**2) + log_scale
        for_w, for_scale = tape.gradient(loss, [w, log_scale])
        w.assign_sub(rate * for_w)
        log_scale.assign_sub(0.01 * for_scale)
print(f"w: {'learns' if (w.numpy() != start).any() else 'still'}")
