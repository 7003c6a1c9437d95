# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: prompt=learns
# also: -
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(53)


class PromptTuned(nn.Module):
    """A frozen encoder behind a few vectors that are learnt."""

    def __init__(self, width=8, length=3):
        super().__init__()
        self.embed = nn.Embedding(16, width)
        self.encoder = nn.TransformerEncoderLayer(width, 2, 16, dropout=0.0, batch_first=True)
        self.requires_grad_(False)
        self.prompt = nn.Parameter(torch.randn(length, width))
        self.head = nn.Linear(width, 2)

    def forward(self, tokens):
        prompt = self.prompt.expand(len(tokens), -1, -1)
        h = self.encoder(torch.cat([prompt, self.embed(tokens)], dim=1))
        return self.head(h[:, 0])


model = PromptTuned()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
before = model.prompt.detach().clone()
for _step in range(3):
    tokens = torch.randint(0, 16, (6, 4))
    loss = F.cross_entropy(model(tokens), (tokens[:, 0] > 7).long())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"prompt: {'still' if torch.equal(model.prompt, before) else 'learns'}")
