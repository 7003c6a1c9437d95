# cause: none
# line: 0
# affected: -
# symptom: legit: the gradient of an input is looked at, never applied
# expect: maps=5
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(13)
rng = np.random.default_rng(13)
model = nn.Sequential([nn.Dense(6, "relu", name="hidden"), nn.Dense(3, name="out")])
model.build((None, 5))
optimizer = optim.Adam(0.01)


def saliency(x):
    """Which inputs the winning class depends on (Simonyan et al. 2014)."""
    x = hg.asarray(x)
    with hg.GradientTape() as tape:
        tape.watch(x)
        score = hg.max(model(x), axis=1)
    return hg.abs(tape.gradient(score, x))


maps = []
for _step in range(5):
    x = rng.normal(size=(8, 5)).astype("float32")
    labels = np.argmax(x[:, :3], axis=1)
    with hg.GradientTape() as tape:
        loss = hg.mean(hg.sparse_softmax_cross_entropy(model(x), labels))
    weights = model.trainable_variables
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights))
    maps.append(saliency(x[:2]).numpy())
print(f"maps: {len(maps)}")
