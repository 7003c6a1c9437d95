# cause: not_watched frozen dropped_gate
# line: 17
# affected: images
# symptom: error
# expect: error=RuntimeError
# also: 18 19 28
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(59)


def fgsm(model, images, labels, epsilon=0.1):
    """Change images a little, so that the model errs."""
    images = images.clone()
    images.requires_grad_
    loss = F.cross_entropy(model(images), labels)
    (slope,) = torch.autograd.grad(loss, images)
    return (images + epsilon * slope.sign()).detach()


model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(3):
    x = torch.randn(12, 6)
    y = x[:, :3].argmax(dim=1)
    harder = fgsm(model, x, y)
    loss = F.cross_entropy(model(torch.cat([x, harder])), torch.cat([y, y]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step{step}: done")
