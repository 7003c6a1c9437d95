# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: adapters.0.weight=nonzero adapters.0.bias=nonzero adapters.1.weight=nonzero adapters.1.bias=nonzero head.weight=nonzero head.bias=nonzero
# also: -
# args: --flow 'adapters*'
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(17)


class Tagger(nn.Module):
    def __init__(self, width=8, tags=4):
        super().__init__()
        self.embed = nn.Embedding(15, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.adapters = nn.ModuleList()
        self.head = nn.Linear(width, tags)

    def add_adapters(self):
        for layer in self.layers:
            self.adapters.append(nn.Linear(layer.out_features, layer.out_features))

    def forward(self, tokens):
        h = self.embed(tokens)
        for layer, adapter in zip(self.layers, self.adapters):
            h = F.relu(layer(h))
            h = h + adapter(h)
        return self.head(h)


def freeze_all_but_head(model):
    for name, p in model.named_parameters():
        if not name.startswith(("head", "adapters")):
            p.requires_grad = False


model = Tagger()
model.add_adapters()
freeze_all_but_head(model)
for p in model.adapters.parameters():
    nn.init.normal_(p, std=0.05)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
for _step in range(3):
    tokens = torch.randint(0, 15, (4, 6))
    loss = F.cross_entropy(model(tokens).flatten(0, 1), (tokens % 4).flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
for name, p in model.named_parameters():
    if name.startswith(("adapters", "head")):
        print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
