# cause: none
# line: 0
# affected: -
# symptom: legit: the weight of a term is 0.0, as the user has chosen
# expect: out=1.767
# also: -
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(7)
rng = np.random.default_rng(7)
CONFIG = {"rate": 0.01, "l2": 0.0, "entropy": 0.0, "smooth": 1e-3}
model = nn.Sequential([nn.Dense(6, "tanh", name="hidden"), nn.Dense(3, name="out")])
model.build((None, 4))
optimizer = optim.Adam(CONFIG["rate"])


def loss_of(x, labels):
    logits = model(x)
    loss = hg.mean(hg.sparse_softmax_cross_entropy(logits, labels))
    loss = loss + CONFIG["l2"] * sum(hg.sum(w**2) for w in model.trainable_variables)
    log_p = hg.log_softmax(logits)
    loss = loss + CONFIG["entropy"] * hg.mean(hg.sum(hg.exp(log_p) * log_p, axis=1))
    return loss + CONFIG["smooth"] * hg.mean(logits**2)


for _step in range(4):
    x = rng.normal(size=(8, 4)).astype("float32")
    with hg.GradientTape() as tape:
        loss = loss_of(x, np.argmax(x[:, :3], axis=1))
    weights = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"out: {float(hg.norm(model.layers[1].kernel)):.3f}")
