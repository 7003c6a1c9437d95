# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: 0.weight=learns 0.bias=learns 1.weight=learns 1.bias=learns 3.weight=learns 3.bias=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(23)


def configure(model, lr=1e-2, weight_decay=0.1):
    """Weight decay for matrices only, as in GPT-2."""
    decay, no_decay = [], []
    for p in model.parameters():
        (decay if p.ndim >= 2 else no_decay).append(p)
    groups = [
        {"params": decay, "weight_decay": weight_decay},
        {"params": no_decay, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr)


model = nn.Sequential(nn.Linear(6, 12), nn.LayerNorm(12), nn.GELU(), nn.Linear(12, 2))
optimizer = configure(model)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
start = [p.detach().clone() for p in model.parameters()]
for _step in range(4):
    x = torch.randn(20, 6)
    loss = F.cross_entropy(model(x), (x.sum(dim=1) > 0).long())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
for (name, p), before in zip(model.named_parameters(), start):
    print(f"{name}: {'still' if torch.equal(p, before) else 'learns'}")
