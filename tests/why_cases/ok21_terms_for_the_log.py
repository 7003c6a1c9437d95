# cause: none
# line: 0
# affected: -
# symptom: legit: some terms are only looked at, and stopped on purpose
# expect: log=4
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(1)
rng = np.random.default_rng(1)
model = nn.Sequential([nn.Dense(6, "relu", name="hidden"), nn.Dense(1, name="out")])
model.build((None, 4))
optimizer = optim.Adam(0.01)
log = []


def report(loss, prediction, weights):
    """What goes into the log must not hold the graph."""
    prediction = hg.stop_gradient(prediction)
    return {
        "loss": float(loss),
        "spread": float(hg.std(prediction)),
        "size": float(sum(hg.sum(hg.stop_gradient(w) ** 2) for w in weights)),
    }


for _step in range(4):
    x = rng.normal(size=(8, 4)).astype("float32")
    with hg.GradientTape() as tape:
        prediction = model(x)
        loss = hg.mean((prediction - x[:, :1]) ** 2)
        sign_error = hg.mean(hg.astype(hg.sign(prediction) != np.sign(x[:, :1]), float))
        log.append(report(loss, prediction, model.trainable_variables))
        log[-1]["signs"] = float(sign_error)
    weights = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"log: {len(log)}")
