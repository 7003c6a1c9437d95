# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: margin=learns
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(7)


def make_triplet_loss(start=0.5):
    margin = hg.Variable(start, name="margin")

    def loss(anchor, positive, negative):
        near = hg.sum((anchor - positive) ** 2, axis=1)
        far = hg.sum((anchor - negative) ** 2, axis=1)
        return hg.mean(hg.softplus(near - far + margin)) + 0.1 * (margin - 1.0) ** 2

    return loss, [margin]


embed = nn.Sequential([nn.Dense(8, activation="relu"), nn.Dense(3)], name="embed")
embed.build((None, 4))
criterion, extra = make_triplet_loss()
weights = embed.trainable_variables + extra
optimizer = optim.Adam(0.01)
rng = np.random.default_rng(3)
for _step in range(4):
    anchor = rng.normal(size=(10, 4)).astype("float32")
    positive = anchor + 0.1 * rng.normal(size=(10, 4)).astype("float32")
    negative = rng.normal(size=(10, 4)).astype("float32")
    with hg.GradientTape() as tape:
        loss = criterion(embed(anchor), embed(positive), embed(negative))
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights))
(margin,) = (v for v in tape.watched_variables() if v.name == "margin")
print(f"margin: {'still' if float(margin) == 0.5 else 'learns'}")
