# cause: none
# line: 0
# affected: -
# symptom: legit: a pretrained encoder is loaded, frozen and not asked for
# expect: head/kernel=nonzero head/bias=nonzero
# also: -
# stops: 26
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


encoder = nn.Sequential([nn.Dense(8, activation="relu", name="enc"), nn.Dense(4, name="code")])
encoder.build((None, 5))
values = np.random.default_rng(0)
encoder.set_weights([0.5 * values.standard_normal(v.shape) for v in encoder.variables])
encoder.trainable = False
head = nn.Dense(2, name="head")
model = nn.Sequential([encoder, head])
optimizer = optim.Adam(0.01)
x, labels = hg.random.normal((10, 5)), hg.asarray([0, 1] * 5)
for _step in range(3):
    with hg.GradientTape() as tape:
        loss = hg.mean(hg.sparse_softmax_cross_entropy(model(x), labels))
    weights = model.trainable_variables
    gradients = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(gradients, weights))
report(weights, gradients)
