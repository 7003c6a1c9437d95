"""Self-supervised training of a small ResNet (byol-pytorch)."""

import torch
from byol_pytorch import BYOL
from torch import nn
from torchvision import models

torch.manual_seed(6)
resnet = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)
learner = BYOL(
    resnet,
    image_size=32,
    hidden_layer="avgpool",
    projection_size=32,
    projection_hidden_size=64,
    augment_fn=nn.Sequential(nn.Dropout(0.1)),
    augment_fn2=nn.Sequential(nn.Dropout(0.2)),
)
optimizer = torch.optim.Adam(learner.parameters(), lr=3e-4)

for step in range(3):
    images = torch.randn(8, 3, 32, 32)
    loss = learner(images)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    learner.update_moving_average()
    print(f"step {step}: {loss.item()!r}")

projection, embedding = learner(torch.randn(2, 3, 32, 32), return_embedding=True)
print("embedding", tuple(projection.shape), tuple(embedding.shape))
for name, parameter in resnet.named_parameters():
    print(name, repr(parameter.detach().abs().sum().item()))
