# cause: none
# line: 0
# affected: -
# symptom: legit: fakes are constants to the judge, norms are estimated without gradient
# expect: hinge.g=nonzero hinge.d=nonzero mover.g=nonzero mover.d=nonzero
# also: -
# stops: 32 58 100
"""Two GANs on a ring: spectral norm with hinge loss, and Wasserstein with gradient penalty."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def ring(n):
    angle = 6.2832 * torch.rand(n)
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.05 * torch.randn(n, 2)


class OwnSpectralLinear(nn.Linear):
    """As spectral_norm does it, written out: the two vectors are constants to the gradient."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(inputs), dim=0))

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                w = self.weight.detach()
                self.v = F.normalize(w.t() @ self.u, dim=0)
                self.u = F.normalize(w @ self.v, dim=0)
        sigma = self.u @ self.weight @ self.v
        return F.linear(x, self.weight / sigma, self.bias)


def generator():
    return nn.Sequential(nn.Linear(4, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 2))


def hinge_gan(steps=15):
    g = generator()
    d = nn.Sequential(
        spectral_norm(nn.Linear(2, 24)),
        nn.LeakyReLU(0.2),
        OwnSpectralLinear(24, 24),
        nn.LeakyReLU(0.2),
        nn.Linear(24, 1),
    )
    g_optimizer = torch.optim.Adam(g.parameters(), lr=2e-3, betas=(0.0, 0.9))
    d_optimizer = torch.optim.Adam(d.parameters(), lr=2e-3, betas=(0.0, 0.9))
    history = []
    for _ in range(steps):
        fake = g(torch.randn(32, 4))
        d_optimizer.zero_grad()
        on_real, on_fake = d(ring(32)), d(fake.detach())
        d_loss = F.relu(1.0 - on_real).mean() + F.relu(1.0 + on_fake).mean()
        d_loss.backward()
        d_optimizer.step()

        # The same fakes once more, through the judge as it is now.
        g_optimizer.zero_grad()
        g_loss = -d(fake).mean()
        g_loss.backward()
        g_optimizer.step()
        right = ((on_real > 0).float().mean() + (on_fake < 0).float().mean()) / 2
        history.append((d_loss.item(), g_loss.item(), right.item()))
    return g, d


def penalty(critic, real, fake):
    """The gradient by the input is to have length 1 between the two."""
    mix = torch.rand(len(real), 1)
    between = (mix * real + (1.0 - mix) * fake).requires_grad_(True)
    out = critic(between)
    (slope,) = torch.autograd.grad(out.sum(), between, create_graph=True)
    return (slope.norm(dim=1) - 1.0).pow(2).mean()


def wasserstein_gan(steps=6, critic_steps=3):
    g = generator()
    critic = nn.Sequential(
        nn.Linear(2, 24),
        nn.LayerNorm(24),
        nn.SiLU(),
        nn.Linear(24, 24),
        nn.SiLU(),
        nn.Linear(24, 1),
    )
    g_optimizer = torch.optim.RMSprop(g.parameters(), lr=1e-3)
    c_optimizer = torch.optim.RMSprop(critic.parameters(), lr=1e-3)
    for _ in range(steps):
        for p in critic.parameters():
            p.requires_grad_(True)
        for _ in range(critic_steps):
            real = ring(32)
            with torch.no_grad():
                fake = g(torch.randn(32, 4))
            distance = critic(real).mean() - critic(fake).mean()
            loss = -distance + 10.0 * penalty(critic, real, fake)
            c_optimizer.zero_grad()
            loss.backward()
            c_optimizer.step()
        for p in critic.parameters():
            p.requires_grad_(False)
        g_optimizer.zero_grad()
        (-critic(g(torch.randn(32, 4))).mean()).backward()
        g_optimizer.step()
    return g, critic


def report(name, module):
    # A bias behind a difference of means moves nothing.
    none = any(p.grad is None or not p.grad.any() for p in module.parameters() if p.ndim > 1)
    print(f"{name}: {'missing' if none else 'nonzero'}")


torch.manual_seed(0)
for name, train in (("hinge", hinge_gan), ("mover", wasserstein_gan)):
    g, d = train()
    report(f"{name}.g", g)
    report(f"{name}.d", d)
