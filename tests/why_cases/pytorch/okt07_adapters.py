# cause: none
# line: 0
# affected: -
# symptom: legit: frozen weights, factors that start at zero, checkpoints over frozen inputs
# expect: lora=nonzero again=nonzero scales=nonzero neck=nonzero prompt=nonzero bias=nonzero
# also: -
# stops: 56 59
"""LoRA, DoRA-like scales, prompts and bottleneck adapters on a small frozen transformer."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint


class Encoder(nn.Module):
    def __init__(self, width=16, prompt=0, recompute=False):
        super().__init__()
        self.embed = nn.Embedding(10, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 32, dropout=0.1, batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.recompute = recompute

    def forward(self, tokens, prompt=None):
        h = self.embed(tokens)
        if prompt is not None:
            h = torch.cat([prompt.expand(len(h), -1, -1), h], dim=1)
        for layer in self.layers:
            h = checkpoint(layer, h, use_reentrant=False) if self.recompute else layer(h)
        return h.mean(dim=1)


class LowRank(nn.Module):
    """A parametrisation: the weight and a product that is zero at first."""

    def __init__(self, weight, rank=2):
        super().__init__()
        outputs, inputs = weight.shape
        self.a = nn.Parameter(torch.randn(rank, inputs) / rank)
        self.b = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight):
        return weight + self.b @ self.a


class Scaled(nn.Module):
    """The length of each row is learnt, its direction is kept (with the norm as a constant)."""

    def __init__(self, weight):
        super().__init__()
        self.length = nn.Parameter(weight.detach().norm(dim=1, keepdim=True).clone())

    def forward(self, weight):
        return self.length * weight / weight.norm(dim=1, keepdim=True).detach()


class Bottleneck(nn.Module):
    """Houlsby's adapter; its last layer starts at zero, so that it is the identity at first."""

    def __init__(self, layer, width=16):
        super().__init__()
        self.layer = layer
        self.down, self.up = nn.Linear(width, 4), nn.Linear(4, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h):
        h = self.layer(h)
        return h + self.up(F.relu(self.down(h)))


def batch(n=32):
    tokens = torch.randint(0, 10, (n, 6))
    return tokens, (tokens.float().mean(1) > 4.5).long()


def fit(encoder, extra, forward=None, steps=6, rate=1e-2):
    head = nn.Linear(16, 2)
    chosen = [p for p in (*encoder.parameters(), *extra) if p.requires_grad]
    optimizer = torch.optim.AdamW([*chosen, *head.parameters()], lr=rate)
    encoder.train()
    for _ in range(steps):
        tokens, labels = batch()
        h = encoder(tokens) if forward is None else forward(tokens)
        loss = F.cross_entropy(head(h), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    missing = any(p.grad is None or not p.grad.any() for p in chosen)
    frozen = all(p.grad is None for p in encoder.parameters() if not p.requires_grad)
    return "missing" if missing else "nonzero" if frozen else "leak"


torch.manual_seed(0)
pretrained = Encoder()
pretrained.requires_grad_(False)
said = {}

for name, recompute in (("lora", False), ("again", True)):
    encoder = copy.deepcopy(pretrained)
    encoder.recompute = recompute
    for layer in encoder.layers:
        for part in (layer.linear1, layer.linear2):
            parametrize.register_parametrization(part, "weight", LowRank(part.weight))
    said[name] = fit(encoder, [])

encoder = copy.deepcopy(pretrained)
for layer in encoder.layers:
    parametrize.register_parametrization(layer.linear1, "weight", Scaled(layer.linear1.weight))
said["scales"] = fit(encoder, [])

encoder = copy.deepcopy(pretrained)
encoder.layers = nn.ModuleList(Bottleneck(layer) for layer in encoder.layers)
said["neck"] = fit(encoder, [])

encoder = copy.deepcopy(pretrained)
prompt = nn.Parameter(0.1 * torch.randn(3, 16))
said["prompt"] = fit(encoder, [prompt], lambda tokens: encoder(tokens, prompt))

encoder = copy.deepcopy(pretrained)
for name, p in encoder.named_parameters():
    p.requires_grad = name.endswith("bias")
said["bias"] = fit(encoder, [])

for name, word in said.items():
    print(f"{name}: {word}")
