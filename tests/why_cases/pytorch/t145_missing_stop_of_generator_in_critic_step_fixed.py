# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: generator.0.weight=1.786 generator.0.bias=0.999 generator.2.weight=0.747 generator.2.bias=0.254
# also: -
# args: --no-flow 'generator*@critic_step'
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(44)

generator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
g_optimizer = torch.optim.SGD(generator.parameters(), lr=0.5)
c_optimizer = torch.optim.SGD(critic.parameters(), lr=0.5)


def critic_step(real, fake):
    loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake.detach())).mean()
    c_optimizer.zero_grad()
    loss.backward(retain_graph=True)
    c_optimizer.step()


def generator_step(fake):
    loss = F.softplus(-critic(fake)).mean()
    loss.backward()
    g_optimizer.step()
    g_optimizer.zero_grad()


start = {name: p.detach().clone() for name, p in generator.named_parameters()}
for _step in range(3):
    real = torch.randn(16, 2) + 2.0
    fake = generator(torch.randn(16, 2))
    critic_step(real, fake)
    generator_step(fake)
for name, p in generator.named_parameters(prefix="generator"):
    print(f"{name}: {p.norm().item():.3f}")
