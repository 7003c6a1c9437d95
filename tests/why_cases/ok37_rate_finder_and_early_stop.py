# cause: none
# line: 0
# affected: -
# symptom: legit: a search for the rate, whose weights are put back, and an early stop
# expect: done=yes
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(17)
rng = np.random.default_rng(17)
model = nn.Sequential([nn.Dense(5, "tanh", name="hidden"), nn.Dense(1, name="out")])
model.build((None, 3))


def batch():
    x = rng.normal(size=(8, 3)).astype("float32")
    return x, x[:, :1] * 0.5


def step(optimizer):
    x, y = batch()
    with hg.GradientTape() as tape:
        loss = hg.mean((model(x) - y) ** 2)
    weights = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    return float(loss)


def find_rate():
    kept = model.get_weights()
    optimizer, losses = optim.SGD(1e-4), []
    for exponent in range(-4, 2):
        optimizer.learning_rate = 10.0**exponent
        losses.append(step(optimizer))
        if losses[-1] > 4 * losses[0]:
            break
    model.set_weights(kept)
    return 10.0 ** (np.argmin(losses) - 4) / 3


optimizer = optim.SGD(find_rate())
x, y = batch()
best, waited, kept = np.inf, 0, model.get_weights()
for _epoch in range(10):
    step(optimizer)
    error = float(hg.mean((model(x) - y) ** 2))
    if error < best:
        best, waited, kept = error, 0, model.get_weights()
    else:
        waited += 1
    if waited == 2:
        break
model.set_weights(kept)
print("done: yes")
