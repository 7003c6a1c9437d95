# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: weight=nonzero bias=nonzero
# also: -
import torch
from torch.nn import functional as F

torch.manual_seed(308)
PADDING = 0
tagger = torch.nn.Linear(4, 3)
optimizer = torch.optim.SGD(tagger.parameters(), lr=0.1)
for _step in range(3):
    x = torch.randn(8, 4)
    tags = torch.zeros(8, dtype=torch.long)
    tags[4:] = x[4:, :2].argmax(dim=1) + 1
    logits, tags = tagger(x)[2:], tags[2:]
    loss = F.cross_entropy(logits, tags, ignore_index=PADDING)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in tagger.named_parameters():
    g = p.grad
    print(f"{name}: {'None' if g is None else 'nonzero' if g.abs().sum() else 'zero'}")
