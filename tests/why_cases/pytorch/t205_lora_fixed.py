# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: classifier.weight=updated classifier.bias=updated
# also: -
# args: --flow 'model.classifier*'
"""LoRA on a small transformer: pretrain on next tokens, then adapt to a task with a new head."""

import logging
import math

import torch
import torch.nn.functional as F
from torch import nn

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("lora")

VOCABULARY, LENGTH, CLASSES = 12, 10, 3


class LoRALinear(nn.Module):
    """A frozen linear layer, and a product of two thin matrices that is added to it."""

    def __init__(self, base, rank=4, alpha=8.0):
        super().__init__()
        self.base = base
        self.lora_a = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, x):
        return self.base(x) + self.scale * F.linear(F.linear(x, self.lora_a), self.lora_b)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, causal):
        q, k, v = (self.split(f(x)) for f in (self.query, self.key, self.value))
        h = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out(h.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x, causal):
        x = x + self.attention(self.norm1(x), causal)
        return x + self.mlp(self.norm2(x))


class Backbone(nn.Module):
    def __init__(self, width=32, heads=4, depth=2):
        super().__init__()
        self.width = width
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Parameter(0.02 * torch.randn(LENGTH, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens, causal=False):
        h = self.tokens(tokens) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            h = block(h, causal)
        return self.norm(h)


class LanguageModel(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, tokens):
        return F.linear(self.backbone(tokens, causal=True), self.backbone.tokens.weight)


class Classifier(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(backbone.width, CLASSES)

    def forward(self, tokens):
        return self.classifier(self.dropout(self.backbone(tokens).mean(dim=1)))


def add_adapters(module, names=("query", "value")):
    """Put adapters around the layers of these names, wherever they are."""
    for name, child in module.named_children():
        if name in names and isinstance(child, nn.Linear):
            setattr(module, name, LoRALinear(child))
        else:
            add_adapters(child, names)


def mark_trainable(model):
    for name, p in model.named_parameters():
        p.requires_grad = "lora_" in name or name.startswith("classifier.")


def count(model):
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, wanted in sizes if wanted), sum(n for n, _ in sizes)


def sequences(n):
    """Walks over the tokens with one of three strides; the stride is the class."""
    labels = torch.randint(0, CLASSES, (n,))
    start = torch.randint(0, VOCABULARY, (n, 1))
    jitter = (torch.rand(n, LENGTH) < 0.1).long()
    steps = torch.arange(LENGTH) * (labels + 1).unsqueeze(1)
    return (start + steps + jitter) % VOCABULARY, labels


def pretrain(backbone, steps=15, batch=32):
    model = LanguageModel(backbone)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _step in range(steps):
        tokens, _ = sequences(batch)
        logits = model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    log.info("pretrained: %.3f", loss.item())


def finetune(model, steps=25, batch=32, rate=1e-2):
    chosen = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(chosen, lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.2, 1.0, total_iters=5)
    model.train()
    for step in range(steps):
        tokens, labels = sequences(batch)
        logits = model(tokens)
        loss = F.cross_entropy(logits, labels, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(chosen, 1.0)
        optimizer.step()
        schedule.step()
        if step % 5 == 0:
            right = (logits.argmax(1) == labels).float().mean().item()
            log.info("step %d  loss %.3f  right %.2f", step, loss.item(), right)


@torch.no_grad()
def accuracy(model, n=256):
    model.eval()
    tokens, labels = sequences(n)
    return (model(tokens).argmax(1) == labels).float().mean().item()


def main():
    torch.manual_seed(0)
    backbone = Backbone()
    pretrain(backbone)
    model = Classifier(backbone)
    add_adapters(model.backbone)
    mark_trainable(model)
    log.info("%d of %d parameters are trained", *count(model))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    finetune(model)
    log.info("accuracy %.2f", accuracy(model))
    for name in ("classifier.weight", "classifier.bias"):
        moved = not torch.equal(model.get_parameter(name), before[name])
        print(f"{name}: {'updated' if moved else 'still'}")


if __name__ == "__main__":
    main()
