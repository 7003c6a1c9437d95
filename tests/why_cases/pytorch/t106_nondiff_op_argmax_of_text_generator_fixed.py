# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: generator.cell.weight_ih=nonzero generator.cell.weight_hh=nonzero generator.out.weight=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(5)
TOKENS, WIDTH, LENGTH = 7, 6, 4


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(TOKENS, WIDTH).requires_grad_(False)
        self.cell = nn.GRUCell(WIDTH, WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, TOKENS, bias=False)

    def forward(self, noise):
        h, word, sentence = noise, torch.zeros_like(noise), []
        for _ in range(LENGTH):
            h = self.cell(word, h)
            logits = self.out(h)
            chosen = F.gumbel_softmax(logits, hard=True)
            word = chosen @ self.embed.weight
            sentence.append(chosen)
        return torch.stack(sentence, dim=1)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(TOKENS * LENGTH, 8), nn.Tanh())
        self.score = nn.Linear(8, 1)

    def forward(self, sentence):
        return self.score(self.net(sentence)).squeeze(1)


def bce(logits, real):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


generator, discriminator = Generator(), Discriminator()
g_opt = torch.optim.Adam([p for p in generator.parameters() if p.requires_grad], lr=1e-3)
d_opt = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
for _step in range(3):
    real = F.one_hot(torch.arange(8)[:, None].add(torch.arange(LENGTH)) % TOKENS, TOKENS).float()
    fake = generator(torch.randn(8, WIDTH))
    d_loss = bce(discriminator(real), True) + bce(discriminator(fake.detach()), False)
    d_opt.zero_grad()
    d_loss.backward()
    d_opt.step()
    g_loss = bce(discriminator(fake), True)
    g_opt.zero_grad()
    g_loss.backward()
    g_opt.step()
for name, p in generator.named_parameters(prefix="generator"):
    if p.requires_grad:
        print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
