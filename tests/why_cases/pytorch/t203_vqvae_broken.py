# cause: in_place
# line: 74
# affected: encoder.0.weight encoder.2.weight
# symptom: error
# expect: error=RuntimeError
# also: 56 128
"""A VQ-VAE whose codebook follows the encodings by moving averages (van den Oord et al., 2017)."""

import logging
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("vqvae")


@dataclass
class Config:
    inputs: int = 24
    width: int = 48
    code: int = 6
    codes: int = 16
    decay: float = 0.95
    commitment: float = 0.25
    diversity: float = 0.02
    rate: float = 3e-3
    steps: int = 40
    batch: int = 64


def waves(n, inputs):
    """Sums of two sines with one of eight pairs of frequencies, and noise."""
    time = torch.linspace(0.0, 1.0, inputs)
    which = torch.randint(0, 8, (n, 1))
    slow, fast = 1.0 + (which % 4), 3.0 + 2.0 * (which // 4)
    phase = 0.2 * torch.randn(n, 1)
    wave = torch.sin(6.28 * (slow * time + phase)) + 0.5 * torch.sin(6.28 * fast * time)
    return wave + 0.05 * torch.randn(n, inputs)


class Quantiser(nn.Module):
    """Codes that are moving averages of the encodings that chose them."""

    def __init__(self, config):
        super().__init__()
        self.decay, self.temperature = config.decay, 1.0
        start = torch.randn(config.codes, config.code)
        self.register_buffer("codebook", start)
        self.register_buffer("counts", torch.ones(config.codes))
        self.register_buffer("sums", start.clone())

    def distances(self, z):
        across = z @ self.codebook.t()
        return z.pow(2).sum(1, keepdim=True) - 2.0 * across + self.codebook.pow(2).sum(1)

    @torch.no_grad()
    def nearest(self, z):
        return self.distances(z).argmin(dim=1)

    def diversity(self, z):
        """Negative entropy of the mean use of the codes, which is least if all are used."""
        use = F.softmax(-self.distances(z) / self.temperature, dim=1).mean(0)
        return (use * (use + 1e-9).log()).sum()

    @torch.no_grad()
    def follow(self, z, indices):
        chosen = F.one_hot(indices, len(self.codebook)).to(z.dtype)
        self.counts.lerp_(chosen.sum(0), 1.0 - self.decay)
        self.sums.lerp_(chosen.t() @ z, 1.0 - self.decay)
        fresh = self.sums / self.counts.unsqueeze(1).clamp(min=1e-3)
        self.codebook.copy_(fresh)

    def forward(self, z):
        indices = self.nearest(z)
        diversity = self.diversity(z)
        if self.training:
            self.follow(z, indices)
        code = self.codebook[indices]
        commitment = F.mse_loss(z, code)
        return z + (code - z).detach(), indices, commitment, diversity


class VQVAE(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(config.inputs, config.width),
            nn.ReLU(),
            nn.Linear(config.width, config.code),
        )
        self.quantiser = Quantiser(config)
        self.decoder = nn.Sequential(
            nn.Linear(config.code, config.width),
            nn.ReLU(),
            nn.Linear(config.width, config.inputs),
        )

    def forward(self, x):
        quantised, indices, commitment, diversity = self.quantiser(self.encoder(x))
        return self.decoder(quantised), indices, commitment, diversity


class Trainer:
    def __init__(self, model, config):
        self.model, self.config = model, config
        self.optimizer = torch.optim.AdamW(model.parameters(), config.rate, weight_decay=1e-4)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, config.steps)
        self.history = []

    def loss(self, x):
        rebuilt, indices, commitment, diversity = self.model(x)
        reconstruction = F.mse_loss(rebuilt, x)
        total = reconstruction + self.config.commitment * commitment
        total = total + self.config.diversity * diversity
        logs = {
            "reconstruction": reconstruction.item(),
            "commitment": commitment.item(),
            "used": indices.unique().numel(),
        }
        return total, logs

    def step(self, x):
        total, logs = self.loss(x)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.history.append(logs)
        return logs

    def fit(self):
        self.model.train()
        for step in range(self.config.steps):
            logs = self.step(waves(self.config.batch, self.config.inputs))
            if step % 10 == 0:
                log.info("%d  %s", step, logs)


@torch.no_grad()
def evaluate(model, config):
    model.eval()
    x = waves(256, config.inputs)
    rebuilt, indices, _, _ = model(x)
    perplexity = torch.bincount(indices, minlength=config.codes).float() / len(x)
    entropy = -(perplexity * (perplexity + 1e-9).log()).sum()
    return F.mse_loss(rebuilt, x).item(), entropy.exp().item()


def main():
    torch.manual_seed(0)
    config = Config()
    model = VQVAE(config)
    trainer = Trainer(model, config)
    trainer.fit()
    log.info("error and perplexity: %.3f %.2f", *evaluate(model, config))
    for name in ("encoder.0.weight", "encoder.2.weight", "decoder.0.weight"):
        gradient = model.get_parameter(name).grad
        said = "None" if gradient is None else "nonzero" if gradient.any() else "zero"
        print(f"{name}: {said}")


if __name__ == "__main__":
    main()
