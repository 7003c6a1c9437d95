# cause: host_round_trip rewrap
# line: 14
# affected: encoder.weight encoder.bias
# symptom: None
# expect: encoder.weight=None encoder.bias=None head.weight=nonzero head.bias=nonzero
# also: 16
import numpy as np
import torch

torch.manual_seed(301)
encoder = torch.nn.Linear(5, 4)
head = torch.nn.Linear(4, 1)
x = torch.randn(8, 5)
h = encoder(x).detach().numpy()
h = h / np.linalg.norm(h, axis=1, keepdims=True)
h = torch.from_numpy(h)
head(h).pow(2).mean().backward()
both = torch.nn.ModuleDict({"encoder": encoder, "head": head})
for name, p in both.named_parameters():
    g = p.grad
    print(f"{name}: {'None' if g is None else 'nonzero' if g.abs().sum() else 'zero'}")
