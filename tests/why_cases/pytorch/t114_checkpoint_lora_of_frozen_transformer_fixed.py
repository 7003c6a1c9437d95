# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: blocks.0.q.A=nonzero blocks.0.q.B=nonzero blocks.1.q.A=nonzero blocks.1.q.B=nonzero head.weight=nonzero head.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

torch.manual_seed(13)


class LoRALinear(nn.Module):
    def __init__(self, base, rank=2):
        super().__init__()
        self.base = base
        self.A = nn.Parameter(torch.randn(rank, base.in_features) * 0.1)
        self.B = nn.Parameter(torch.randn(base.out_features, rank) * 0.01)

    def forward(self, x):
        return self.base(x) + x @ self.A.t() @ self.B.t()


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x):
        h = self.norm(x)
        return x + F.scaled_dot_product_attention(self.q(h), self.k(h), self.v(h))


class Model(nn.Module):
    def __init__(self, vocabulary=13, width=8, depth=2):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens):
        h = self.embed(tokens)
        h.requires_grad_()
        for block in self.blocks:
            h = checkpoint(block, h, use_reentrant=True)
        return self.head(h)


def add_lora(model):
    model.requires_grad_(False)
    for block in model.blocks:
        block.q = LoRALinear(block.q)
    model.head.requires_grad_(True)


model = Model()
add_lora(model)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
for _step in range(3):
    tokens = torch.randint(0, 13, (4, 6))
    logits = model(tokens[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    if p.requires_grad:
        print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
