# cause: no_grad_block
# line: 29
# affected: words.weight to_text.weight
# symptom: none
# expect: log_scale=nonzero words.weight=None to_text.weight=None to_image.weight=nonzero
# also: 27 30 33
import math

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(2)


class ImageTextModel(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.words = nn.Embedding(20, width)
        self.to_text = nn.Linear(width, width, bias=False)
        self.to_image = nn.Linear(10, width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, pixels):
        return F.normalize(self.to_image(pixels), dim=-1)

    @torch.no_grad()
    def encode_text(self, tokens):
        h = self.words(tokens).mean(dim=1)
        return F.normalize(self.to_text(h), dim=-1)

    def forward(self, pixels, tokens):
        images, texts = self.encode_image(pixels), self.encode_text(tokens)
        return self.log_scale.exp() * images @ texts.t()


def contrastive_loss(logits):
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2


model = ImageTextModel()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
for _step in range(3):
    pixels, tokens = torch.randn(8, 10), torch.randint(0, 20, (8, 4))
    loss = contrastive_loss(model(pixels, tokens))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
for name, p in model.named_parameters():
    print(f"{name}: {'None' if p.grad is None else 'nonzero'}")
