"""Train a new head on a frozen network, then everything at a smaller rate (timm)."""

import timm
import torch
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3, accuracy
from torch import nn

torch.manual_seed(8)
model = timm.create_model("test_efficientnet", pretrained=False, num_classes=1000, drop_rate=0.1)
model.reset_classifier(num_classes=5)
model.requires_grad_(False)
head = model.get_classifier()
head.requires_grad_(True)

images, labels = torch.randn(16, 3, 32, 32), torch.arange(16) % 5
criterion = LabelSmoothingCrossEntropy(smoothing=0.1)


def train(optimizer, steps, ema=None):
    for step in range(steps):
        logits = model(images)
        loss = criterion(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        if ema is not None:
            ema.update(model)
        (top1,) = accuracy(logits.detach(), labels, topk=(1,))
        print(f"step {step}: loss {loss.item()!r} top-1 {top1.item():.1f}")


model.eval()
model.get_classifier().train()
train(torch.optim.AdamW(head.parameters(), lr=1e-2), steps=4)

model.train()
model.requires_grad_(True)
ema = ModelEmaV3(model, decay=0.9)
train(create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05), steps=3, ema=ema)

for name, parameter in model.named_parameters():
    print(name, repr(parameter.detach().abs().sum().item()))
print("averages", repr(sum(p.abs().sum().item() for p in ema.module.parameters())))
