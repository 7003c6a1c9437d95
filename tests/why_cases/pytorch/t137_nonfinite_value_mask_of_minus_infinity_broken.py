# cause: nonfinite_value nonfinite_data
# line: 24
# affected: embed.weight qkv.weight out.weight
# symptom: not finite
# expect: embed.weight=nan qkv.weight=nan out.weight=nan
# also: 26 27
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(36)
PAD = 0


class Encoder(nn.Module):
    def __init__(self, vocabulary=10, width=6):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, 2, bias=False)

    def forward(self, tokens):
        valid = (tokens != PAD).float()
        mask = (1.0 - valid) * float("-inf")
        q, k, v = self.qkv(self.embed(tokens)).chunk(3, dim=-1)
        scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5 + mask[:, None, :]
        h = F.softmax(scores, dim=-1) @ v
        pooled = (h * valid[..., None]).sum(dim=1) / valid.sum(dim=1, keepdim=True)
        return self.out(pooled)


model = Encoder()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for _step in range(2):
    tokens = torch.randint(1, 10, (4, 5))
    tokens[::2, 3:] = PAD
    loss = F.cross_entropy(model(tokens), tokens[:, 0] % 2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'nonzero' if torch.isfinite(p.grad).all() else 'nan'}")
