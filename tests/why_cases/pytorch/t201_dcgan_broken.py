# cause: stop_gradient
# line: 30
# affected: netD.stem.weight netD.down.weight
# symptom: none
# expect: netD.stem.weight=None netD.down.weight=None netD.score.weight=nonzero
# also: -
"""A DCGAN on 16x16 pictures of rings and discs, with a spectrally normalised discriminator."""

import logging
import math

import torch
import torch.nn.functional as F
from torch import nn

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("dcgan")


class SpectralConv2d(nn.Conv2d):
    """A convolution whose kernel is divided by its largest singular value."""

    def __init__(self, *args, iterations=1, **options):
        super().__init__(*args, **options)
        self.iterations = iterations
        self.register_buffer("left", F.normalize(torch.randn(self.out_channels), dim=0))
        self.register_buffer("right", F.normalize(torch.randn(self.weight[0].numel()), dim=0))

    def _as_matrix(self):
        return self.weight.data.flatten(1)

    @torch.no_grad()
    def _power_iteration(self, matrix):
        for _ in range(self.iterations):
            self.right.copy_(F.normalize(matrix.t() @ self.left, dim=0))
            self.left.copy_(F.normalize(matrix @ self.right, dim=0))

    def normalised(self):
        matrix = self._as_matrix()
        if self.training:
            self._power_iteration(matrix)
        sigma = torch.dot(self.left.clone(), matrix @ self.right.clone())
        return (matrix / sigma).view_as(self.weight)

    def forward(self, x):
        return self._conv_forward(x, self.normalised(), self.bias)


class Generator(nn.Module):
    def __init__(self, latent=16, width=16):
        super().__init__()
        self.latent = latent
        self.project = nn.Linear(latent, 2 * width * 4 * 4, bias=False)
        self.norm = nn.BatchNorm2d(2 * width)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.paint = nn.ConvTranspose2d(width, 1, 4, 2, 1)
        self.apply(initialise)

    def forward(self, z):
        h = self.project(z).unflatten(1, (-1, 4, 4))
        h = F.relu(self.norm(h))
        return torch.tanh(self.paint(self.up(h)))

    def sample(self, n):
        return self(torch.randn(n, self.latent))


class Discriminator(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.stem = SpectralConv2d(1, width, 4, 2, 1)
        self.down = SpectralConv2d(width, 2 * width, 4, 2, 1)
        self.score = nn.Linear(2 * width * 4 * 4, 1)
        self.apply(initialise)

    def features(self, x):
        h = F.leaky_relu(self.stem(x), 0.2)
        return F.leaky_relu(self.down(h), 0.2)

    def forward(self, x):
        return self.score(self.features(x).flatten(1)).squeeze(1)


def initialise(module):
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.05)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def pictures(n):
    """Rings and discs at random places, with values between -1 and 1."""
    axis = torch.linspace(-1.0, 1.0, 16)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    centre = 0.6 * torch.rand(n, 2, 1, 1) - 0.3
    radius = 0.3 + 0.3 * torch.rand(n, 1, 1)
    far = ((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2).sqrt()
    disc = torch.sigmoid((radius - far) / 0.05)
    ring = torch.exp(-(((far - radius) / 0.1) ** 2))
    chosen = (torch.rand(n, 1, 1) < 0.5).float()
    return (2.0 * (chosen * disc + (1.0 - chosen) * ring) - 1.0).unsqueeze(1)


class Trainer:
    def __init__(self, generator, discriminator, rate=2e-3):
        self.generator, self.discriminator = generator, discriminator
        self.g_optimizer = torch.optim.Adam(generator.parameters(), rate, betas=(0.5, 0.999))
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), rate, betas=(0.5, 0.999))

    def discriminator_step(self, real):
        fake = self.generator.sample(len(real)).detach()
        on_real, on_fake = self.discriminator(real), self.discriminator(fake)
        loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        self.d_optimizer.zero_grad()
        loss.backward()
        self.d_optimizer.step()
        with torch.no_grad():
            right = (on_real > 0).float().mean() + (on_fake < 0).float().mean()
        return loss.item(), 0.5 * right.item()

    def generator_step(self, n):
        loss = F.softplus(-self.discriminator(self.generator.sample(n))).mean()
        self.g_optimizer.zero_grad()
        loss.backward()
        self.g_optimizer.step()
        return loss.item()

    def fit(self, steps, batch=32):
        self.generator.train()
        self.discriminator.train()
        history = []
        for step in range(steps):
            d_loss, accuracy = self.discriminator_step(pictures(batch))
            g_loss = self.generator_step(batch)
            history.append((d_loss, g_loss))
            if step % 5 == 0:
                log.info("step %d  d %.3f  g %.3f  right %.2f", step, d_loss, g_loss, accuracy)
        return history


@torch.no_grad()
def evaluate(generator, n=64):
    """How far the mean picture of the generator is from that of the data."""
    generator.eval()
    gap = (generator.sample(n).mean(0) - pictures(n).mean(0)).pow(2).mean().sqrt()
    return gap.item()


def main():
    torch.manual_seed(0)
    netG, netD = Generator(), Discriminator()
    trainer = Trainer(netG, netD)
    history = trainer.fit(steps=16)
    log.info("gap of the means: %.3f", evaluate(netG))
    assert all(math.isfinite(value) for losses in history for value in losses)
    for name in ("stem.weight", "down.weight", "score.weight"):
        gradient = netD.get_parameter(name).grad
        said = "None" if gradient is None else "nonzero" if gradient.any() else "zero"
        print(f"netD.{name}: {said}")


if __name__ == "__main__":
    main()
