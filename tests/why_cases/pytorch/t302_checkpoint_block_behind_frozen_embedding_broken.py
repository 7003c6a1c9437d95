# cause: checkpoint
# line: 15
# affected: block.weight block.bias
# symptom: None
# expect: block.weight=None block.bias=None head.weight=nonzero head.bias=nonzero
# also: -
import torch
from torch.utils.checkpoint import checkpoint

torch.manual_seed(302)
embedding = torch.nn.Embedding(12, 4).requires_grad_(False)
block = torch.nn.Linear(4, 4)
head = torch.nn.Linear(4, 1)
tokens = torch.randint(0, 12, (8,))
h = checkpoint(block, embedding(tokens), use_reentrant=True)
head(h).pow(2).mean().backward()
both = torch.nn.ModuleDict({"block": block, "head": head})
for name, p in both.named_parameters():
    g = p.grad
    print(f"{name}: {'None' if g is None else 'nonzero' if g.abs().sum() else 'zero'}")
