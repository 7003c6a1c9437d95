# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: encoder.weight=nonzero encoder.bias=nonzero head.weight=nonzero head.bias=nonzero
# also: -
import numpy as np
import torch

torch.manual_seed(301)
encoder = torch.nn.Linear(5, 4)
head = torch.nn.Linear(4, 1)
x = torch.randn(8, 5)
h = encoder(x)
h = h / np.sqrt(5) / h.norm(dim=1, keepdim=True)
h = h.contiguous()
head(h).pow(2).mean().backward()
both = torch.nn.ModuleDict({"encoder": encoder, "head": head})
for name, p in both.named_parameters():
    g = p.grad
    print(f"{name}: {'None' if g is None else 'nonzero' if g.abs().sum() else 'zero'}")
