# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: embed.weight=nonzero attention.weight=nonzero attention.bias=nonzero out.weight=nonzero out.bias=nonzero
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(38)


class AttentionPooling(nn.Module):
    """A weighted mean over the words of a sentence."""

    def __init__(self, width=6):
        super().__init__()
        self.embed = nn.Embedding(12, width)
        self.attention = nn.Linear(width, 1)
        self.out = nn.Linear(width, 3)

    def forward(self, words):
        h = self.embed(words)
        weights = F.softmax(self.attention(h), dim=1)
        return self.out((weights * h).sum(dim=1))


model = AttentionPooling()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _step in range(3):
    words = torch.randint(0, 12, (8, 5))
    loss = F.cross_entropy(model(words), words.max(dim=1).values % 3)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'nonzero' if p.grad.any() else 'zero'}")
