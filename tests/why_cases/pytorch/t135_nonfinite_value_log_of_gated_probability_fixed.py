# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: experts.weight=nonzero gate.weight=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(34)


class SparseMixture(nn.Module):
    def __init__(self, width=5, experts=4, top=2):
        super().__init__()
        self.experts = nn.Linear(width, experts, bias=False)
        self.gate = nn.Linear(width, experts, bias=False)
        self.top = top

    def forward(self, x):
        logits = self.gate(x)
        kept = logits.topk(self.top, dim=1)
        sparse = torch.full_like(logits, float("-inf")).scatter(1, kept.indices, kept.values)
        p = F.softmax(sparse, dim=1)
        return (p * self.experts(x)).sum(dim=1), p


def entropy(p):
    return torch.special.entr(p.clamp_min(1e-9)).sum(dim=1).mean()


model = SparseMixture()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _step in range(2):
    x = torch.randn(12, 5)
    answer, p = model(x)
    loss = F.mse_loss(answer, x.sum(dim=1)) - 0.01 * entropy(p)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'nonzero' if torch.isfinite(p.grad).all() else 'nan'}")
