# cause: needless_stop
# line: 22
# affected: codebook
# symptom: leak
# expect: codebook=1.503
# also: 31
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
    return hg.take(codebook, hg.stop_gradient(chosen), axis=0)


def losses(x):
    z = x @ encoder
    q = quantise(z)
    through = z + hg.stop_gradient(q - z)
    reconstruction = hg.mean((through @ decoder - x) ** 2)
    codes = hg.mean((q - hg.stop_gradient(z)) ** 2)
    commitment = hg.mean((z - q) ** 2)
    return reconstruction + codes + 2.0 * commitment


for _step in range(4):
    x = rng.normal(size=(16, 5))
    with hg.GradientTape() as tape:
        loss = losses(x)
    weights = [encoder, decoder, codebook]
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
print(f"codebook: {float(hg.norm(codebook)):.3f}")
