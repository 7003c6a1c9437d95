# cause: dead_term
# line: 26
# affected: encoder/kernel encoder/bias
# symptom: dead
# expect: encoder/kernel=1.913 encoder/bias=0.348
# also: 27 37 47
import numpy as np

import headgate as hg
from headgate import nn, optim

hg.random.set_seed(0)


class VAE(nn.Model):
    def __init__(self, latent=2):
        super().__init__(name="vae")
        self.latent = latent
        self.encoder = nn.Dense(2 * latent, name="encoder")
        self.decoder = nn.Dense(6, name="decoder")
        self.statistics = {}

    def encode(self, x):
        h = self.encoder(x)
        mean, log_var = h[:, : self.latent], h[:, self.latent :]
        self.statistics["mean"] = hg.stop_gradient(mean)
        self.statistics["log_var"] = hg.stop_gradient(log_var)
        return mean, log_var

    def call(self, x):
        mean, log_var = self.encode(x)
        z = mean + hg.exp(0.5 * log_var) * hg.random.normal(mean.shape)
        return self.decoder(z)

    def divergence(self):
        mean, log_var = self.statistics["mean"], self.statistics["log_var"]
        return -0.5 * hg.mean(hg.sum(1 + log_var - mean**2 - hg.exp(log_var), axis=1))


vae = VAE()
optimizer = optim.Adam(0.05)
data = np.random.default_rng(0).normal(size=(64, 6))
for step in range(4):
    x = data[16 * step : 16 * step + 16]
    with hg.GradientTape() as tape:
        reconstruction = hg.mean(hg.sum((vae(x) - x) ** 2, axis=1))
        loss = reconstruction + 4.0 * vae.divergence()
    weights = vae.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
for name in ("kernel", "bias"):
    print(f"encoder/{name}: {float(hg.norm(getattr(vae.encoder, name))):.3f}")
