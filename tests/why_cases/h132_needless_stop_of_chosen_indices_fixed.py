# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: codebook=1.412
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(5)
encoder = hg.Variable(0.5 * rng.normal(size=(5, 2)), name="encoder")
decoder = hg.Variable(0.5 * rng.normal(size=(2, 5)), name="decoder")
codebook = hg.Variable(0.5 * rng.normal(size=(6, 2)), name="codebook")
optimizer = optim.SGD(0.1)


def quantise(z):
    apart = hg.sum((z[:, None, :] - codebook[None]) ** 2, axis=-1)
    chosen = hg.argmin(apart, axis=1)
    return hg.take(codebook, chosen, axis=0)


def losses(x):
    z = x @ encoder
    q = quantise(z)
    through = z + hg.stop_gradient(q - z)
    reconstruction = hg.mean((through @ decoder - x) ** 2)
    codes = hg.mean((q - hg.stop_gradient(z)) ** 2)
    commitment = hg.mean((z - hg.stop_gradient(q)) ** 2)
    return reconstruction + codes + 2.0 * commitment


for _step in range(4):
    x = rng.normal(size=(16, 5))
    with hg.GradientTape() as tape:
        loss = losses(x)
    weights = [encoder, decoder, codebook]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"codebook: {float(hg.norm(codebook)):.3f}")
