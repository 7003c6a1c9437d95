# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: step0=done step1=done step2=done
# also: -
import torch
from torch import nn

torch.manual_seed(32)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 12), nn.LeakyReLU(0.2), nn.Linear(12, 1))

    def forward(self, x):
        return self.net(x.flatten(1)).squeeze(1)


def gradient_penalty(critic, real, fake):
    share = torch.rand(len(real), 1, 1)
    mixed = (share * real + (1 - share) * fake.detach()).requires_grad_()
    scores = critic(mixed)
    (slopes,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
    slopes = slopes.flatten(1)
    return (slopes.norm(dim=1) - 1).pow(2).mean()


critic, generator = Critic(), nn.Linear(3, 4)
optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
for step in range(3):
    real = torch.randn(8, 2, 2) + 1
    fake = generator(torch.randn(8, 3)).view(8, 2, 2)
    loss = critic(fake.detach()).mean() - critic(real).mean()
    loss = loss + 10.0 * gradient_penalty(critic, real, fake)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step{step}: done")
